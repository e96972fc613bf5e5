"""Scores and lists of item–item weights, a tile of columns at a time; the weights may be dense or sparse.

Two ways to add up the weight rows of a history. *Tiles*: 64 columns of W at a time lie contiguous in the second-level
cache, and all people are scored on them before the next tile comes: nnz · n adds, 16 a cycle. *Scatter*: the entries
of sparse rows are added one by one: far fewer adds, but one a few cycles. Weights choose by their own density, never
by the batch, so a row alone scores as it does among others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.contract import Mask
from matinee.topk import kernels, scatter
from matinee.topk.rank import rows_of

F32: TypeAlias = NDArray[np.float32]
Weights: TypeAlias = F32 | csr_array

SCATTER_COST = 40
"""A scattered add costs about this many adds in a tile."""


class SparseQuery(NamedTuple):
    """Histories as a linear model sees them: ascending codes below `n_rows` of W, and their values, empty for all 1."""

    rows: kernels.Rows
    value: F32


def prefers_tiles(weights: Weights, popularity: F32) -> bool:
    """Whether tiles are cheaper than scattering, for histories that hold items as often as `popularity` (n,) says."""
    if not isinstance(weights, csr_array):
        return True
    lengths = np.diff(weights.indptr)[: len(popularity)]
    expected = np.average(lengths, weights=popularity + np.float32(1e-6))
    return bool(expected * SCATTER_COST > weights.shape[1])


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


def score_tiled(asked: SparseQuery, weights: Weights) -> F32:
    """Scores (m, n): row sums over each history, tile by tile."""
    out = np.empty((len(asked.rows.indptr) - 1, weights.shape[1]), dtype=np.float32)
    for start, tile in tiles(weights):
        kernels.score_tile(asked.rows, asked.value, tile, out, start)
    return out


def score_scattered(asked: SparseQuery, weights: csr_array) -> F32:
    """Scores (m, n) of sparse weights (r, n)."""
    out = np.zeros((len(asked.rows.indptr) - 1, weights.shape[1]), dtype=np.float32)
    value = weights.data.astype(np.float32, copy=False)
    scatter.score_sparse(asked.rows, asked.value, rows_of(weights), value, out)
    return out


def top_tiled(asked: SparseQuery, weights: Weights, k: int, mask: Mask) -> tuple[NDArray[np.int32], F32]:
    """The best k without ever holding (m, n) scores: score, mask and choose in one pass over the tiles.

    Floor: nnz · n adds, reading nnz · n · 4 bytes of weights from the second-level cache; m · k · 8 bytes of state.
    A row with NaN among its scores has NaN in its list.
    """
    m = len(asked.rows.indptr) - 1
    heaps = kernels.empty_heaps(m, k)
    passed = np.zeros(m if mask.seen else 0, dtype=np.int64)
    ask = kernels.TileJob(asked.rows, asked.value, mask.available_or_all(weights.shape[1]), passed)
    for start, tile in tiles(weights):
        kernels.push_tile(ask, tile, start, heaps)
    kernels.sort_heaps(heaps)
    return heaps.item, heaps.score


def top_scattered(asked: SparseQuery, weights: csr_array, k: int, mask: Mask) -> tuple[NDArray[np.int32], F32]:
    """As `top_tiled` from sparse weights (r, n), bit for bit the best of `score_scattered`.

    Floor: one add for each entry in the weight rows of a history, into n · 4 bytes; m · k · 8 bytes of state.
    """
    heaps = kernels.empty_heaps(len(asked.rows.indptr) - 1, k)
    allowed = mask.available_or_all(weights.shape[1])
    rules = scatter.MaskArrays(allowed, np.flatnonzero(allowed).astype(np.int32), mask.seen)
    value = weights.data.astype(np.float32, copy=False)
    scatter.push_sparse(asked.rows, asked.value, rows_of(weights), value, rules, heaps)
    return heaps.item, heaps.score
