"""Random draws per user, keyed by (seed, raw id): independent of all other users."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from matinee.data import Interactions, Vocabulary
from matinee.hashing import GOLDEN, mix64, mix64_array, uniform_array
from matinee.kernel import parallel_kernel, prange


def user_keys(users: Vocabulary, seed: int, purpose: int = 0) -> NDArray[np.uint64]:
    """Keys (n_users,) from raw id, seed and purpose.

    They do not depend on codes or row order.
    """
    if users.is_text:
        own = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in users.ids]
        ids = np.frombuffer(b"".join(own), dtype="<u8").astype(np.uint64)
    else:
        ids = mix64_array(users.ids.to_numpy().astype(np.uint64))
    salt = mix64_array(np.array([seed % 2**64], dtype=np.uint64) + GOLDEN * np.array([purpose + 1], dtype=np.uint64))
    return mix64_array(ids ^ salt)


def uniform(key: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1), one per key."""
    return uniform_array(key)


def hold_out_items(
    log: Interactions, sizes: NDArray[np.int64], key: NDArray[np.uint64]
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Destinations (N,) of all rows: −1 remains, 0 random, 1 last; and held-out counts.

    `sizes` (n_users, 2) are the numbers of random items and of last rows; the counts (n_users, 2) are the numbers
    held out. The last rows are removed first. Then distinct items are drawn from the remaining ones that the last
    rows do not contain, each with all its rows, so that a drawn target never stays in the training set. At least one
    item remains. Cost O(N log(row length)), parallel over users; N bytes of memory.
    """
    destination = np.full(len(log), -1, dtype=np.int8)
    held_out = _hold_out_items(_read_only(log.offsets), log.item, sizes, key, destination)
    return destination, held_out


def n_distinct_items(log: Interactions) -> NDArray[np.int64]:
    """Number of distinct items per user, (n_users,)."""
    return _count_distinct(_read_only(log.offsets), log.item)


def _read_only(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Read-only view, so that kernels are compiled for one array type."""
    view = offsets.view()
    view.flags.writeable = False
    return view


@parallel_kernel
def _hold_out_items(
    offsets: NDArray[np.int64],
    item: NDArray[np.int32],
    sizes: NDArray[np.int64],
    key: NDArray[np.uint64],
    destination: NDArray[np.int8],
) -> NDArray[np.int64]:
    held_out = np.zeros(sizes.shape, dtype=np.int64)
    for u in prange(len(offsets) - 1):
        low, end = offsets[u], offsets[u + 1] - sizes[u, 1]
        destination[end : offsets[u + 1]] = 1
        held_out[u, 1] = sizes[u, 1]
        if sizes[u, 0] == 0 or end <= low:
            continue
        pool, last = np.sort(item[low:end]), np.sort(item[end : offsets[u + 1]])
        n, remaining, at = 0, 0, 0  # n items can be drawn; `remaining` distinct items precede the last rows
        for i in range(len(pool)):
            if i > 0 and pool[i] == pool[i - 1]:
                continue
            remaining += 1
            while at < len(last) and last[at] < pool[i]:
                at += 1
            if at == len(last) or last[at] != pool[i]:
                pool[n], n = pool[i], n + 1
        n_drawn = min(sizes[u, 0], n, remaining - 1)
        state = key[u]
        for i in range(n_drawn):  # Fisher–Yates, stopped after `n_drawn`
            state = state + GOLDEN
            j = i + np.int64(((mix64(state) >> np.uint64(32)) * np.uint64(n - i)) >> np.uint64(32))
            pool[i], pool[j] = pool[j], pool[i]
        drawn = np.sort(pool[:n_drawn])
        for i in range(low, end):
            at = np.searchsorted(drawn, item[i])
            if at < n_drawn and drawn[at] == item[i]:
                destination[i] = 0
        held_out[u, 0] = n_drawn
    return held_out


@parallel_kernel
def _count_distinct(offsets: NDArray[np.int64], item: NDArray[np.int32]) -> NDArray[np.int64]:
    count = np.zeros(len(offsets) - 1, dtype=np.int64)
    for u in prange(len(offsets) - 1):
        row = np.sort(item[offsets[u] : offsets[u + 1]])
        for i in range(len(row)):
            if i == 0 or row[i] != row[i - 1]:
                count[u] += 1
    return count
