"""Query maps: a history as the rows of item–item weights that it sums, with their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from matinee.data import Histories
from matinee.kernel import parallel_kernel, prange
from matinee.topk.kernels import F32, I32, I64, Rows
from matinee.topk.rank import rows_of

NO_VALUE = np.zeros(0, dtype=np.float32)
"""All values are 1."""


class SparseQuery(NamedTuple):
    """Rows of weights to sum: ascending codes and their values; empty values mean 1."""

    rows: Rows
    value: F32


class ItemPair(NamedTuple):
    """The items (p,) that weight rows belong to; −1 for `item` means none, for `with_item` a single item."""

    item: I32
    with_item: I32


class QueryMap(Protocol):
    """φ: maps histories to rows of weights W (r, n_items)."""

    def n_rows(self, n_items: int) -> int:
        """The number of rows of W that φ refers to; raises `ValueError` where φ does not fit the catalogue."""
        ...

    def encode(self, histories: Histories) -> SparseQuery:
        """φ of every history."""
        ...

    def parts(self, code: I32, n_items: int) -> ItemPair:
        """The items of the rows `code` (p,) of W."""
        ...


@dataclass(frozen=True)
class BinaryQuery:
    """Every item of the history once, value 1."""

    def n_rows(self, n_items: int) -> int:
        """One row for each item."""
        return n_items

    def encode(self, histories: Histories) -> SparseQuery:
        """Items, ascending; repeats count once."""
        return SparseQuery(rows_of(histories.matrix), NO_VALUE)

    def parts(self, code: I32, n_items: int) -> ItemPair:
        """Rows are items."""
        return ItemPair(code, np.full(len(code), -1, dtype=np.int32))


@dataclass(frozen=True)
class DecayedQuery:
    """Every item once, value exp(−a / decay), a the number of later interactions in the history."""

    decay: float

    def __post_init__(self) -> None:
        if not self.decay > 0:
            raise ValueError(f"decay is {self.decay}, not above 0")

    def n_rows(self, n_items: int) -> int:
        """One row for each item."""
        return n_items

    def encode(self, histories: Histories) -> SparseQuery:
        """Items, ascending; of repeats the newest counts."""
        rows = rows_of(histories.matrix)
        value = np.empty(len(rows.item), dtype=np.float32)
        _decay(histories.offsets, histories.item, rows, self.decay, value)
        return SparseQuery(rows, value)

    def parts(self, code: I32, n_items: int) -> ItemPair:
        """Rows are items."""
        return ItemPair(code, np.full(len(code), -1, dtype=np.int32))


@dataclass(frozen=True, eq=False)
class PairQuery:
    """Every item once, then n_items + p for each pair p with both items in the history, value 1.

    `pairs` (p, 2) are item codes, a < b in each, ascending.
    """

    pairs: I32

    def __post_init__(self) -> None:
        if self.pairs.ndim != 2 or self.pairs.shape[1] != 2 or self.pairs.dtype != np.int32:
            raise ValueError(f"pairs is {self.pairs.dtype} of shape {self.pairs.shape}, not int32 of shape (p, 2)")

    def n_rows(self, n_items: int) -> int:
        """One row for each item and each pair."""
        if len(self.pairs) and not 0 <= self.pairs.min() <= self.pairs.max() < n_items:
            raise ValueError(f"pairs has codes outside 0 … {n_items - 1}")
        return n_items + len(self.pairs)

    def encode(self, histories: Histories) -> SparseQuery:
        """Items, ascending, then pairs, ascending."""
        rows, n = rows_of(histories.matrix), len(histories.items)
        start = np.searchsorted(self.pairs[:, 0], np.arange(n + 1)).astype(np.int64)
        b = np.ascontiguousarray(self.pairs[:, 1])
        indptr = np.zeros_like(rows.indptr)
        np.cumsum(_count_pairs(rows, start, b), out=indptr[1:])
        item = np.empty(indptr[-1], dtype=np.int32)
        _list_pairs(rows, start, b, n, Rows(indptr, item))
        return SparseQuery(Rows(indptr, item), NO_VALUE)

    def parts(self, code: I32, n_items: int) -> ItemPair:
        """Rows are items, then pairs."""
        item, with_item = code.copy(), np.full(len(code), -1, dtype=np.int32)
        is_pair = code >= n_items
        pair = code[is_pair] - n_items
        item[is_pair], with_item[is_pair] = self.pairs[pair, 0], self.pairs[pair, 1]
        return ItemPair(item, with_item)


def is_cold(histories: Histories, popularity: F32) -> NDArray[np.bool_]:
    """Whether each history (m,) is without items of `popularity` (n_items,) above 0.

    An empty history is cold. A model knows nothing of items without training interactions.
    """
    known = np.concatenate([[0], np.cumsum(popularity[histories.item] > 0)])
    return known[histories.offsets[1:]] == known[histories.offsets[:-1]]


def append_bias(query: SparseQuery, code: int) -> SparseQuery:
    """The query with `code`, larger than all others, at the end of each row, value 1."""
    indptr, item = query.rows
    ends = indptr[1:]
    value = np.insert(query.value, ends, np.float32(1)) if len(query.value) else query.value
    longer = np.insert(item, ends, code).astype(np.int32, copy=False)
    return SparseQuery(Rows(indptr + np.arange(len(indptr)), longer), value)


@parallel_kernel
def _decay(offsets: I64, item: I32, rows: Rows, steps: float, value: F32) -> None:
    indptr, column = rows.indptr, rows.item
    for r in prange(len(offsets) - 1):
        own = column[indptr[r] : indptr[r + 1]]
        for p in range(offsets[r], offsets[r + 1]):  # oldest first: the newest repeat counts
            age = offsets[r + 1] - 1 - p
            value[indptr[r] + np.searchsorted(own, item[p])] = np.exp(-age / steps)


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
