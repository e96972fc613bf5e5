"""Ridge regression of every column on a few selected others, without an (n, n) matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array, csr_array

from matinee.arrays import F32, F64, I32, I64
from matinee.kernel import kernel, parallel_kernel, prange
from matinee.linear.gram import gram
from matinee.observer import SILENT, Observer
from matinee.topk.rank import rows_of

HEAD = 8192
"""Number of most popular items with a dense Gram matrix: 268 MB."""

COLUMNS = 4096
"""Columns solved between two progress reports."""

CHUNKS = 64
"""Ranges of columns that are scheduled on threads dynamically."""


class LazyGram(NamedTuple):
    """Gram matrix of X, dense among the most popular items, else computed on demand.

    rows_start, rows_item: X by user, ascending; columns_start, columns_user: X by item; place (n,): position of an
    item in the head, −1 in the tail; head (h, h).
    """

    rows_start: I64
    rows_item: I32
    columns_start: I64
    columns_user: I32
    place: I64
    head: F32


def counts(matrix: csr_array, head: int = HEAD) -> LazyGram:
    """The Gram matrix of X (m, n) 0/1, dense for the `head` most popular items."""
    n = matrix.shape[1]
    rows, columns = rows_of(matrix), rows_of(csc_array(matrix))
    popular = np.sort(np.argsort(-np.diff(columns.indptr), kind="stable")[:head])
    place = np.full(n, -1, dtype=np.int64)
    place[popular] = np.arange(len(popular))
    dense = gram(csr_array(matrix[:, popular])) if len(popular) else np.zeros((0, 0), dtype=np.float32)
    return LazyGram(rows.indptr, rows.item, columns.indptr, columns.item, place, dense)


def full_support(n: int) -> csr_array:
    """Support (n, n) with all other items in every column."""
    item = np.arange(n * (n - 1)) % max(n - 1, 1)
    row = np.repeat(np.arange(n), n - 1)
    data, indptr = np.ones(len(row), dtype=np.float32), np.arange(n + 1) * (n - 1)
    return csr_array((data, (item + (item >= row)).astype(np.int32), indptr), shape=(n, n))


def local_ridge(G: LazyGram, support: csr_array, l2: float, observer: Observer = SILENT) -> csr_array:
    """W (n, n) sparse, one ridge regression per column.

    Column j is the regression of item j on the items of column j of `support`: (G_SS + l2 I) w = G_Sj, S the support of
    j, m items, by Cholesky in float64. With all other items in S it is EASE. Floor per column: m³/3 multiply-adds, m²
    reads of the head, and for each tail item of S one pass over the histories of its users. Memory beside `support`: 12
    bytes per weight, 16 m² per thread.
    """
    n = support.shape[1]
    chosen = rows_of(csc_array(support))
    weight = np.zeros(len(chosen.item), dtype=np.float32)
    by_user = (G.rows_start, G.rows_item, G.columns_start, G.columns_user)
    with observer.progress("columns", n) as advance:
        for start in range(0, n, COLUMNS):
            stop = min(n, start + COLUMNS)
            failed = np.zeros(CHUNKS, dtype=np.int64)
            _local_ridge(by_user, (G.place, G.head), (start, stop), l2, (chosen.indptr, chosen.item, weight), failed)
            advance(stop - start)
    W = csc_array((weight, chosen.item, chosen.indptr), shape=(n, n)).tocsr()
    W.sort_indices()
    return W


@parallel_kernel
def _local_ridge(
    by_user: tuple[I64, I32, I64, I32],
    dense: tuple[I64, F32],
    stretch: tuple[int, int],
    l2: float,
    out: tuple[I64, I32, F32],
    failed: I64,
) -> None:
    rows_start, rows_item, columns_start, columns_user = by_user
    place, head = dense
    indptr, item, weight = out
    start, stop = stretch
    n = len(place)
    for chunk in prange(CHUNKS):
        where = np.full(n, -1, dtype=np.int32)
        for j in range(start + chunk, stop, CHUNKS):
            low, high = indptr[j], indptr[j + 1]
            m = high - low
            if m == 0:
                continue
            group = np.empty(m + 1, dtype=np.int32)
            group[:m] = item[low:high]
            group[m] = j
            A = np.zeros((m + 1, m + 1), dtype=np.float64)
            _from_head(group, place, head, A)
            for x in range(m + 1):
                where[group[x]] = x
            for x in range(m + 1):
                if place[group[x]] < 0:
                    users = columns_user[columns_start[group[x]] : columns_start[group[x] + 1]]
                    _from_rows(rows_start, rows_item, users, where, A[x])
            for x in range(m + 1):
                where[group[x]] = -1
                if place[group[x]] < 0:
                    A[:, x] = A[x]
                A[x, x] += l2
            _cholesky_solve(A, weight[low:high])


@kernel
def _from_head(group: I32, place: I64, head: F32, A: F64) -> None:
    """Fill A (a, a) with the counts of pairs of `group` in the head."""
    for x in range(len(group)):
        px = place[group[x]]
        if px >= 0:
            row = head[px]
            for y in range(len(group)):
                py = place[group[y]]
                if py >= 0:
                    A[x, y] = row[py]


@kernel
def _from_rows(rows_start: I64, rows_item: I32, users: I32, where: I32, counted: F64) -> None:
    """Count the items of a group among `users`: where[i] is the position of item i in it, −1 outside."""
    for u in users:
        for p in range(rows_start[u], rows_start[u + 1]):
            at = where[rows_item[p]]
            if at >= 0:
                counted[at] += 1.0


@kernel
def _cholesky_solve(A: F64, w: F32) -> None:
    """Solve A[:m, :m] w = A[:m, m] for w (m,), A (m + 1, m + 1) symmetric; overwrites its upper triangle.

    The right-hand side is eliminated as a last column, row by row, so the inner loop is contiguous.
    """
    m = len(w)
    for k in range(m):
        row = A[k]
        for i in range(k + 1, m):
            share = row[i] / row[k]
            if share != 0.0:
                below = A[i]
                for c in range(i, m + 1):
                    below[c] -= share * row[c]
    for k in range(m - 1, -1, -1):
        total = A[k, m]
        for c in range(k + 1, m):
            total -= A[k, c] * w[c]
        w[k] = total / A[k, k]
