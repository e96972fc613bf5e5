"""The most similar items of every item, without an (n, n) matrix; one kernel for all similarities."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.errors import DataError
from matinee.kernel import parallel_kernel, prange
from matinee.linear.gram import EXACT
from matinee.topk.kernels import F32, I64, Heaps, Rows, empty_heaps, heap_push, sort_heaps
from matinee.topk.rank import rows_of
from matinee.topk.user_knn import add_weights, add_weights_tracked

F64: TypeAlias = NDArray[np.float64]
Measure: TypeAlias = Literal["cosine", "jaccard", "dice"]

Keep: TypeAlias = Literal["columns", "rows"]

CHUNKS = 64


class SimilarityRule(NamedTuple):
    """Denominator of a co-occurrence G_ij: a product of sizes, or a sum of sizes minus the overlap.

    product: source_i · target_j + shrink;   sum: source_i + target_j − twice · G_ij + shrink.   source, target (n,)
    """

    source: F64
    target: F64
    shrink: float
    product: bool = True
    twice: float = 0.0

    def transposed(self) -> SimilarityRule:
        """The rule of the transposed matrix."""
        return SimilarityRule(self.target, self.source, self.shrink, self.product, self.twice)


def similarity_rule(name: Measure, sizes: tuple[F64, F64], alpha: float, shrink: float) -> SimilarityRule:
    """The similarity `name` for sizes (source, target) with asymmetry `alpha`.

    cosine: G / (source^α target^(1−α)), α = ½ is the symmetric cosine (others: Aiolli, RecSys 2013). jaccard:
    G / (2α source + 2(1−α) target − G), α = ½ is intersection over union. dice: G / (α source + (1−α) target). The last
    two are Tversky's.
    """
    source, target = sizes
    if name == "cosine":
        return SimilarityRule(powers(source, alpha), powers(target, 1 - alpha), float(shrink))
    both = 2.0 if name == "jaccard" else 1.0
    return SimilarityRule(
        both * alpha * source, both * (1 - alpha) * target, float(shrink), product=False, twice=both - 1.0
    )


def powers(size: F64, exponent: float) -> F64:
    """size^exponent; 1 where the size is 0."""
    return np.power(size, exponent, where=size > 0, out=np.ones(len(size)))


def top_k_similar(matrix: csr_array, weight: F64, rule: SimilarityRule, k: int, *, by_row: bool = False) -> csr_array:
    """W (n, n) sparse, W_ij = G_ij / denominator of `rule`, the k largest i of every column j (`by_row`: j of every i).

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
    sides = (rule.source, rule.target, float(rule.shrink), rule.product, float(rule.twice))
    _nearest((rows, columns), (weight.astype(np.float32), work), order, sides, heaps)
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
    """W (n, n) sparse of a three-step walk, W_ij = Σ_u (x_ui / n_i)^α (x_uj / L_u)^α / n_j^β, without its diagonal.

    The k largest of every column (`keep` = "columns") or row ("rows") remain; `normalise` scales rows to sum 1.
    """
    alpha, beta = exponents
    length = np.diff(matrix.indptr).astype(np.float64)
    count = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
    rule = SimilarityRule(powers(count, alpha), powers(count, beta), 0.0)
    W = top_k_similar(matrix, powers(length, -alpha), rule, k, by_row=keep == "rows")
    if normalise:
        total = np.add.reduceat(np.append(W.data, 0), W.indptr[:-1])
        W.data /= np.repeat(total, np.diff(W.indptr)).astype(np.float32)
    return W


@parallel_kernel
def _nearest(
    matrix: tuple[Rows, Rows],
    weights: tuple[F32, F64],
    order: I64,
    rule: tuple[F64, F64, float, bool, float],
    heaps: Heaps,
) -> None:
    rows, columns = matrix
    indptr, item, start, user = rows.indptr, rows.item, columns.indptr, columns.item
    weight, work = weights
    voting, voted, shrink, product, twice = rule
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
            other = voted[j]
            for t in range(size):
                i = t if size == n else touched[t]
                g = shared[i]
                if g > 0.0 and i != j:
                    below = voting[i] * other if product else voting[i] + other - twice * g
                    s = np.float32(g / (below + shrink))
                    if s >= score[0]:
                        heap_push(score, kept, float(s), i)
                shared[i] = 0.0
