"""What a model is asked: one row a person, items oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from matinee.data.ragged import counts_matrix, frozen, ones_matrix
from matinee.data.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Histories:
    """Ragged rows: person r took `item[offsets[r]:offsets[r + 1]]` at `time[…]`, oldest first.

    `user` (m,) are codes of `users`; −1 is somebody new, whose row is all that is known of them. An empty row
    is a person without a past. `time` are seconds since 1970, or positions where only the order is known.
    """

    user: NDArray[np.int32]
    offsets: NDArray[np.int64]
    item: NDArray[np.int32]
    time: NDArray[np.int64]
    users: Vocabulary
    items: Vocabulary
    titles: pl.Series | None = None

    def __post_init__(self) -> None:
        frozen(self.user, self.offsets, self.item, self.time)

    def __len__(self) -> int:
        return len(self.user)

    @staticmethod
    def of(rows: list[list[int]], items: Vocabulary) -> Histories:
        """New people from lists of item codes, oldest first."""
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        flat = np.array([i for row in rows for i in row], dtype=np.int32)
        position = np.arange(len(flat)) - np.repeat(offsets[:-1], np.diff(offsets))
        return Histories(
            user=np.full(len(rows), -1, dtype=np.int32),
            offsets=offsets,
            item=flat,
            time=position.astype(np.int64),
            users=Vocabulary.of(pl.Series("user", [], dtype=pl.Int64)),
            items=items,
        )

    @cached_property
    def matrix(self) -> csr_array:
        """(m, n_items) float32 CSR of 0 and 1; items ascending in a row, repeats folded."""
        return ones_matrix(self.offsets, self.item, len(self.items))

    @cached_property
    def counts(self) -> csr_array:
        """(m, n_items) float32 CSR of how often each item was taken."""
        return counts_matrix(self.offsets, self.item, len(self.items))

    def last(self) -> NDArray[np.int32]:
        """The newest item of each row (m,); −1 where the row is empty."""
        newest = np.full(len(self), -1, dtype=np.int32)
        full = self.offsets[1:] > self.offsets[:-1]
        newest[full] = self.item[self.offsets[1:][full] - 1]
        return newest

    def padded(self, n: int) -> NDArray[np.int32]:
        """The newest n items of each row, (m, n), oldest first, −1 padding on the left."""
        at = self.offsets[1:, None] - np.arange(n, 0, -1)[None, :]
        inside = at >= self.offsets[:-1, None]
        if len(self.item) == 0:
            return np.full((len(self), n), -1, dtype=np.int32)
        return np.where(inside, self.item[np.maximum(at, 0)], np.int32(-1)).astype(np.int32)

    def rows(self, start: int, stop: int) -> Histories:
        """Rows start..stop as views of the same arrays."""
        low, high = int(self.offsets[start]), int(self.offsets[min(stop, len(self))])
        return Histories(
            user=self.user[start:stop],
            offsets=self.offsets[start : stop + 1] - low,
            item=self.item[low:high],
            time=self.time[low:high],
            users=self.users,
            items=self.items,
            titles=self.titles,
        )

    def take(self, rows: NDArray[np.integer]) -> Histories:
        """The given rows, in the given order."""
        length = np.diff(self.offsets)[rows]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(length, out=offsets[1:])
        at = np.repeat(self.offsets[:-1][rows] - offsets[:-1], length) + np.arange(offsets[-1])
        return Histories(self.user[rows], offsets, self.item[at], self.time[at], self.users, self.items, self.titles)
