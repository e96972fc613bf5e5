"""What was held out: the items each asked person really took, with a label for the part they belong to."""

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
    """Row r, the person of row r of the `Histories` asked, took `item[offsets[r]:offsets[r + 1]]`, ascending.

    `part` (N,) indexes `parts`, e.g. ("random", "tail"). An empty row is a person without answers: metrics leave
    them out. Answers never reach a model.
    """

    user: NDArray[np.int32]
    offsets: NDArray[np.int64]
    item: NDArray[np.int32]
    part: NDArray[np.int8]
    parts: tuple[str, ...]
    users: Vocabulary
    items: Vocabulary

    def __post_init__(self) -> None:
        check_codes("Answers.user", self.user, len(self.users), missing=True)
        check_offsets("Answers.offsets", self.offsets, len(self.user), len(self.item))
        check_codes("Answers.item", self.item, len(self.items))
        check_columns("Answers", len(self.item), item=(self.item, np.int32), part=(self.part, np.int8))
        make_readonly(self.user, self.offsets, self.item, self.part)

    def __len__(self) -> int:
        return len(self.user)

    @staticmethod
    def of(
        row: ArrayLike,
        item: ArrayLike,
        part: ArrayLike,
        parts: tuple[str, ...],
        asked: tuple[NDArray[np.int32], Vocabulary, Vocabulary],
    ) -> Targets:
        """From held-out (row, item, part) in any order; a pair held out twice counts once, in its first part.

        `asked` is (user codes of the rows (m,), users, items).
        """
        user, users, items = asked
        r = codes_of("Answers.row", row, len(user))
        i, p = codes_of("Answers.item", item, len(items)), codes_of("Answers.part", part, len(parts))
        check_columns("Answers", len(r), item=(i, np.int32), part=(p, np.int32))
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
        """How many answers each row has, (m,)."""
        return np.diff(self.offsets)

    def select_part(self, part: str) -> Targets:
        """The answers of one part; the rows stay, so per-user numbers line up."""
        keep = self.part == self.parts.index(part)
        row = np.repeat(np.arange(len(self)), self.count)[keep]
        return Targets.of(row, self.item[keep], self.part[keep], self.parts, (self.user, self.users, self.items))
