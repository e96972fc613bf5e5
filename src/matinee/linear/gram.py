"""The Gram matrix G = X'X: common users of every pair of items, exact."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from matinee.arrays import F32, I32, I64
from matinee.errors import DataError
from matinee.kernel import parallel_kernel, prange
from matinee.linear.columns import balanced_order, entries_by_column

EXACT = 2**24
"""Whole numbers up to this are exact in float32; a float32 sum of ones stops growing here."""


def gram(matrix: csr_array) -> F32:
    """G (n, n) float32, symmetric, of X (m, n) 0/1 CSR with columns ascending.

    Counts are sums of int32, exact up to 2²⁴ and rounded above. Row i of G is summed over the users of item i, and only
    over columns from i on, so a row of 4 n bytes stays in the first-level cache. Floor: ½ Σ_u L_u² adds and as many
    4-byte reads, L_u the length of a history. Memory: 4 n² bytes for G and 16 bytes per entry of X.
    """
    n = matrix.shape[1]
    indptr, column = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False)
    start, position, stop = entries_by_column(indptr, column, n)
    G = np.zeros((n, n), dtype=np.float32)
    _accumulate(start, position, stop, column, balanced_order(np.diff(start)), G)
    mirror(G)
    return G


def check_summable(where: str, n_terms: int) -> None:
    """Raise `DataError` where a float32 sum could have more than 2²⁴ terms."""
    if n_terms > EXACT:
        found = f"found a sum of up to {n_terms:,} terms in single precision"
        raise DataError(where, found, f"at most {EXACT:,}", "Fit on a sample of the users.")


@parallel_kernel
def _accumulate(start: I64, position: I64, stop: I64, column: I32, order: I64, G: F32) -> None:
    for o in prange(len(order)):
        i = order[o]
        count = np.zeros(len(G), dtype=np.int32)
        for e in range(start[i], start[i + 1]):
            for p in range(position[e], stop[e]):
                count[column[p]] += 1
        G[i] = count


@parallel_kernel
def mirror(A: F32) -> None:
    """Copy the upper triangle of A (n, n) onto the lower, in place."""
    n, b = len(A), 64
    blocks = (n + b - 1) // b
    for I in prange(blocks):
        for J in range(I + 1):
            for i in range(I * b, min(n, (I + 1) * b)):
                for j in range(J * b, min(i, (J + 1) * b)):
                    A[i, j] = A[j, i]
