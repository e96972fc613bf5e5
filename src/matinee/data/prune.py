"""Filters of an encoded log: duplicates merged, k-core; vocabularies shrink accordingly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from matinee.data.interactions import Interactions
from matinee.data.vocabulary import Vocabulary
from matinee.kernel import kernel


def merge_duplicates(log: Interactions) -> Interactions:
    """Each (user, item) once, at its earliest row; weights add up."""
    first = _first_rows(log.offsets, log.item, log.n_items)
    keep = first == np.arange(len(first))
    weight = log.weight
    if weight is not None:
        weight = np.bincount(first, weights=weight, minlength=len(first)).astype(np.float32)
    return replace(log, weight=weight).filter(keep)


def first_duplicate(log: Interactions) -> int | None:
    """First row with a (user, item) that occurred before, or None."""
    first = _first_rows(log.offsets, log.item, log.n_items)
    repeats = first != np.arange(len(first))
    return int(repeats.argmax()) if repeats.any() else None


def k_core(log: Interactions, least: int) -> Interactions:
    """Largest part with at least `least` distinct items per user and users per item."""
    first = _first_rows(log.offsets, log.item, log.n_items) == np.arange(len(log))
    users, items = _core(log.user[first], log.item[first], log.n_users, log.n_items, least)
    if users.all() and items.all():
        return log
    keep = users[log.user] & items[log.item]
    rows = log.filter(keep)
    user = (np.cumsum(users, dtype=np.int32) - np.int32(1))[rows.user]
    item = (np.cumsum(items, dtype=np.int32) - np.int32(1))[rows.item]
    return replace(rows, users=_subset(log.users, users), items=_subset(log.items, items), user=user, item=item)


def rank_times(log: Interactions) -> Interactions:
    """The log with times 0, 1, 2 … per user; equal times share a position."""
    return replace(log, time=_positions(log.offsets, log.time))


def ties_out_of_order(log: Interactions) -> bool:
    """Whether rows equal in user, time and item stand in another order than by weight."""
    weight = log.weight
    return weight is not None and bool(_ties_out_of_order(log.user, log.item, log.time, weight))


def _subset(vocabulary: Vocabulary, keep: NDArray[np.bool_]) -> Vocabulary:
    return Vocabulary(vocabulary.ids.gather(np.flatnonzero(keep)))


@kernel
def _first_rows(offsets: NDArray[np.int64], item: NDArray[np.int32], n_items: int) -> NDArray[np.int64]:
    """For every row the earliest row with the same user and item; rows stand sorted by user."""
    seen = np.full(n_items, -1, dtype=np.int64)
    first = np.empty(len(item), dtype=np.int64)
    for u in range(len(offsets) - 1):
        for r in range(offsets[u], offsets[u + 1]):
            i = item[r]
            if seen[i] < offsets[u]:
                seen[i] = r
            first[r] = seen[i]
    return first


@kernel
def _core(
    user: NDArray[np.int32], item: NDArray[np.int32], n_users: int, n_items: int, least: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks (n_users,), (n_items,) of the core of distinct pairs; one pass per round."""
    users, items = np.ones(n_users, dtype=np.bool_), np.ones(n_items, dtype=np.bool_)
    changed = True
    while changed:
        changed = False
        of_user, of_item = np.zeros(n_users, dtype=np.int64), np.zeros(n_items, dtype=np.int64)
        for r in range(len(user)):
            if users[user[r]] and items[item[r]]:
                of_user[user[r]] += 1
                of_item[item[r]] += 1
        for u in range(n_users):
            if users[u] and of_user[u] < least:
                users[u], changed = False, True
        for i in range(n_items):
            if items[i] and of_item[i] < least:
                items[i], changed = False, True
    return users, items


@kernel
def _positions(offsets: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.int64]:
    out = np.zeros(len(time), dtype=np.int64)
    for u in range(len(offsets) - 1):
        for r in range(offsets[u] + 1, offsets[u + 1]):
            out[r] = out[r - 1] + (1 if time[r] != time[r - 1] else 0)
    return out


@kernel
def _ties_out_of_order(
    user: NDArray[np.int32], item: NDArray[np.int32], time: NDArray[np.int64], weight: NDArray[np.float32]
) -> bool:
    for r in range(1, len(user)):
        same = user[r] == user[r - 1] and item[r] == item[r - 1] and time[r] == time[r - 1]
        if same and weight[r] < weight[r - 1]:
            return True
    return False
