"""Scores and lists of item–item weights, dense or sparse, by the path with the lowest cost.

Three ways to add the weight rows of a history. *Tiles*: 64 columns of W at a time are packed for the second-level
cache, and all users are scored on them before the next tile: r · n reads to pack, nnz · n adds, 16 a cycle. *Rows*:
for few users, the rows themselves are added over all n columns: nnz · n reads, nothing is packed. *Scatter*: the
entries of sparse rows are added one by one: far fewer adds, but one in a few cycles. Weights choose between scatter and
the others by their density alone; tiles and rows add in the same order. So a row alone has the bits it has in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.contract import Mask
from matinee.topk import direct, kernels, scatter
from matinee.topk.lists import ItemsAndScores
from matinee.topk.query import SparseQuery
from matinee.topk.rank import rows_of

F32: TypeAlias = NDArray[np.float32]
Weights: TypeAlias = F32 | csr_array

SCATTER_COST = 40
"""A scattered add costs about this many adds in a tile."""


def prefers_tiles(weights: Weights, popularity: F32) -> bool:
    """Whether tiles cost less than scatter, for histories with items drawn by `popularity` (n,)."""
    if not isinstance(weights, csr_array):
        return True
    lengths = np.diff(weights.indptr)[: len(popularity)]
    expected = np.average(lengths, weights=popularity + np.float32(1e-6))
    return bool(expected * SCATTER_COST > weights.shape[1])


def reads_fewer_rows(query: SparseQuery, weights: Weights) -> bool:
    """Whether adding rows costs less than tiles: it reads nnz rows of W from memory, packing reads all r."""
    return len(query.rows.item) <= weights.shape[0]


def score_weights(query: SparseQuery, weights: Weights, *, tiled: bool = True) -> F32:
    """Scores (m, n): row sums over each history; `tiled` is what `prefers_tiles` returns."""
    if isinstance(weights, csr_array) and not tiled:
        return score_scattered(query, weights)
    return score_rows(query, weights) if reads_fewer_rows(query, weights) else score_tiled(query, weights)


def score_rows(query: SparseQuery, weights: Weights) -> F32:
    """Scores (m, n), row by row; the bits of `score_tiled`."""
    out = np.zeros((len(query.rows.indptr) - 1, weights.shape[1]), dtype=np.float32)
    if isinstance(weights, csr_array):
        direct.score_csr(query.rows, query.value, rows_of(weights), weights.data.astype(np.float32, copy=False), out)
    else:
        direct.score_dense(query.rows, query.value, weights, out)
    return out


def tiles(weights: Weights) -> Iterator[tuple[int, F32]]:
    """(first column, tile (r, width)) of the weights (r, n), in order; a tile fits a 2 MB cache where it can."""
    r, n = weights.shape
    width = kernels.WIDE if r * kernels.WIDE * 4 <= 3_000_000 else kernels.NARROW
    if isinstance(weights, csr_array):
        by_column = csc_array(weights)
        columns, value = rows_of(by_column), by_column.data.astype(np.float32, copy=False)
        for start in range(0, n, width):
            yield start, kernels.unpack(columns, value, r, start, width)
    else:
        for start in range(0, n, width):
            yield start, kernels.pack(weights, start, width)


def score_tiled(query: SparseQuery, weights: Weights) -> F32:
    """Scores (m, n): row sums over each history, tile by tile."""
    out = np.empty((len(query.rows.indptr) - 1, weights.shape[1]), dtype=np.float32)
    for start, tile in tiles(weights):
        kernels.score_tile(query.rows, query.value, tile, out, start)
    return out


def score_scattered(query: SparseQuery, weights: csr_array) -> F32:
    """Scores (m, n) of sparse weights (r, n)."""
    out = np.zeros((len(query.rows.indptr) - 1, weights.shape[1]), dtype=np.float32)
    value = weights.data.astype(np.float32, copy=False)
    scatter.score_sparse(query.rows, query.value, rows_of(weights), value, out)
    return out


def top_tiled(query: SparseQuery, weights: Weights, k: int, mask: Mask) -> ItemsAndScores:
    """The best k by one pass over the tiles; no (m, n) scores are held.

    Cost: nnz · n adds, reading nnz · n · 4 bytes of weights from the second-level cache; m · k · 8 bytes of state.
    A row with NaN among its scores has NaN in its list.
    """
    m = len(query.rows.indptr) - 1
    heaps = kernels.empty_heaps(m, k)
    cursor = np.zeros(m if mask.seen else 0, dtype=np.int64)
    job = kernels.TileJob(query.rows, query.value, mask.available_or_all(weights.shape[1]), cursor)
    for start, tile in tiles(weights):
        kernels.push_tile(job, tile, start, heaps)
    kernels.sort_heaps(heaps)
    return ItemsAndScores(heaps.item, heaps.score)


def top_scattered(query: SparseQuery, weights: csr_array, k: int, mask: Mask) -> ItemsAndScores:
    """As `top_tiled` from sparse weights (r, n), bit for bit the best of `score_scattered`.

    Cost: one add for each entry in the weight rows of a history, into n · 4 bytes; m · k · 8 bytes of state.
    """
    heaps = kernels.empty_heaps(len(query.rows.indptr) - 1, k)
    allowed = mask.available_or_all(weights.shape[1])
    rules = scatter.MaskArrays(allowed, np.flatnonzero(allowed).astype(np.int32), mask.seen)
    value = weights.data.astype(np.float32, copy=False)
    scatter.push_sparse(query.rows, query.value, rows_of(weights), value, rules, heaps)
    return ItemsAndScores(heaps.item, heaps.score)
