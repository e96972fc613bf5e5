"""Scores and lists of dot products q · f_i + b_i: vectors of queries (m, d), factors of items (n, d).

Tiles of 64 items (d, 64) are packed for the cache and multiplied with a chunk of queries; products go to the heap of
their query, so that no (m, n) scores are held. The sum over d is made in one order, four terms at a time, whatever
the tile, the chunk and the path; a library GEMM chooses its order by the shapes. So a row alone has the bits it has in
a batch, and a list has the scores of `score_dot`.

Cost: m · n · d products, about 8 a cycle on a core; 4 · 64 · d bytes for a tile, m · k · 8 bytes for the heaps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from matinee.contract import Mask
from matinee.kernel import kernel, parallel_kernel, prange
from matinee.topk.kernels import F32, Bool, Heaps, Rows, empty_heaps, heap_push, heap_sort
from matinee.topk.lists import ItemsAndScores
from matinee.topk.rank import rows_of

TILE = 64
"""Items in a tile: its totals stay in registers or the first-level cache."""

CHUNK_ROWS = 32
"""Rows of a chunk at least, so that packing a tile, n · d copies a chunk, is little beside its products."""

MAX_CHUNKS = 64
"""Chunks at most, shared out among threads."""


class DotJob(NamedTuple):
    """Queries (m, d), item factors (n, d), item bias (n,), seen items of each row, and the available items (n,)."""

    query: F32
    factors: F32
    bias: F32
    seen: Rows
    available: Bool


def score_dot(query: F32, item_factors: F32, item_bias: F32 | None) -> F32:
    """Scores (m, n)."""
    out = np.empty((len(query), len(item_factors)), dtype=np.float32)
    _score(np.ascontiguousarray(query), item_factors, _bias(item_factors, item_bias), out)
    return out


def top_k_dot(query: F32, item_factors: F32, item_bias: F32 | None, seen: Rows, k: int, mask: Mask) -> ItemsAndScores:
    """The best k allowed items of each row with the scores of `score_dot`; `mask.candidates` alone are scored.

    A row with NaN among its scores has NaN in its list. `seen` are ascending rows, empty where nothing is excluded.
    """
    n = len(item_factors)
    bias, available = _bias(item_factors, item_bias), mask.available_or_all(n)
    job = DotJob(np.ascontiguousarray(query), item_factors, bias, seen, available)
    heaps = empty_heaps(len(query), k)
    if mask.candidates is None:
        _push(job, heaps)
    else:
        _push_candidates(job, rows_of(mask.candidates), heaps)
    return ItemsAndScores(heaps.item, heaps.score)


def _bias(item_factors: F32, item_bias: F32 | None) -> F32:
    return np.zeros(len(item_factors), dtype=np.float32) if item_bias is None else item_bias


@kernel
def _pack(factors: F32, start: int, tile: F32) -> int:
    """Fill `tile` (d, TILE) with items start … and zeros beyond the last; returns the number of items in it."""
    width = min(TILE, len(factors) - start)
    for c in range(width):
        for i in range(len(tile)):
            tile[i, c] = factors[start + c, i]
    for c in range(width, TILE):
        for i in range(len(tile)):
            tile[i, c] = 0.0
    return width


@kernel
def _multiply(q: F32, tile: F32, total: F32) -> None:
    """Total (TILE,) = q (d,) times tile (d, TILE)."""
    d = len(q)
    for c in range(TILE):
        total[c] = 0.0
    for i in range(0, d - 3, 4):
        q0, q1, q2, q3 = q[i], q[i + 1], q[i + 2], q[i + 3]
        t0, t1, t2, t3 = tile[i], tile[i + 1], tile[i + 2], tile[i + 3]
        for c in range(TILE):
            total[c] += (q0 * t0[c] + q1 * t1[c]) + (q2 * t2[c] + q3 * t3[c])
    for i in range(d - d % 4, d):
        q0, t0 = q[i], tile[i]
        for c in range(TILE):
            total[c] += q0 * t0[c]


@kernel
def _dot(q: F32, f: F32) -> np.float32:
    """Q · f, added in the order of `_multiply`."""
    d = len(q)
    total = np.float32(0.0)
    for i in range(0, d - 3, 4):
        total += (q[i] * f[i] + q[i + 1] * f[i + 1]) + (q[i + 2] * f[i + 2] + q[i + 3] * f[i + 3])
    for i in range(d - d % 4, d):
        total += q[i] * f[i]
    return total


@parallel_kernel
def _score(query: F32, factors: F32, bias: F32, out: F32) -> None:
    m, n = out.shape
    chunks = max(1, min(MAX_CHUNKS, m // CHUNK_ROWS))
    for chunk in prange(chunks):
        tile = np.empty((factors.shape[1], TILE), dtype=np.float32)
        total = np.empty(TILE, dtype=np.float32)
        for start in range(0, n, TILE):
            width = _pack(factors, start, tile)
            for r in range(chunk * m // chunks, (chunk + 1) * m // chunks):
                _multiply(query[r], tile, total)
                for c in range(width):
                    out[r, start + c] = total[c] + bias[start + c]


@parallel_kernel
def _push(job: DotJob, heaps: Heaps) -> None:
    query, factors, bias, available = job.query, job.factors, job.bias, job.available
    indptr, seen_item = job.seen.indptr, job.seen.item
    best_score, best_item = heaps.score, heaps.item
    m, n = len(query), len(factors)
    chunks = max(1, min(MAX_CHUNKS, m // CHUNK_ROWS))
    for chunk in prange(chunks):
        tile = np.empty((factors.shape[1], TILE), dtype=np.float32)
        total = np.empty(TILE, dtype=np.float32)
        low, high = chunk * m // chunks, (chunk + 1) * m // chunks
        cursor = indptr[low:high].copy()
        for start in range(0, n, TILE):
            width = _pack(factors, start, tile)
            for r in range(low, high):
                _multiply(query[r], tile, total)
                unknown = 0
                for c in range(width):
                    total[c] += bias[start + c]
                    unknown += total[c] != total[c]
                at = cursor[r - low]
                while at < indptr[r + 1] and seen_item[at] < start + width:
                    total[seen_item[at] - start] = np.nan
                    at += 1
                cursor[r - low] = at
                score, item = best_score[r], best_item[r]
                if unknown:
                    score[0] = np.nan
                worst = score[0]
                for c in range(width):
                    if total[c] >= worst and available[start + c]:
                        heap_push(score, item, float(total[c]), start + c)
                        worst = score[0]
        for r in range(low, high):
            heap_sort(best_score[r], best_item[r])


@parallel_kernel
def _push_candidates(job: DotJob, candidates: Rows, heaps: Heaps) -> None:
    query, factors, bias, available = job.query, job.factors, job.bias, job.available
    indptr, seen_item = job.seen.indptr, job.seen.item
    begin, candidate = candidates.indptr, candidates.item
    best_score, best_item = heaps.score, heaps.item
    for r in prange(len(query)):
        seen, at = seen_item[indptr[r] : indptr[r + 1]], 0
        score, item = best_score[r], best_item[r]
        unknown = 0
        for p in range(begin[r], begin[r + 1]):
            c = candidate[p]
            while at < len(seen) and seen[at] < c:
                at += 1
            s = _dot(query[r], factors[c]) + bias[c]
            unknown += s != s
            if s >= score[0] and available[c] and not (at < len(seen) and seen[at] == c):
                heap_push(score, item, float(s), c)
        if unknown:
            score[0] = np.nan
        heap_sort(score, item)
