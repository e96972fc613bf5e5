"""Sparse item–item weights: scores by scattered adds, and lists that look only at what the adds touched.

A weight row is added entry by entry to totals (n,). Most items stay untouched: their score is exactly 0, and they are
looked at only while a list can hold a 0. Both paths add in the same order, so the scores of lists are those of
`score_sparse` bit for bit. Slow twins stand in `tests/topk/`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from matinee.kernel import kernel, parallel_kernel, prange
from matinee.topk.kernels import F32, I32, I64, Bool, Heaps, Rows, heap_push, heap_sort, ranks_below

CHUNKS = 64
"""Number of parts of the rows, distributed over the threads; each part has its own totals."""

TRACK_LIMIT = 2
"""Up to n / TRACK_LIMIT adds per row are remembered; after more, reading all n totals costs less."""


class MaskArrays(NamedTuple):
    """What a list may hold: items `allowed` (n,), the same as ascending `code`, and whether a row's own are barred."""

    available: Bool
    code: I32
    exclude_seen: bool


@kernel
def add_row(column: I32, entry: F32, v: np.float32, total: F32) -> None:
    """Add v times a sparse weight row to `total` (n,)."""
    for q in range(len(column)):
        total[column[q]] += v * entry[q]


@kernel
def add_tracked(column: I32, entry: F32, v: np.float32, total: F32, met: I32, size: int) -> int:
    """As `add`; writes items with a former total of 0 behind the `size` first of `met` and returns the new size.

    An item with a total that returned to 0 is written again.
    """
    for q in range(len(column)):
        c = column[q]
        met[size] = c
        size += total[c] == 0.0
        total[c] += v * entry[q]
    return size


@kernel
def exclude(own: I32, total: F32) -> int:
    """Make the totals of a row's own items −inf, which no list keeps; returns the number of NaN."""
    unknown = 0
    for i in own:
        if i >= len(total):  # the constant and pairs come after all items
            break
        unknown += total[i] != total[i]
        total[i] = -np.inf
    return unknown


@kernel
def push_all(total: F32, allowed: Bool, score: F32, item: I32) -> int:
    """Offer every allowed item to the heap; returns the number of NaN totals."""
    unknown, worst = 0, score[0]
    for c in range(len(total)):
        s = total[c]
        unknown += s != s
        if s >= worst and allowed[c]:
            heap_push(score, item, float(s), c)
            worst = score[0]
    return unknown


@kernel
def push_touched(met: I32, total: F32, allowed: Bool, score: F32, item: I32) -> int:
    """As `offer_all` for the items of `met` alone, each once: their totals become −inf."""
    unknown, worst = 0, score[0]
    for c in met:
        s = total[c]
        unknown += s != s
        if s >= worst and allowed[c]:
            heap_push(score, item, float(s), c)
            worst = score[0]
        total[c] = -np.inf
    return unknown


@kernel
def push_zeros(code: I32, total: F32, score: F32, item: I32) -> None:
    """Offer the items of `code` with total 0, ascending, until the list cannot hold a 0 of a higher code."""
    for c in code:
        if not ranks_below(score[0], item[0], 0.0, c):
            break
        if total[c] == 0.0:
            heap_push(score, item, 0.0, c)


@parallel_kernel
def push_sparse(query: Rows, value: F32, weights: Rows, entry: F32, rules: MaskArrays, best: Heaps) -> None:
    """Fill each heap with the best of Σ value · weights[i] over the entries of a row, value 1 where `value` is empty,
    and finish it.

    A row with NaN among its scores gets NaN in its list. 4 n + 4 n / TRACK_LIMIT bytes a chunk.
    """
    indptr, query_item = query.indptr, query.item
    start, column = weights.indptr, weights.item
    allowed, code, barred = rules.available, rules.code, rules.exclude_seen
    kept_score, kept_item = best.score, best.item
    m, n, weighted = len(indptr) - 1, len(allowed), len(value) > 0
    chunks = min(CHUNKS, m)
    for chunk in prange(chunks):
        total = np.zeros(n, dtype=np.float32)
        met = np.empty(n // TRACK_LIMIT, dtype=np.int32)
        for r in range(chunk * m // chunks, (chunk + 1) * m // chunks):
            score, item = kept_score[r], kept_item[r]
            own = query_item[indptr[r] : indptr[r + 1]]
            few, size = _adds(own, start) <= len(met), 0
            for p in range(indptr[r], indptr[r + 1]):
                low, high = start[query_item[p]], start[query_item[p] + 1]
                v = value[p] if weighted else np.float32(1.0)
                if few:
                    size = add_tracked(column[low:high], entry[low:high], v, total, met, size)
                else:
                    add_row(column[low:high], entry[low:high], v, total)
            unknown = exclude(own, total) if barred else 0
            if few:
                unknown += push_touched(met[:size], total, allowed, score, item)
                push_zeros(code, total, score, item)
                _clear(met[:size], total)
                _clear(own, total)
            else:
                unknown += push_all(total, allowed, score, item)
                total[:] = 0.0
            if unknown:
                score[0] = np.nan
            heap_sort(score, item)


@kernel
def _adds(own: I32, start: I64) -> int:
    count = 0
    for i in own:
        count += int(start[i + 1] - start[i])
    return count


@kernel
def _clear(items: I32, total: F32) -> None:
    for i in items:
        if i < len(total):
            total[i] = 0.0


@parallel_kernel
def score_sparse(rows: Rows, value: F32, weights: Rows, entry: F32, out: F32) -> None:
    """out[r] = Σ value · weights[i] over the entries of row r, the weights sparse; `out` (m, n) comes in as zeros."""
    indptr, item = rows.indptr, rows.item
    start, column = weights.indptr, weights.item
    weighted = len(value) > 0
    for r in prange(len(indptr) - 1):
        for p in range(indptr[r], indptr[r + 1]):
            low, high = start[item[p]], start[item[p] + 1]
            add_row(column[low:high], entry[low:high], value[p] if weighted else np.float32(1.0), out[r])
