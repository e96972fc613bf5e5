"""The most similar items of every item, without an (n, n) matrix; one kernel for all similarities."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.errors import DataError
from matinee.kernel import parallel_kernel, prange
from matinee.linear.gram import EXACT
from matinee.topk.kernels import F32, I64, Heaps, Rows, empty_heaps, heap_push, sort_heaps
from matinee.topk.rank import rows_of
from matinee.topk.similarity import Denominator, SimilarityRule, divide, powers
from matinee.topk.user_knn import add_weights, add_weights_tracked

F64: TypeAlias = NDArray[np.float64]
Keep: TypeAlias = Literal["columns", "rows"]

CHUNKS = 64


def top_k_similar(
    matrix: csr_array, weight: F64, size: F64, rule: SimilarityRule, k: int, *, by_row: bool = False
) -> csr_array:
    """Sparse similarities W (n, n), the k largest of every column.

    W_ij = G_ij / denominator of `rule`; with `by_row` the k largest of every row are kept instead.
    `size` (n,) are the sizes of the items, sources and targets alike.

    G_ij = Σ_u weight_u x_ui x_uj of `matrix` (m, n) 0/1, weight (m,) above 0; without the diagonal, ties go to the
    smaller code. Refused if an item has more than 2²⁴ users: a float32 sum of ones stops growing there. Floor:
    Σ_u L_u² adds. A row of G is one buffer of n numbers per thread; 8 k n bytes of lists.
    """
    n = matrix.shape[1]
    rule = rule.transposed() if by_row else rule
    rows, columns = rows_of(matrix), rows_of(csc_array(matrix))
    refuse_large(int(np.diff(columns.indptr).max(initial=0)))
    heaps = empty_heaps(n, max(1, min(k, n - 1)))
    work = np.bincount(matrix.indices, np.repeat(np.diff(rows.indptr), np.diff(rows.indptr)), minlength=n).astype(
        np.float64
    )
    order = np.argsort(-work, kind="stable")
    order = np.concatenate([order[hand::CHUNKS] for hand in range(CHUNKS)])
    denominator = rule.denominator(rule.source_side(size), rule.target_side(size))
    _nearest((rows, columns), (weight.astype(np.float32), work), order, denominator, heaps)
    sort_heaps(heaps)
    there = heaps.item >= 0
    indptr = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(there.sum(axis=1), out=indptr[1:])
    kept = (heaps.score[there], heaps.item[there], indptr)
    W = csr_array(kept, shape=(n, n)) if by_row else csc_array(kept, shape=(n, n)).tocsr()
    W.sort_indices()
    return W


def refuse_large(users: int) -> None:
    """Raise `DataError` where so many users of one item are more than float32 can count."""
    if users > EXACT:
        found = f"an item has {users:,} users"
        raise DataError("neighbours of items", found, f"at most {EXACT:,}", "Fit on a sample of the users.")


def p3_walk(matrix: csr_array, exponents: tuple[float, float], k: int, keep: Keep, *, normalise: bool) -> csr_array:
    """Sparse weights W (n, n) of a three-step walk, without the diagonal.

    W_ij = Σ_u (x_ui / n_i)^α (x_uj / L_u)^α / n_j^β.
    The k largest of every column (`keep` = "columns") or row ("rows") remain; `normalise` scales rows to sum 1.
    """
    alpha, beta = exponents
    length = np.diff(matrix.indptr).astype(np.float64)
    count = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
    rule = SimilarityRule(alpha, beta)
    W = top_k_similar(matrix, powers(length, -alpha), count, rule, k, by_row=keep == "rows")
    if normalise:
        total = np.add.reduceat(np.append(W.data, 0), W.indptr[:-1])
        W.data /= np.repeat(total, np.diff(W.indptr)).astype(np.float32)
    return W


@parallel_kernel
def _nearest(
    matrix: tuple[Rows, Rows],
    weights: tuple[F32, F64],
    order: I64,
    rule: Denominator,
    heaps: Heaps,
) -> None:
    rows, columns = matrix
    indptr, item, start, user = rows.indptr, rows.item, columns.indptr, columns.item
    weight, work = weights
    kept_score, kept_item = heaps.score, heaps.item
    n = len(order)
    for chunk in prange(CHUNKS):
        shared = np.zeros(n, dtype=np.float32)
        touched = np.empty(n, dtype=np.int32)
        for o in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS):
            j = order[o]
            own = user[start[j] : start[j + 1]]
            if work[j] > n:  # most items are touched: a scan of all costs less than a list
                size = n
                add_weights(own, indptr, item, weight, shared)
            else:
                size = add_weights_tracked(own, indptr, item, weight, shared, touched)
            score, kept = kept_score[j], kept_item[j]
            for t in range(size):
                i = t if size == n else touched[t]
                if shared[i] > 0.0 and i != j:
                    s = divide(shared[i], rule.source[i], rule.target[j], rule)
                    if s >= score[0]:
                        heap_push(score, kept, float(s), i)
                shared[i] = 0.0
