"""Scores and lists of item–item weights, a tile of columns at a time; the weights may be dense or sparse.

Two ways to add up the weight rows of a history. *Tiles*: 64 columns of W at a time lie contiguous in the second-level
cache, and all people are scored on them before the next tile comes: nnz · n adds, 16 a cycle. *Scatter*: the entries
of sparse rows are added one by one: far fewer adds, but one a few cycles. Weights choose by their own density, never
by the batch, so a row alone scores as it does among others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.contract import Mask
from matinee.data import Histories
from matinee.topk import kernels
from matinee.topk.rank import rows_of

F32: TypeAlias = NDArray[np.float32]
Weights: TypeAlias = F32 | csr_array

SCATTER_PAYS = 40
"""A scattered add costs about this many adds in a tile."""


def tiled(weights: Weights, popularity: F32) -> bool:
    """Whether tiles are cheaper than scattering, for histories that hold items as often as `popularity` (n,) says."""
    if not isinstance(weights, csr_array):
        return True
    expected = np.average(np.diff(weights.indptr), weights=popularity + np.float32(1e-6))
    return bool(expected * SCATTER_PAYS > weights.shape[1])


def tiles(weights: Weights) -> Iterator[tuple[int, F32]]:
    """(first column, tile (n, width)) of the weights, in order; a tile of float32 fits a 2 MB cache where it can."""
    n = weights.shape[0]
    width = kernels.WIDE if n * kernels.WIDE * 4 <= 3_000_000 else kernels.NARROW
    if isinstance(weights, csr_array):
        by_column = csc_array(weights)
        columns, value = rows_of(by_column), by_column.data.astype(np.float32, copy=False)
        for start in range(0, n, width):
            yield start, kernels.unpack(columns, value, start, width)
    else:
        for start in range(0, n, width):
            yield start, kernels.pack(weights, start, width)


def score_tiled(histories: Histories, weights: Weights) -> F32:
    """Scores (m, n): row sums over each history, tile by tile."""
    rows = rows_of(histories.matrix)
    out = np.empty((len(histories), weights.shape[1]), dtype=np.float32)
    for start, tile in tiles(weights):
        kernels.score_tile(rows, tile, out, start)
    return out


def score_scattered(histories: Histories, weights: csr_array) -> F32:
    """Scores (m, n) of sparse weights (n, n)."""
    out = np.zeros((len(histories), weights.shape[1]), dtype=np.float32)
    value = weights.data.astype(np.float32, copy=False)
    kernels.score_sparse(rows_of(histories.matrix), rows_of(weights), value, out)
    return out


def top_tiled(histories: Histories, weights: Weights, k: int, mask: Mask) -> tuple[NDArray[np.int32], F32]:
    """The best k without ever holding (m, n) scores: score, mask and choose in one pass over the tiles.

    Floor: nnz · n adds, reading nnz · n · 4 bytes of weights from the second-level cache; m · k · 8 bytes of state.
    """
    rows, allowed = rows_of(histories.matrix), mask.allowed(weights.shape[1])
    heaps = kernels.empty_heaps(len(histories), k)
    pointer = np.zeros(len(histories) if mask.seen else 0, dtype=np.int64)
    for start, tile in tiles(weights):
        kernels.offer_tile(rows, tile, start, allowed, pointer, heaps)
    kernels.settle_all(heaps)
    return heaps.item, heaps.score
