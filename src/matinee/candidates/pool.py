"""The lists of several models for the same users, as one ragged users × candidates structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.candidates import kernels
from matinee.contract import free_memory
from matinee.data import Vocabulary
from matinee.data.ragged import make_readonly
from matinee.errors import DataError, InsufficientMemoryError, SpecError
from matinee.topk import TopK

F32: TypeAlias = NDArray[np.float32]
I64: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CandidatePool:
    """The lists of M members for m users, and their c candidates.

    The candidates of row r are `item[offsets[r]:offsets[r + 1]]`: all items that a member lists, ascending. `rank`
    (M, c) uint16 is the rank of a candidate in a member's list, from 1; 0 if it is not listed. Built once; combining
    members is arithmetic on it. Memory: 2 M c bytes, and 4 M c more for the points of a rule.
    """

    lists: tuple[TopK, ...]
    """The members' lists with aligned rows, at most `depth` items each."""

    names: tuple[str, ...]
    offsets: I64
    item: NDArray[np.int32]
    rank: NDArray[np.uint16]

    def __post_init__(self) -> None:
        make_readonly(self.offsets, self.item, self.rank)

    @staticmethod
    def of(members: Mapping[str, TopK], depth: int | None = None) -> CandidatePool:
        """The pool of named lists, each cut after `depth` items; None means all.

        Rows are the users of the first member, in its order. A user without a list of another member has an empty
        list there. Raises `DataError` if the lists encode ids differently, `InsufficientMemoryError` before allocating
        what does not fit.
        """
        if not members:
            raise SpecError("ensemble", "it has no members", "at least one member")
        names = tuple(members)
        lists = _align(members, depth)
        deep = max(one.k for one in lists)
        item = np.full((len(lists), len(lists[0]), deep), -1, dtype=np.int32)
        for at, one in enumerate(lists):
            item[at, :, : one.k] = one.item
        n_items = len(lists[0].items)
        offsets = np.zeros(len(lists[0]) + 1, dtype=np.int64)
        np.cumsum(kernels.count_candidates(item, n_items), out=offsets[1:])
        _check_memory(len(lists), int(offsets[-1]))
        union = np.empty(offsets[-1], dtype=np.int32)
        rank = np.zeros((len(lists), len(union)), dtype=np.uint16)
        kernels.list_candidates(item, n_items, offsets, union, rank)
        return CandidatePool(lists, names, offsets, union, rank)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def user(self) -> NDArray[np.int32]:
        """User codes (m,) of the rows; −1 for new users."""
        return self.lists[0].user

    @property
    def users(self) -> Vocabulary:
        """Ids of the users."""
        return self.lists[0].users

    @property
    def items(self) -> Vocabulary:
        """Ids of the items."""
        return self.lists[0].items

    @cached_property
    def row(self) -> NDArray[np.int32]:
        """Row of each candidate, (c,)."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))

    def scatter(self, member: int, value: F32, missing: F32) -> F32:
        """Values of a member for all candidates, (c,).

        `value` (m, depth) by list position, `missing` (m,) for candidates it does not list.
        """
        out = np.empty(len(self.item), dtype=np.float32)
        kernels.scatter_values(self.rank[member], self.offsets, np.ascontiguousarray(value), missing, out)
        return out

    def is_listed(self, weights: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether a member with weight above 0 lists each candidate, (c,).

        `weights` (M,), or (m, M) with a row per user.
        """
        out = np.zeros(len(self.item), dtype=np.bool_)
        for rank, own in zip(self.rank, weights.T > 0, strict=True):
            if own.any():
                out |= (rank > 0) & (own if own.ndim == 0 else own[self.row])
        return out

    def filter(self, which: NDArray[np.bool_]) -> CandidatePool:
        """The pool of the same members with only the candidates `which` (c,)."""
        before = np.zeros(len(which) + 1, dtype=np.int64)
        np.cumsum(which, out=before[1:])
        return CandidatePool(
            self.lists, self.names, before[self.offsets], self.item[which], np.ascontiguousarray(self.rank[:, which])
        )

    def top(self, score: NDArray[np.floating], k: int) -> TopK:
        """The best k candidates of every row by `score` (c,); ties by item code.

        Candidates of score −inf are not listed.
        """
        item, best = kernels.top_of_candidates(self.offsets, self.item, score.astype(np.float32, copy=False), k)
        return TopK(self.user, item, best, self.users, self.items, self.lists[0].titles)

    def select_rows(self, which: NDArray[np.intp]) -> CandidatePool:
        """The pool of some of the users, rows `which` in ascending order."""
        size = np.diff(self.offsets)[which]
        offsets = np.concatenate([[0], np.cumsum(size)])
        at = np.repeat(self.offsets[which] - offsets[:-1], size) + np.arange(offsets[-1])
        lists = tuple(
            TopK(one.user[which], one.item[which], one.score[which], one.users, one.items, one.titles)
            for one in self.lists
        )
        return CandidatePool(lists, self.names, offsets, self.item[at], np.ascontiguousarray(self.rank[:, at]))


def _align(members: Mapping[str, TopK], depth: int | None) -> tuple[TopK, ...]:
    """The lists of every member, cut after `depth` items, in the rows of the first."""
    first = next(iter(members.values()))
    out: list[TopK] = []
    for name, one in members.items():
        if one.users != first.users or one.items != first.items:
            found = f"the lists of {name!r} encode users or items differently"
            raise DataError("ensemble", found, "one vocabulary for all members", "Read all lists with the same log.")
        cut = one if depth is None else one.first(min(depth, one.k))
        out.append(cut if np.array_equal(one.user, first.user) else _reorder(cut, first.user, name))
    return tuple(out)


def _reorder(lists: TopK, user: NDArray[np.int32], name: str) -> TopK:
    """The lists of the users `user` (m,); empty where there is none."""
    if (user < 0).any() or (lists.user < 0).any():
        found = f"{name!r} lists other rows, some of them of new users (code −1), which cannot be matched"
        raise DataError("ensemble", found, "lists of all members in the same rows", "Make all lists from one split.")
    place = np.full(len(lists.users), len(lists))
    place[lists.user] = np.arange(len(lists))
    item = np.vstack([lists.item, np.full((1, lists.k), -1, dtype=np.int32)])
    score = np.vstack([lists.score, np.full((1, lists.k), -np.inf, dtype=np.float32)])
    return TopK(user, item[place[user]], score[place[user]], lists.users, lists.items, lists.titles)


def _check_memory(n_members: int, candidates: int) -> None:
    """Refuse a pool if its ranks and points exceed the free memory."""
    needed, available = n_members * candidates * 6 + candidates * 16, free_memory()
    if needed > available:
        what = f"a pool of {n_members} members and {candidates:,} candidates"
        raise InsufficientMemoryError(what, needed, available, "Use fewer members or a smaller depth.")
