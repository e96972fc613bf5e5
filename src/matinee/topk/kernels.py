"""From scores to the best k: compiled loops. Each has a slow twin in `tests/topk/`.

A list is built in a heap of size k with the worst kept item as its root. "Worse" is total: a lower score, or an
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
    """The best items so far of every row: score (m, k) and item (m, k)."""

    score: F32
    item: I32


@kernel
def ranks_below(score_a: float, item_a: int, score_b: float, item_b: int) -> bool:
    """Whether a ranks below b in a list."""
    return score_a < score_b or (score_a == score_b and item_a > item_b)


@kernel
def _sift(score: F32, item: I32, at: int, size: int) -> None:
    """Restore the heap below `at`: the worst item of every subtree is at its root."""
    s, i = score[at], item[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and ranks_below(score[right], item[right], score[child], item[child]):
            child = right
        if not ranks_below(score[child], item[child], s, i):
            break
        score[at], item[at] = score[child], item[child]
        at = child
    score[at], item[at] = s, i


@kernel
def heap_push(score: F32, item: I32, s: float, i: int) -> None:
    """Replace the worst item of the heap by (s, i) if that is better."""
    if ranks_below(score[0], item[0], s, i):
        score[0], item[0] = s, i
        _sift(score, item, 0, len(score))


@kernel
def heap_sort(score: F32, item: I32) -> None:
    """Turn the heap into a list, best first, padding (−inf, −1) last."""
    for size in range(len(score) - 1, 0, -1):
        score[0], score[size] = score[size], score[0]
        item[0], item[size] = item[size], item[0]
        _sift(score, item, 0, size)
    for p in range(len(score)):
        if score[p] == -np.inf:
            item[p] = -1


def empty_heaps(m: int, k: int) -> Heaps:
    """Empty heaps (m, k): padding is −inf with the largest possible code, worse than any item."""
    return Heaps(np.full((m, k), -np.inf, dtype=np.float32), np.full((m, k), 2**31 - 1, dtype=np.int32))


@parallel_kernel
def sort_heaps(heaps: Heaps) -> None:
    """Every heap into a list, in place."""
    for r in prange(len(heaps.score)):
        heap_sort(heaps.score[r], heaps.item[r])


@parallel_kernel
def select(scores: F32, excluded: Rows, available: Bool, heaps: Heaps) -> None:
    """Fill each heap with the best of a row of scores (m, n) and sort it.

    Left out are the row's excluded items and items that are not available (n,). NaN is never chosen.
    """
    m, n = scores.shape
    for r in prange(m):
        at, end = excluded.indptr[r], excluded.indptr[r + 1]
        best_score, best_item = heaps.score[r], heaps.item[r]
        for c in range(n):
            if at < end and excluded.item[at] == c:
                at += 1
            elif scores[r, c] >= best_score[0] and available[c]:
                heap_push(best_score, best_item, scores[r, c], c)
        heap_sort(best_score, best_item)


@parallel_kernel
def select_among(scores: F32, excluded: Rows, available: Bool, candidates: Rows, heaps: Heaps) -> None:
    """As `select` among the candidates of each row."""
    for r in prange(len(scores)):
        own = excluded.item[excluded.indptr[r] : excluded.indptr[r + 1]]
        for p in range(candidates.indptr[r], candidates.indptr[r + 1]):
            c = candidates.item[p]
            at = np.searchsorted(own, c)
            if available[c] and not (at < len(own) and own[at] == c):
                heap_push(heaps.score[r], heaps.item[r], scores[r, c], c)
        heap_sort(heaps.score[r], heaps.item[r])


@parallel_kernel
def pack(weights: F32, start: int, width: int) -> F32:
    """Columns start..start+width of weights (r, n) as one contiguous tile (r, width), zero beyond the last column."""
    n = len(weights)
    stop = min(start + width, weights.shape[1])
    tile = np.zeros((n, width), dtype=np.float32)
    for i in prange(n):
        for c in range(start, stop):
            tile[i, c - start] = weights[i, c]
    return tile


@parallel_kernel
def unpack(columns: Rows, value: F32, n_rows: int, start: int, width: int) -> F32:
    """As `pack`, from sparse weights by column: column c has rows columns.item[…] with `value` beside them."""
    n = len(columns.indptr) - 1
    tile = np.zeros((n_rows, width), dtype=np.float32)
    for c in prange(min(width, n - start)):
        for p in range(columns.indptr[start + c], columns.indptr[start + c + 1]):
            tile[columns.item[p], c] = value[p]
    return tile


@kernel
def _add_wide(total: F32, tile: F32, own: I32, value: F32) -> None:
    """Make total (64,) = Σ value · tile[i] over the rows i of `own`, value 1 where `value` is empty.

    Four rows a turn keep the adder and not the store port busy.
    """
    for c in range(WIDE):
        total[c] = 0.0
    n = len(own)
    if len(value) == 0:
        for p in range(0, n - 3, 4):
            a, b, d, e = own[p], own[p + 1], own[p + 2], own[p + 3]
            for c in range(WIDE):
                total[c] += (tile[a, c] + tile[b, c]) + (tile[d, c] + tile[e, c])
        for p in range(n - n % 4, n):
            a = own[p]
            for c in range(WIDE):
                total[c] += tile[a, c]
    else:
        for p in range(n):
            a, v = own[p], value[p]
            for c in range(WIDE):
                total[c] += v * tile[a, c]


@kernel
def _add_narrow(total: F32, tile: F32, own: I32, value: F32) -> None:
    """As `_add_wide` for tiles of 16 columns."""
    for c in range(NARROW):
        total[c] = 0.0
    n = len(own)
    if len(value) == 0:
        for p in range(0, n - 3, 4):
            a, b, d, e = own[p], own[p + 1], own[p + 2], own[p + 3]
            for c in range(NARROW):
                total[c] += (tile[a, c] + tile[b, c]) + (tile[d, c] + tile[e, c])
        for p in range(n - n % 4, n):
            a = own[p]
            for c in range(NARROW):
                total[c] += tile[a, c]
    else:
        for p in range(n):
            a, v = own[p], value[p]
            for c in range(NARROW):
                total[c] += v * tile[a, c]


@kernel
def _add_row(total: F32, tile: F32, own: I32, value: F32) -> None:
    """Make `total` the sum of the tile's rows in `own`, times `value`."""
    if tile.shape[1] == WIDE:
        _add_wide(total, tile, own, value)
    else:
        _add_narrow(total, tile, own, value)


