"""Compiled loops over candidate pools. Each has a slow twin in `tests/candidates/`.

Pools are ragged: the candidates of row r are offsets[r]:offsets[r + 1], ascending by item code, so that of equal
scores the earlier candidate is the better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matinee.kernel import parallel_kernel, prange
from matinee.topk.kernels import heap_push, heap_sort

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]

CHUNKS = 64
"""Portions of the rows that run in parallel; each holds one array over all items."""


@parallel_kernel
def count_candidates(item: I32, n_items: int) -> I64:
    """Number of different items in the lists of each row, (m,).

    `item` (M, m, depth) are the lists, padded with −1.
    """
    M, m, depth = item.shape
    out = np.zeros(m, dtype=np.int64)
    for c in prange(CHUNKS):
        stamp = np.full(n_items, -1, dtype=np.int32)
        for r in range(c * m // CHUNKS, (c + 1) * m // CHUNKS):
            count = 0
            for a in range(M):
                for p in range(depth):
                    i = item[a, r, p]
                    if i >= 0 and stamp[i] != r:
                        stamp[i] = r
                        count += 1
            out[r] = count
    return out


@parallel_kernel
def list_candidates(item: I32, n_items: int, offsets: I64, union: I32, rank: U16) -> None:
    """Fill in the different items of each row, ascending, and their ranks.

    `union` (c,) is overwritten; `rank` (M, c) must be zeros. An item that a list contains twice has its first rank.
    """
    M, m, depth = item.shape
    for c in prange(CHUNKS):
        stamp = np.full(n_items, -1, dtype=np.int32)
        place = np.empty(n_items, dtype=np.int64)
        for r in range(c * m // CHUNKS, (c + 1) * m // CHUNKS):
            at = offsets[r]
            for a in range(M):
                for p in range(depth):
                    i = item[a, r, p]
                    if i >= 0 and stamp[i] != r:
                        stamp[i] = r
                        union[at] = i
                        at += 1
            own = union[offsets[r] : at]
            own.sort()
            for p in range(len(own)):
                place[own[p]] = offsets[r] + p
            for a in range(M):
                for p in range(depth - 1, -1, -1):
                    if item[a, r, p] >= 0:
                        rank[a, place[item[a, r, p]]] = p + 1


@parallel_kernel
def scatter_values(rank: U16, offsets: I64, value: F32, missing: F32, out: F32) -> None:
    """Fill `out` (c,) with one member's values of the candidates.

    out = value[r, rank − 1] for its ranks (c,); missing[r] where the rank is 0.
    """
    for r in prange(len(offsets) - 1):
        for p in range(offsets[r], offsets[r + 1]):
            out[p] = value[r, rank[p] - 1] if rank[p] > 0 else missing[r]


@parallel_kernel
def top_of_candidates(offsets: I64, item: I32, score: F32, k: int) -> tuple[I32, F32]:
    """The best k candidates of each row, best first, (m, k).

    Padded with −1 and −inf; a candidate of score −inf is never returned.
    """
    m = len(offsets) - 1
    out = np.full((m, k), 2**31 - 1, dtype=np.int32)
    value = np.full((m, k), -np.inf, dtype=np.float32)
    for r in prange(m):
        own_item, own_score = out[r], value[r]
        for p in range(offsets[r], offsets[r + 1]):
            if score[p] > -np.inf:
                heap_push(own_score, own_item, score[p], item[p])
        heap_sort(own_score, own_item)
    return out, value
