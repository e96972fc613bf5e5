"""The entries of a sparse matrix by column, and an order of columns of about equal work."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from matinee.arrays import F64, I32, I64
from matinee.kernel import kernel

CHUNKS = 64
"""Number of chunks of columns of about equal work."""


class ColumnEntries(NamedTuple):
    """Entries of a CSR matrix (m, n) with N entries, sorted by column, then row."""

    start: I64
    """(n + 1,) the first entry of every column."""

    position: I64
    """(N,) where the entry is in the arrays of the CSR matrix."""

    stop: I64
    """(N,) where the row of the entry ends in these arrays."""


def entries_by_column(indptr: I64, column: I32, n: int) -> ColumnEntries:
    """The entries of every column of a CSR matrix with n columns; 16 bytes each."""
    return ColumnEntries(*_sort_entries(indptr, column, n))


@kernel
def _sort_entries(indptr: I64, column: I32, n: int) -> tuple[I64, I64, I64]:
    """Counting sort of the entries by column: start, position, stop."""
    start = np.zeros(n + 1, dtype=np.int64)
    for c in column:
        start[c + 1] += 1
    for c in range(n):
        start[c + 1] += start[c]
    fill = start[:-1].copy()
    position = np.empty(len(column), dtype=np.int64)
    stop = np.empty(len(column), dtype=np.int64)
    for r in range(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            at = fill[column[p]]
            position[at], stop[at] = p, indptr[r + 1]
            fill[column[p]] = at + 1
    return start, position, stop


def balanced_order(work: I64 | F64) -> I64:
    """Columns (n,), most `work` (n,) first, dealt round-robin to `CHUNKS` successive chunks."""
    order = np.argsort(-work, kind="stable")
    return np.concatenate([order[chunk::CHUNKS] for chunk in range(CHUNKS)])


@kernel
def largest_repeats(indptr: I64, column: I32, n: int) -> I64:
    """Largest number of entries of one column in each row (m,) of a CSR matrix."""
    count = np.zeros(n, dtype=np.int64)
    largest = np.zeros(len(indptr) - 1, dtype=np.int64)
    for r in range(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            count[column[p]] += 1
            largest[r] = max(largest[r], count[column[p]])
        for p in range(indptr[r], indptr[r + 1]):
            count[column[p]] = 0
    return largest
