"""Compiled loops over pools: candidates, points and lists. Each has a slow twin in `tests/candidates/`.

Pools are ragged: the candidates of row r stand at offsets[r]:offsets[r + 1], ascending by item code, so among equal
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
"""Rows are dealt out in so many portions; each holds one array over all items."""


@parallel_kernel
def count_candidates(item: I32, n_items: int) -> I64:
    """How many different items the lists `item` (M, m, depth; −1 none) of each row hold, (m,)."""
    M, m, depth = item.shape
    out = np.zeros(m, dtype=np.int64)
    for c in prange(CHUNKS):
        stamp = np.full(n_items, -1, dtype=np.int32)
        for r in range(c * m // CHUNKS, (c + 1) * m // CHUNKS):
            found = 0
            for a in range(M):
                for p in range(depth):
                    i = item[a, r, p]
                    if i >= 0 and stamp[i] != r:
                        stamp[i] = r
                        found += 1
            out[r] = found
    return out


@parallel_kernel
def list_candidates(item: I32, n_items: int, offsets: I64, union: I32, rank: U16) -> None:
    """Fill `union` (c,) with the different items of each row, ascending, and `rank` (M, c), which comes in as zeros.

    An item that a list holds twice counts at its first place.
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
    """Out (c,) = value[r, rank − 1] of one member's ranks (c,), missing[r] where the rank is 0."""
    for r in prange(len(offsets) - 1):
        for p in range(offsets[r], offsets[r + 1]):
            out[p] = value[r, rank[p] - 1] if rank[p] > 0 else missing[r]


@parallel_kernel
def top_of_candidates(offsets: I64, item: I32, score: F32, k: int) -> tuple[I32, F32]:
    """The best k candidates of each row, best first, padded with −1 and −inf; −inf is never chosen."""
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
