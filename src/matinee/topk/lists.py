"""Ranked lists: one row a person, best first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data import Vocabulary
from matinee.data.codes import check_array, check_codes
from matinee.data.ragged import make_readonly
from matinee.errors import DataError


@dataclass(frozen=True, eq=False)
class TopK:
    """Row r lists `item[r]` (m, k) with `score[r]`, best first, ties by item code, padded with −1 and −inf.

    `user` (m,) are codes of `users`, −1 for somebody new. `titles` (n_items,) make lists readable, where known.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    score: NDArray[np.float32]
    users: Vocabulary
    items: Vocabulary
    titles: pl.Series | None = None

    def __post_init__(self) -> None:
        check_codes("TopK.user", self.user, len(self.users), missing=True)
        check_codes("TopK.item", self.item, len(self.items), missing=True)
        if self.item.ndim != 2 or len(self.item) != len(self.user):
            found = f"found the shape {self.item.shape}"
            raise DataError(
                "TopK.item", found, f"({len(self.user)}, k), a row for each user", "Pad short lists with −1."
            )
        check_array("TopK.score", self.score, np.float32, self.item.shape)
        make_readonly(self.user, self.item, self.score)

    def __len__(self) -> int:
        return len(self.user)

    @property
    def k(self) -> int:
        """The length every list has room for."""
        return self.item.shape[1]

    @property
    def length(self) -> NDArray[np.int64]:
        """How many items each list really has, (m,)."""
        return (self.item >= 0).sum(axis=1)

    def first(self, k: int) -> TopK:
        """The same lists cut after k items."""
        return TopK(self.user, self.item[:, :k], self.score[:, :k], self.users, self.items, self.titles)

    def frame(self) -> pl.DataFrame:
        """One row an item: user, item (raw ids), title where known, rank from 1, score. Padding is left out.

        Somebody new has a null user; `row` tells them apart.
        """
        there = self.item >= 0
        row = np.repeat(np.arange(len(self)), self.k).reshape(self.item.shape)[there]
        code = self.item[there]
        columns = {
            "row": pl.Series("row", row),
            "user": self.users.decode(self.user[row]),
            "item": self.items.decode(code),
        }
        if self.titles is not None:
            columns["title"] = self.titles.gather(code)
        rank = np.broadcast_to(np.arange(1, self.k + 1, dtype=np.int32), self.item.shape)[there]
        columns |= {"rank": pl.Series("rank", rank), "score": pl.Series("score", self.score[there])}
        frame = pl.DataFrame(columns)
        return frame if (self.user < 0).any() else frame.drop("row")
