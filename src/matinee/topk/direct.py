"""Scores of few rows: weight rows added over the whole catalogue, without packed tiles.

The adds of an item are those of `kernels.score_tile` in the same order, four rows at a time where all values are 1, so
that scores are the same bits on both paths.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from matinee.kernel import kernel, parallel_kernel, prange
from matinee.topk.kernels import F32, I32, I64, Rows


@kernel
def _add_four(total: F32, a: F32, b: F32, d: F32, e: F32) -> None:
    """Add four rows (n,) to `total` (n,)."""
    for c in range(len(total)):
        total[c] += (a[c] + b[c]) + (d[c] + e[c])


@kernel
def _add_one(total: F32, a: F32, v: Any) -> None:
    """Add v, a float32, times a row (n,) to `total` (n,)."""
    for c in range(len(total)):
        total[c] += v * a[c]


@parallel_kernel
def score_dense(rows: Rows, value: F32, weights: F32, out: F32) -> None:
    """out[r] = Σ value · weights[i] over the entries of row r; `out` (m, n) comes in as zeros."""
    indptr, item = rows.indptr, rows.item
    for r in prange(len(indptr) - 1):
        own, total = item[indptr[r] : indptr[r + 1]], out[r]
        n = len(own)
        if len(value) == 0:
            for p in range(0, n - 3, 4):
                _add_four(total, weights[own[p]], weights[own[p + 1]], weights[own[p + 2]], weights[own[p + 3]])
            for p in range(n - n % 4, n):
                _add_one(total, weights[own[p]], np.float32(1.0))
        else:
            for p in range(n):
                _add_one(total, weights[own[p]], value[indptr[r] + p])


@kernel
def _write(row: F32, column: I32, entry: F32) -> None:
    """Write a sparse row into `row` (n,), which is zero elsewhere."""
    for q in range(len(column)):
        row[column[q]] = entry[q]


@kernel
def _clear(row: F32, column: I32) -> None:
    """Make the entries at `column` zero again."""
    for c in column:
        row[c] = 0.0


@kernel
def _add_sparse(total: F32, column: I32, entry: F32, v: Any) -> None:
    """Add v, a float32, times a sparse row to `total` (n,)."""
    for q in range(len(column)):
        total[column[q]] += v * entry[q]


@parallel_kernel
def score_csr(rows: Rows, value: F32, weights: Rows, entry: F32, out: F32) -> None:
    """As `score_dense` for sparse weights: four of their rows at a time are written out (4, n)."""
    indptr, item = rows.indptr, rows.item
    start, column = weights.indptr, weights.item
    for r in prange(len(indptr) - 1):
        own, total = item[indptr[r] : indptr[r + 1]], out[r]
        n, grouped = len(own), 0
        if len(value) == 0:
            grouped = n - n % 4
            four = np.zeros((4, len(total)), dtype=np.float32)
            for p in range(0, grouped, 4):
                _group(total, own[p : p + 4], (start, column, entry), four)
        for p in range(grouped, n):
            low, high = start[own[p]], start[own[p] + 1]
            v = value[indptr[r] + p] if len(value) else np.float32(1.0)
            _add_sparse(total, column[low:high], entry[low:high], v)


@kernel
def _group(total: F32, own: I32, weights: tuple[I64, I32, F32], four: F32) -> None:
    """Add four sparse rows to `total` by way of `four` (4, n), which is zero before and after."""
    start, column, entry = weights
    for q in range(4):
        _write(four[q], column[start[own[q]] : start[own[q] + 1]], entry[start[own[q]] : start[own[q] + 1]])
    _add_four(total, four[0], four[1], four[2], four[3])
    for q in range(4):
        _clear(four[q], column[start[own[q]] : start[own[q] + 1]])
