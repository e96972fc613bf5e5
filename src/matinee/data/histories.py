"""Queries: one row of items per user, oldest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from matinee.data.codes import check_codes, check_columns, check_offsets, codes_of, numbers_of
from matinee.data.ragged import binary_csr, count_csr, make_readonly, order_by_row_time_item, row_offsets
from matinee.data.vocabulary import Vocabulary, raw_ids
from matinee.errors import DataError

Id: TypeAlias = int | str
"""A raw id, as a log's file has it."""


@dataclass(frozen=True, eq=False)
class Histories:
    """Histories of m users: row r has `item[offsets[r]:offsets[r + 1]]`, oldest first.

    `user` (m,) are codes of `users`; −1 is a new user. A row may be empty. `time` (N,) are seconds since 1970, or
    positions where only the order is known.

    Raises `DataError` for codes outside the vocabularies and arrays of another type or length.
    """

    user: NDArray[np.int32]
    offsets: NDArray[np.int64]
    item: NDArray[np.int32]
    time: NDArray[np.int64]
    users: Vocabulary
    items: Vocabulary
    titles: pl.Series | None = None

    def __post_init__(self) -> None:
        check_codes("Histories.user", self.user, len(self.users), missing=True)
        check_columns("Histories", len(self.user), user=(self.user, np.int32))
        check_offsets("Histories.offsets", self.offsets, len(self.user), len(self.item))
        check_codes("Histories.item", self.item, len(self.items))
        check_columns("Histories", len(self.item), item=(self.item, np.int32), time=(self.time, np.int64))
        make_readonly(self.user, self.offsets, self.item, self.time)

    def __len__(self) -> int:
        return len(self.user)

    @staticmethod
    def of(rows: Sequence[Iterable[int]], items: Vocabulary) -> Histories:
        """New users from rows of item codes, oldest first.

        Raises `DataError` for raw ids, for −1 and for codes that `items` does not have.
        """
        flat, offsets = _flat("Histories.of", rows)
        return _new_users(codes_of("Histories.of", flat, len(items)), offsets, items)

    @staticmethod
    def from_raw(
        rows: Sequence[Iterable[Id]], items: Vocabulary, times: Sequence[Iterable[int]] | None = None
    ) -> tuple[Histories, int]:
        """Histories of new users from raw item ids; and the number of unknown ids.

        Each of `rows` is oldest first; unknown ids are dropped. `times`, a row for each of `rows`, are seconds since
        1970; rows are then sorted by (time, item), as in a log.
        """
        flat, offsets = _flat("Histories.from_raw", rows)
        item = items.encode(raw_ids(flat))
        known = item >= 0
        row = np.repeat(np.arange(len(rows), dtype=np.int32), np.diff(offsets))[known]
        found = _new_users(item[known], row_offsets(row, len(rows)), items)
        if times is not None:
            values, time_offsets = _flat("Histories.from_raw: times", times)
            if not np.array_equal(time_offsets, offsets):
                where, expected = "Histories.from_raw: times", "a time for each id"
                raise DataError(where, "their rows have other lengths than the ids'", expected, "Give both as one row.")
            time = numbers_of("Histories.from_raw: times", values, np.int64)[known]
            order = order_by_row_time_item(row, time, found.item, len(rows), len(items))
            at = np.arange(len(time)) if order is None else order
            found = replace(found, item=found.item[at], time=time[at])
        return found, int((~known).sum())

    @cached_property
    def matrix(self) -> csr_array:
        """(m, n_items) float32 CSR of 0 and 1; items ascending in a row, duplicates merged."""
        return binary_csr(self.offsets, self.item, len(self.items))

    @cached_property
    def counts(self) -> csr_array:
        """(m, n_items) float32 CSR of counts of each item."""
        return count_csr(self.offsets, self.item, len(self.items))

    def last(self) -> NDArray[np.int32]:
        """The newest item of each row (m,); −1 where the row is empty."""
        newest = np.full(len(self), -1, dtype=np.int32)
        full = self.offsets[1:] > self.offsets[:-1]
        newest[full] = self.item[self.offsets[1:][full] - 1]
        return newest

    def padded(self, n: int) -> NDArray[np.int32]:
        """The newest n items of each row (m, n), oldest first, −1-padded left."""
        at = self.offsets[1:, None] - np.arange(n, 0, -1)[None, :]
        inside = at >= self.offsets[:-1, None]
        if len(self.item) == 0:
            return np.full((len(self), n), -1, dtype=np.int32)
        return np.where(inside, self.item[np.maximum(at, 0)], np.int32(-1)).astype(np.int32)

    def rows(self, start: int, stop: int) -> Histories:
        """Rows start..stop as views of the same arrays."""
        low, high = int(self.offsets[start]), int(self.offsets[min(stop, len(self))])
        offsets = self.offsets[start : stop + 1] - low
        return self._part(self.user[start:stop], offsets, self.item[low:high], self.time[low:high])

    def take(self, rows: NDArray[np.integer]) -> Histories:
        """The given rows, in the given order."""
        rows = codes_of("Histories.take", rows, len(self))
        length = np.diff(self.offsets)[rows]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(length, out=offsets[1:])
        at = np.repeat(self.offsets[:-1][rows] - offsets[:-1], length) + np.arange(offsets[-1])
        return self._part(self.user[rows], offsets, self.item[at], self.time[at])

    def _part(
        self, user: NDArray[np.int32], offsets: NDArray[np.int64], item: NDArray[np.int32], time: NDArray[np.int64]
    ) -> Histories:
        """Some of the rows; they are checked already and are not checked again."""
        part = object.__new__(Histories)
        rest = {"users": self.users, "items": self.items, "titles": self.titles}
        part.__dict__.update(user=user, offsets=offsets, item=item, time=time, **rest)
        make_readonly(user, offsets, item, time)
        return part


def _flat(where: str, rows: Sequence[Iterable[Any]]) -> tuple[list[Any], NDArray[np.int64]]:
    """The entries of all rows, and the offsets of the rows; refuses what is not a sequence of rows."""
    if isinstance(rows, str) or any(isinstance(row, str) or not hasattr(row, "__iter__") for row in rows):
        raise DataError(
            where, f"found {rows!r:.60}", "one row of ids for each user", "Put one user's ids in two brackets: [[…]]."
        )
    lists = [list(row) for row in rows]
    return list(chain.from_iterable(lists)), np.cumsum([0, *map(len, lists)], dtype=np.int64)


def _new_users(item: NDArray[np.int32], offsets: NDArray[np.int64], items: Vocabulary) -> Histories:
    """Rows of users without a code; times are positions."""
    position = np.arange(len(item), dtype=np.int64) - np.repeat(offsets[:-1], np.diff(offsets))
    no_users = Vocabulary.of(pl.Series("user", [], dtype=pl.Int64))
    return Histories(np.full(len(offsets) - 1, -1, dtype=np.int32), offsets, item, position, no_users, items)
