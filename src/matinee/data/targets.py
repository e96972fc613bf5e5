"""Held-out items: the target items of each query, each with the label of its part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from matinee.data.codes import check_codes, check_columns, check_offsets, codes_of
from matinee.data.ragged import make_readonly, order_by_row_time_item
from matinee.data.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Targets:
    """Target items of m queries: row r has `item[offsets[r]:offsets[r + 1]]`, item codes ascending.

    Row r belongs to row r of the `Histories` queried; `user` (m,) are its codes, −1 for a new user. `part` (N,)
    indexes `parts`, e.g. ("random", "last"). Metrics exclude rows without targets. A model never receives targets.
    """

    user: NDArray[np.int32]
    offsets: NDArray[np.int64]
    item: NDArray[np.int32]
    part: NDArray[np.int8]
    parts: tuple[str, ...]
    users: Vocabulary
    items: Vocabulary

    def __post_init__(self) -> None:
        check_codes("Targets.user", self.user, len(self.users), missing=True)
        check_offsets("Targets.offsets", self.offsets, len(self.user), len(self.item))
        check_codes("Targets.item", self.item, len(self.items))
        check_columns("Targets", len(self.item), item=(self.item, np.int32), part=(self.part, np.int8))
        make_readonly(self.user, self.offsets, self.item, self.part)

    def __len__(self) -> int:
        return len(self.user)

    @staticmethod
    def from_rows(  # noqa: PLR0913 - the columns of one table
        users: Vocabulary,
        items: Vocabulary,
        user: NDArray[np.int32],
        row: ArrayLike,
        item: ArrayLike,
        part: ArrayLike,
        parts: tuple[str, ...],
    ) -> Targets:
        """Targets from held-out entries (N,) in any order.

        `user` (m,) are the user codes of the rows. `row`, `item` and `part` (N,) are the entries. A (row, item) that
        occurs twice counts once, in its first part.
        """
        r = codes_of("Targets.row", row, len(user))
        i, p = codes_of("Targets.item", item, len(items)), codes_of("Targets.part", part, len(parts))
        check_columns("Targets", len(r), item=(i, np.int32), part=(p, np.int32))
        order = order_by_row_time_item(r, i.astype(np.int64), p, len(user), len(parts))
        if order is not None:
            r, i, p = r[order], i[order], p[order]
        first = np.ones(len(r), dtype=np.bool_)
        first[1:] = (r[1:] != r[:-1]) | (i[1:] != i[:-1])
        offsets = np.zeros(len(user) + 1, dtype=np.int64)
        np.cumsum(np.bincount(r[first], minlength=len(user)), out=offsets[1:])
        return Targets(user, offsets, i[first], p[first].astype(np.int8), parts, users, items)

    @cached_property
    def matrix(self) -> csr_array:
        """(m, n_items) int8 CSR; the value is the part's index + 1."""
        shape = (len(self), len(self.items))
        return csr_array((self.part + np.int8(1), self.item, self.offsets), shape=shape)

    @cached_property
    def count(self) -> NDArray[np.int64]:
        """Number of targets per row, (m,)."""
        return np.diff(self.offsets)

    def select_part(self, part: str) -> Targets:
        """The targets of one part; all rows remain, so that values per user align."""
        keep = self.part == self.parts.index(part)
        row = np.repeat(np.arange(len(self)), self.count)[keep]
        return Targets.from_rows(self.users, self.items, self.user, row, self.item[keep], self.part[keep], self.parts)
