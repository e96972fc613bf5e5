"""Ranked lists: one row for each user, best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data import Vocabulary
from matinee.data.codes import check_array, check_codes
from matinee.data.ragged import make_readonly
from matinee.errors import DataError


class ItemsAndScores(NamedTuple):
    """Lists without users: item (m, k) and score (m, k), best first, padded with −1 and −inf."""

    item: NDArray[np.int32]
    score: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TopK:
    """Row r lists `item[r]` (m, k) with `score[r]`, best first, ties by item code, padded with −1 and −inf.

    `user` (m,) are codes of `users`, −1 for a new user. `titles` (n_items,) make lists readable, where known.
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
        """The largest length of a list."""
        return self.item.shape[1]

    @property
    def length(self) -> NDArray[np.int64]:
        """The number of items in each list (m,)."""
        return (self.item >= 0).sum(axis=1)

    def first(self, k: int) -> TopK:
        """The same lists cut after k items."""
        return TopK(self.user, self.item[:, :k], self.score[:, :k], self.users, self.items, self.titles)

    def frame(self) -> pl.DataFrame:
        """One row for each listed item: user and item (raw ids), title where known, rank, score.

        Ranks start at 1; padding is left out. New users have a null user; the column `row` separates them.
        """
        listed = self.item >= 0
        row = np.repeat(np.arange(len(self)), self.k).reshape(self.item.shape)[listed]
        code = self.item[listed]
        columns = {
            "row": pl.Series("row", row),
            "user": self.users.decode(self.user[row]),
            "item": self.items.decode(code),
        }
        if self.titles is not None:
            columns["title"] = self.titles.gather(code)
        rank = np.broadcast_to(np.arange(1, self.k + 1, dtype=np.int32), self.item.shape)[listed]
        columns |= {"rank": pl.Series("rank", rank), "score": pl.Series("score", self.score[listed])}
        frame = pl.DataFrame(columns)
        return frame if (self.user < 0).any() else frame.drop("row")
