"""The Gram matrix G = X'X: common users of every pair of items, exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from matinee.kernel import kernel, parallel_kernel, prange

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
F32 = NDArray[np.float32]

EXACT = 2**24
"""Whole numbers up to this are exact in float32; a float32 sum of ones stops growing here."""


def gram(matrix: csr_array) -> F32:
    """G (n, n) float32, symmetric, of X (m, n) 0/1 CSR with columns ascending; counts are exact up to 2²⁴.

    Counts are summed as int32, so above that they still grow, rounded. Row i of G is summed over the users of item i,
    and only over columns from i on, so a row of 4 n bytes stays in the first-level cache. Floor: ½ Σ_u L_u² adds and
    as many 4-byte reads, L_u the length of a history. Memory: 4 n² bytes for G and 12 bytes per entry of X.
    """
    n = matrix.shape[1]
    indptr, column = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False)
    start, entry, stop = _by_column(indptr, column, n)
    G = np.zeros((n, n), dtype=np.float32)
    _accumulate(start, entry, stop, column, _balanced_order(start), G)
    mirror(G)
    return G


@kernel
def _by_column(indptr: I64, column: I32, n: int) -> tuple[I64, I64, I64]:
    """Entries of every column: their positions in `column` and the ends of their rows."""
    start = np.zeros(n + 1, dtype=np.int64)
    for c in column:
        start[c + 1] += 1
    for c in range(n):
        start[c + 1] += start[c]
    fill = start[:-1].copy()
    entry = np.empty(len(column), dtype=np.int64)
    stop = np.empty(len(column), dtype=np.int64)
    for r in range(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            at = fill[column[p]]
            entry[at], stop[at] = p, indptr[r + 1]
            fill[column[p]] = at + 1
    return start, entry, stop


def _balanced_order(start: I64) -> I64:
    """Columns in round-robin order, long ones first, so that equal ranges are about equal work."""
    order = np.argsort(-np.diff(start), kind="stable")
    return np.concatenate([order[hand::64] for hand in range(64)])


@parallel_kernel
def _accumulate(start: I64, entry: I64, stop: I64, column: I32, order: I64, G: F32) -> None:
    for o in prange(len(order)):
        i = order[o]
        count = np.zeros(len(G), dtype=np.int32)
        for e in range(start[i], start[i + 1]):
            for p in range(entry[e], stop[e]):
                count[column[p]] += 1
        G[i] = count


@parallel_kernel
def mirror(A: F32) -> None:
    """Copy the upper triangle of A (n, n) onto the lower, in place, block by block."""
    n, b = len(A), 64
    blocks = (n + b - 1) // b
    for I in prange(blocks):
        for J in range(I + 1):
            for i in range(I * b, min(n, (I + 1) * b)):
                for j in range(J * b, min(i, (J + 1) * b)):
                    A[i, j] = A[j, i]
