"""Gram matrix with weights of users and items: P = D_i X' D_u X D_i, entries raised to a power."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from matinee.arrays import F32, F64, I32, I64
from matinee.kernel import parallel_kernel, prange
from matinee.linear.columns import CHUNKS, balanced_order, entries_by_column
from matinee.linear.gram import mirror


def weighted_gram(matrix: csr_array, user: F64, item: F64, power: float = 1.0) -> F32:
    """P (n, n) float32, symmetric, of X (m, n) 0/1 CSR with columns ascending.

    P_ij = (item_i item_j Σ_u user_u x_ui x_uj)^power; `user` (m,) and `item` (n,) are not negative. A row is summed in
    float64 over columns from i on, in one buffer per thread. Floor: ½ Σ_u L_u² adds. Memory: 4 n² bytes for P, 32 bytes
    per entry of X; no second (n, n) array.
    """
    n = matrix.shape[1]
    indptr = matrix.indptr.astype(np.int64)
    column = matrix.indices.astype(np.int32, copy=False)
    start, position, stop = entries_by_column(indptr, column, n)
    weight = np.repeat(user, np.diff(indptr))[position]
    P = np.zeros((n, n), dtype=np.float32)
    _accumulate(start, position, stop, weight, column, balanced_order(np.diff(start)), item, float(power), P)
    mirror(P)
    return P


@parallel_kernel
def _accumulate(  # noqa: PLR0913 -- a tuple may not be unpacked inside a parallel loop
    start: I64, position: I64, stop: I64, weight: F64, column: I32, order: I64, item: F64, power: float, P: F32
) -> None:
    n = len(P)
    for chunk in prange(CHUNKS):
        total = np.zeros(n, dtype=np.float64)
        for o in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS):
            i = order[o]
            for e in range(start[i], start[i + 1]):
                w = weight[e]
                for p in range(position[e], stop[e]):
                    total[column[p]] += w
            for j in range(i, n):
                if total[j] != 0.0:
                    value = total[j] * item[i] * item[j]
                    P[i, j] = value if power == 1.0 else value**power
                    total[j] = 0.0


def inverse_power(count: NDArray[np.integer], exponent: float) -> F64:
    """count^−exponent in float64; 0 where the count is 0."""
    positive = count > 0
    return np.power(count, -exponent, where=positive, out=np.zeros(len(count))) * positive
