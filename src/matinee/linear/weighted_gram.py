"""Gram matrix with weights of users and items: P = D_i X' D_u X D_i, entries raised to a power."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.kernel import parallel_kernel, prange
from matinee.linear.gram import mirror

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

N_CHUNKS = 64
"""Number of chunks of columns of about equal work."""


def weighted_gram(matrix: csr_array, user: F64, item: F64, power: float = 1.0) -> F32:
    """P (n, n) float32, symmetric: P_ij = (item_i item_j Σ_u user_u x_ui x_uj)^power for X (m, n) 0/1 CSR, ascending.

    `user` (m,) and `item` (n,) are not negative. A row is summed in float64 over columns from i on, in one buffer per
    thread. Floor: ½ Σ_u L_u² adds. Memory: 4 n² bytes for P, 36 bytes per entry of X; no second (n, n) array.
    """
    n = matrix.shape[1]
    indptr = matrix.indptr.astype(np.int64)
    column = matrix.indices.astype(np.int32, copy=False)
    place = csr_array((np.arange(len(column), dtype=np.int64), column, indptr), shape=matrix.shape)
    by_column = csc_array(place)  # per column: its users, and the position of each entry in `column`
    start = by_column.indptr.astype(np.int64)
    order = np.argsort(-np.diff(start), kind="stable")
    order = np.concatenate([order[hand::N_CHUNKS] for hand in range(N_CHUNKS)])
    taker, entry = by_column.indices, by_column.data.astype(np.int64, copy=False)
    P = np.zeros((n, n), dtype=np.float32)
    _accumulate(start, entry, indptr[taker + 1], user[taker], column, order, item, float(power), P)
    mirror(P)
    return P


@parallel_kernel
def _accumulate(  # noqa: PLR0913 -- a tuple may not be unpacked inside a parallel loop
    start: I64, entry: I64, stop: I64, weight: F64, column: I32, order: I64, item: F64, power: float, P: F32
) -> None:
    n = len(P)
    for hand in prange(N_CHUNKS):
        total = np.zeros(n, dtype=np.float64)
        for o in range(hand * n // N_CHUNKS, (hand + 1) * n // N_CHUNKS):
            i = order[o]
            for e in range(start[i], start[i + 1]):
                w = weight[e]
                for p in range(entry[e], stop[e]):
                    total[column[p]] += w
            for j in range(i, n):
                if total[j] != 0.0:
                    value = total[j] * item[i] * item[j]
                    P[i, j] = value if power == 1.0 else value**power
                    total[j] = 0.0


def inverse_power(count: NDArray[np.integer], exponent: float) -> F64:
    """count^−exponent in float64; 0 where the count is 0."""
    taken = count > 0
    return np.power(count, -exponent, where=taken, out=np.zeros(len(count))) * taken
