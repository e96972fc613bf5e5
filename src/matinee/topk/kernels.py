"""From scores to the best k: compiled loops. Each has a slow twin in `tests/topk/`.

A list is built in a heap of size k whose root is the worst item kept. "Worse" is total: a lower score, or an
equal score and a higher code; so the result is unique and cannot depend on tiles, blocks or threads. Almost
every candidate fails the one comparison with the root, so selection costs about one compare an item.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from matinee.kernel import kernel, parallel_kernel, prange

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

WIDE, NARROW = 64, 16
"""Columns in a tile of item–item weights: 64 while 64 columns fit the second-level cache, else one cache line."""


class Rows(NamedTuple):
    """Ragged rows of item codes, ascending: row r has item[indptr[r]:indptr[r + 1]]."""

    indptr: I64
    item: I32


class Heaps(NamedTuple):
    """What is kept so far for every person: score (m, k) and item (m, k)."""

    score: F32
    item: I32


@kernel
def _worse(score_a: float, item_a: int, score_b: float, item_b: int) -> bool:
    return score_a < score_b or (score_a == score_b and item_a > item_b)


@kernel
def _sift(score: F32, item: I32, at: int, size: int) -> None:
    """Restore the heap below `at`: the worst item of every subtree stands at its root."""
    s, i = score[at], item[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _worse(score[right], item[right], score[child], item[child]):
            child = right
        if not _worse(score[child], item[child], s, i):
            break
        score[at], item[at] = score[child], item[child]
        at = child
    score[at], item[at] = s, i


@kernel
def offer(score: F32, item: I32, s: float, i: int) -> None:
    """Take (s, i) instead of the worst item kept, if it is better."""
    if _worse(score[0], item[0], s, i):
        score[0], item[0] = s, i
        _sift(score, item, 0, len(score))


@kernel
def _settle(score: F32, item: I32) -> None:
    """Turn the heap into a list, best first, padding (−inf, −1) last."""
    for size in range(len(score) - 1, 0, -1):
        score[0], score[size] = score[size], score[0]
        item[0], item[size] = item[size], item[0]
        _sift(score, item, 0, size)
    for p in range(len(score)):
        if score[p] == -np.inf:
            item[p] = -1


def empty_heaps(m: int, k: int) -> Heaps:
    """Heaps (m, k) holding nothing: padding is −inf with the largest possible code, worse than any item."""
    return Heaps(np.full((m, k), -np.inf, dtype=np.float32), np.full((m, k), 2**31 - 1, dtype=np.int32))


@parallel_kernel
def settle_all(heaps: Heaps) -> None:
    """Every heap into a list, in place."""
    for r in prange(len(heaps.score)):
        _settle(heaps.score[r], heaps.item[r])


@parallel_kernel
def select(scores: F32, barred: Rows, allowed: Bool, heaps: Heaps) -> None:
    """Fill each heap with the best of a row of scores (m, n), without the row's barred items and without items
    that are not allowed (n,), and settle it. NaN is never chosen.
    """
    m, n = scores.shape
    for r in prange(m):
        at, end = barred.indptr[r], barred.indptr[r + 1]
        best_score, best_item = heaps.score[r], heaps.item[r]
        for c in range(n):
            if at < end and barred.item[at] == c:
                at += 1
            elif scores[r, c] >= best_score[0] and allowed[c]:
                offer(best_score, best_item, scores[r, c], c)
        _settle(best_score, best_item)


@parallel_kernel
def select_among(scores: F32, barred: Rows, allowed: Bool, offered: Rows, heaps: Heaps) -> None:
    """As `select`, but each row may only get the items offered to it."""
    for r in prange(len(scores)):
        own = barred.item[barred.indptr[r] : barred.indptr[r + 1]]
        for p in range(offered.indptr[r], offered.indptr[r + 1]):
            c = offered.item[p]
            at = np.searchsorted(own, c)
            if allowed[c] and not (at < len(own) and own[at] == c):
                offer(heaps.score[r], heaps.item[r], scores[r, c], c)
        _settle(heaps.score[r], heaps.item[r])


@parallel_kernel
def pack(weights: F32, start: int, width: int) -> F32:
    """Columns start..start+width of weights (n, n) as one contiguous tile (n, width), zero beyond the last column."""
    n = len(weights)
    stop = min(start + width, weights.shape[1])
    tile = np.zeros((n, width), dtype=np.float32)
    for i in prange(n):
        for c in range(start, stop):
            tile[i, c - start] = weights[i, c]
    return tile


@parallel_kernel
def unpack(columns: Rows, value: F32, start: int, width: int) -> F32:
    """As `pack`, from sparse weights by column: column c has rows columns.item[…] with `value` beside them."""
    n = len(columns.indptr) - 1
    tile = np.zeros((n, width), dtype=np.float32)
    for c in prange(min(width, n - start)):
        for p in range(columns.indptr[start + c], columns.indptr[start + c + 1]):
            tile[columns.item[p], c] = value[p]
    return tile


@kernel
def _add_wide(total: F32, tile: F32, items: I32) -> None:
    """Total (64,) = Σ tile[i] over items; four rows a turn keep the adder and not the store port busy."""
    for c in range(WIDE):
        total[c] = 0.0
    n = len(items)
    for p in range(0, n - 3, 4):
        a, b, d, e = items[p], items[p + 1], items[p + 2], items[p + 3]
        for c in range(WIDE):
            total[c] += (tile[a, c] + tile[b, c]) + (tile[d, c] + tile[e, c])
    for p in range(n - n % 4, n):
        a = items[p]
        for c in range(WIDE):
            total[c] += tile[a, c]


@kernel
def _add_narrow(total: F32, tile: F32, items: I32) -> None:
    """As `_add_wide` for tiles of 16 columns."""
    for c in range(NARROW):
        total[c] = 0.0
    n = len(items)
    for p in range(0, n - 3, 4):
        a, b, d, e = items[p], items[p + 1], items[p + 2], items[p + 3]
        for c in range(NARROW):
            total[c] += (tile[a, c] + tile[b, c]) + (tile[d, c] + tile[e, c])
    for p in range(n - n % 4, n):
        a = items[p]
        for c in range(NARROW):
            total[c] += tile[a, c]


@parallel_kernel
def score_tile(rows: Rows, tile: F32, out: F32, start: int) -> None:
    """out[r, start:start + width] = Σ tile[i] over the items of row r."""
    width = tile.shape[1]
    stop = min(start + width, out.shape[1])
    for r in prange(len(rows.indptr) - 1):
        total = np.empty(width, dtype=np.float32)
        own = rows.item[rows.indptr[r] : rows.indptr[r + 1]]
        if width == WIDE:
            _add_wide(total, tile, own)
        else:
            _add_narrow(total, tile, own)
        for c in range(start, stop):
            out[r, c] = total[c - start]


@parallel_kernel
def offer_tile(rows: Rows, tile: F32, start: int, allowed: Bool, pointer: I64, heaps: Heaps) -> None:
    """Score a tile of items for every row and offer them to its heap: the fused path, nothing (m, n) is stored.

    `pointer` (m,) remembers how far each row's own items, which are barred, have been passed; of length 0 it
    bars nothing.
    """
    width = tile.shape[1]
    stop = min(start + width, len(allowed))
    for r in prange(len(rows.indptr) - 1):
        total = np.empty(width, dtype=np.float32)
        own = rows.item[rows.indptr[r] : rows.indptr[r + 1]]
        if width == WIDE:
            _add_wide(total, tile, own)
        else:
            _add_narrow(total, tile, own)
        if len(pointer) > 0:
            at = pointer[r]
            while at < len(own) and own[at] < stop:
                total[own[at] - start] = np.nan
                at += 1
            pointer[r] = at
        best_score, best_item = heaps.score[r], heaps.item[r]
        worst = best_score[0]
        for c in range(stop - start):
            if total[c] >= worst and allowed[start + c]:
                offer(best_score, best_item, total[c], start + c)
                worst = best_score[0]


@kernel
def _add_sparse(total: F32, own: I32, weights: Rows, value: F32) -> None:
    """Add to total (n,) the sparse rows of weights that stand in `own`."""
    start, column = weights.indptr, weights.item
    for i in own:
        for q in range(start[i], start[i + 1]):
            total[column[q]] += value[q]


@parallel_kernel
def score_sparse(rows: Rows, weights: Rows, value: F32, out: F32) -> None:
    """out[r] = Σ over items i of row r of the sparse weight row i; `out` (m, n) comes in as zeros."""
    for r in prange(len(rows.indptr) - 1):
        _add_sparse(out[r], rows.item[rows.indptr[r] : rows.indptr[r + 1]], weights, value)
