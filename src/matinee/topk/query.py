"""How a linear model sees a history: as a set, fading with age, or with the pairs of items that stand in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matinee.data import Histories
from matinee.kernel import parallel_kernel, prange
from matinee.topk.item_item import SparseQuery
from matinee.topk.kernels import F32, I32, I64, Rows
from matinee.topk.rank import rows_of

NO_VALUE = np.zeros(0, dtype=np.float32)
"""All values are 1."""


def is_cold(histories: Histories, prior: F32) -> NDArray[np.bool_]:
    """Whose history holds no item with a `prior` (n_items,), how many people took each, above 0: (m,).

    An empty one is such: a model that never saw anybody take what stands in a history knows nothing of its person.
    """
    known = np.concatenate([[0], np.cumsum(prior[histories.item] > 0)])
    return known[histories.offsets[1:]] == known[histories.offsets[:-1]]


def binary(histories: Histories) -> SparseQuery:
    """Every item once, value 1."""
    return SparseQuery(rows_of(histories.matrix), NO_VALUE)


def decayed(histories: Histories, steps: float) -> SparseQuery:
    """Every item once, value exp(−a / steps), a the items taken since it was taken last."""
    matrix = histories.matrix
    rows = rows_of(matrix)
    value = np.empty(len(rows.item), dtype=np.float32)
    _decay(histories.offsets, histories.item, rows, steps, value)
    return SparseQuery(rows, value)


@parallel_kernel
def _decay(offsets: I64, item: I32, rows: Rows, steps: float, value: F32) -> None:
    indptr, column = rows.indptr, rows.item
    for r in prange(len(offsets) - 1):
        own = column[indptr[r] : indptr[r + 1]]
        for p in range(offsets[r], offsets[r + 1]):  # oldest first: the newest take has the last word
            age = offsets[r + 1] - 1 - p
            value[indptr[r] + np.searchsorted(own, item[p])] = np.exp(-age / steps)


def append_bias(asked: SparseQuery, code: int) -> SparseQuery:
    """The same rows with `code`, larger than all others, at the end of each, value 1: what counts for everybody."""
    indptr, item = asked.rows
    ends = indptr[1:]
    value = np.insert(asked.value, ends, np.float32(1)) if len(asked.value) else asked.value
    longer = np.insert(item, ends, code).astype(np.int32, copy=False)
    return SparseQuery(Rows(indptr + np.arange(len(indptr)), longer), value)


def append_pairs(histories: Histories, pairs: NDArray[np.int32]) -> SparseQuery:
    """Every item once, then n + p for each pair p whose two items both stand in the history, value 1.

    `pairs` (p, 2) are item codes, a < b in each, ascending.
    """
    rows, n = rows_of(histories.matrix), len(histories.items)
    start = np.searchsorted(pairs[:, 0], np.arange(n + 1)).astype(np.int64)
    b = np.ascontiguousarray(pairs[:, 1])
    indptr = np.zeros_like(rows.indptr)
    np.cumsum(_count_pairs(rows, start, b), out=indptr[1:])
    item = np.empty(indptr[-1], dtype=np.int32)
    _list_pairs(rows, start, b, n, Rows(indptr, item))
    return SparseQuery(Rows(indptr, item), NO_VALUE)


@parallel_kernel
def _count_pairs(rows: Rows, start: I64, b: I32) -> I64:
    indptr, column = rows.indptr, rows.item
    length = np.zeros(len(indptr) - 1, dtype=np.int64)
    for r in prange(len(length)):
        own = column[indptr[r] : indptr[r + 1]]
        found = len(own)
        for i in own:
            for p in range(start[i], start[i + 1]):
                at = np.searchsorted(own, b[p])
                if at < len(own) and own[at] == b[p]:
                    found += 1
        length[r] = found
    return length


@parallel_kernel
def _list_pairs(rows: Rows, start: I64, b: I32, n: int, out: Rows) -> None:
    indptr, column = rows.indptr, rows.item
    to, listed = out.indptr, out.item
    for r in prange(len(indptr) - 1):
        own = column[indptr[r] : indptr[r + 1]]
        end = to[r] + len(own)
        listed[to[r] : end] = own
        for i in own:
            for p in range(start[i], start[i + 1]):
                at = np.searchsorted(own, b[p])
                if at < len(own) and own[at] == b[p]:
                    listed[end] = n + p
                    end += 1