@parallel_kernel
def score_tile(rows: Rows, value: F32, tile: F32, out: F32, start: int) -> None:
    """out[r, start:start + width] = Σ value · tile[i] over the entries of row r; value 1 where `value` is empty."""
    width = tile.shape[1]
    stop = min(start + width, out.shape[1])
    indptr, item = rows.indptr, rows.item
    weighted = len(value) > 0
    for r in prange(len(indptr) - 1):
        total = np.empty(width, dtype=np.float32)
        low, high = indptr[r], indptr[r + 1]
        _add_row(total, tile, item[low:high], value[low:high] if weighted else value[:0])
        for c in range(start, stop):
            out[r, c] = total[c - start]


class TileJob(NamedTuple):
    """Queries and mask: ascending rows with their values (empty means 1), and the available items (n,).

    `seen_cursor` (m,) is the number of a row's own items, which are excluded, before the tile; of length 0 none is.
    """

    rows: Rows
    value: F32
    available: Bool
    seen_cursor: I64


@parallel_kernel
def push_tile(ask: TileJob, tile: F32, start: int, heaps: Heaps) -> None:
    """Score a tile of items for every row and push them to its heap; nothing (m, n) is stored.

    NaN among a row's scores makes its root NaN, which nothing can replace.
    """
    width = tile.shape[1]
    indptr, item = ask.rows.indptr, ask.rows.item
    value, allowed, passed = ask.value, ask.available, ask.seen_cursor
    kept_score, kept_item = heaps.score, heaps.item
    weighted, bar = len(value) > 0, len(passed) > 0
    stop = min(start + width, len(allowed))
    for r in prange(len(indptr) - 1):
        total = np.empty(width, dtype=np.float32)
        low, high = indptr[r], indptr[r + 1]
        own = item[low:high]
        _add_row(total, tile, own, value[low:high] if weighted else value[:0])
        unknown = 0
        for c in range(width):
            unknown += total[c] != total[c]
        if bar:
            at = passed[r]
            while at < len(own) and own[at] < stop:
                total[own[at] - start] = np.nan
                at += 1
            passed[r] = at
        best_score, best_item = kept_score[r], kept_item[r]
        if unknown:
            best_score[0] = np.nan
        worst = best_score[0]
        for c in range(stop - start):
            if total[c] >= worst and allowed[start + c]:
                heap_push(best_score, best_item, total[c], start + c)
                worst = best_score[0]
