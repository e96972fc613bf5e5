"""Draws that belong to a person: a stream keyed by (seed, raw id), so that nobody else can change them."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from matinee.data import Interactions, Vocabulary
from matinee.hashing import GOLDEN, mix64, mix64_array, uniform_array
from matinee.kernel import parallel_kernel, prange


def user_keys(users: Vocabulary, seed: int, purpose: int = 0) -> NDArray[np.uint64]:
    """One key a user (n_users,) from the raw id, the seed and what the draws are for; never from code or row order."""
    if users.is_text:
        own = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in users.ids]
        ids = np.frombuffer(b"".join(own), dtype="<u8").astype(np.uint64)
    else:
        ids = mix64_array(users.ids.to_numpy().astype(np.uint64))
    salt = mix64_array(np.array([seed % 2**64], dtype=np.uint64) + GOLDEN * np.array([purpose + 1], dtype=np.uint64))
    return mix64_array(ids ^ salt)


def uniform(key: NDArray[np.uint64]) -> NDArray[np.float64]:
    """A number in [0, 1) a key."""
    return uniform_array(key)


def hold_out_items(
    log: Interactions, sizes: NDArray[np.int64], key: NDArray[np.uint64]
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Hold out of every user u `want[u]` = (items at random, rows at the end); (n_users, 2).

    The last rows are taken off first. Then distinct items are drawn from those that remain and that the end does
    not hold already, and each goes with all its rows, so that a drawn answer is never left to learn from. At least
    one item stays. Gives where each row goes (N,): −1 stays, 0 drawn, 1 end; and what was really taken (n_users, 2).
    Cost O(N log(row length)), side by side over users; N bytes beside the log.
    """
    held = np.full(len(log), -1, dtype=np.int8)
    got = _hold_out_items(_read_only(log.offsets), log.item, sizes, key, held)
    return held, got


def n_distinct_items(log: Interactions) -> NDArray[np.int64]:
    """How many different items each user took, (n_users,)."""
    return _count_distinct(_read_only(log.offsets), log.item)


def _read_only(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """A read-only view, so that loops are compiled for one kind of array."""
    view = offsets.view()
    view.flags.writeable = False
    return view


@parallel_kernel
def _hold_out_items(
    offsets: NDArray[np.int64],
    item: NDArray[np.int32],
    sizes: NDArray[np.int64],
    key: NDArray[np.uint64],
    held: NDArray[np.int8],
) -> NDArray[np.int64]:
    got = np.zeros(sizes.shape, dtype=np.int64)
    for u in prange(len(offsets) - 1):
        low, end = offsets[u], offsets[u + 1] - sizes[u, 1]
        held[end : offsets[u + 1]] = 1
        got[u, 1] = sizes[u, 1]
        if sizes[u, 0] == 0 or end <= low:
            continue
        pool, tail = np.sort(item[low:end]), np.sort(item[end : offsets[u + 1]])
        n, left, at = 0, 0, 0  # n may be drawn, `left` are left by the end
        for i in range(len(pool)):
            if i > 0 and pool[i] == pool[i - 1]:
                continue
            left += 1
            while at < len(tail) and tail[at] < pool[i]:
                at += 1
            if at == len(tail) or tail[at] != pool[i]:
                pool[n], n = pool[i], n + 1
        take = min(sizes[u, 0], n, left - 1)
        state = key[u]
        for i in range(take):  # Fisher–Yates, stopped after `take`
            state = state + GOLDEN
            j = i + np.int64(((mix64(state) >> np.uint64(32)) * np.uint64(n - i)) >> np.uint64(32))
            pool[i], pool[j] = pool[j], pool[i]
        drawn = np.sort(pool[:take])
        for i in range(low, end):
            at = np.searchsorted(drawn, item[i])
            if at < take and drawn[at] == item[i]:
                held[i] = 0
        got[u, 0] = take
    return got


@parallel_kernel
def _count_distinct(offsets: NDArray[np.int64], item: NDArray[np.int32]) -> NDArray[np.int64]:
    count = np.zeros(len(offsets) - 1, dtype=np.int64)
    for u in prange(len(offsets) - 1):
        row = np.sort(item[offsets[u] : offsets[u + 1]])
        for i in range(len(row)):
            if i == 0 or row[i] != row[i - 1]:
                count[u] += 1
    return count
