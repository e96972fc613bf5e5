"""Scores by like-minded people: who shares most with a history, and what they took. Nothing (m, users) is held."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from matinee.kernel import kernel, parallel_kernel, prange
from matinee.topk.kernels import F32, I32, I64, Rows, heap_push

CHUNKS = 64


class NeighbourIndex(NamedTuple):
    """The people who may vote: what each took, by person and by item, and the weight (n_items,) of sharing an item."""

    by_user: Rows
    by_item: Rows
    weight: F32


class SimilarityRule(NamedTuple):
    """What the shared weight g of a person and a history is divided by, from their sizes.

    product: person · history + shrink;   sum: person + history − twice · g + shrink.   person (users,), history (m,)
    """

    neighbour_size: F32
    query_size: F32
    shrink: float
    product: bool
    twice: float


@kernel
def add_weights(own: I32, indptr: I64, entry: I32, weight: F32, shared: F32) -> None:
    """For every r in `own`, add weight[r] to all that stands in row r."""
    for r in own:
        w = weight[r]
        for p in range(indptr[r], indptr[r + 1]):
            shared[entry[p]] += w


@kernel
def add_weights_tracked(own: I32, indptr: I64, entry: I32, weight: F32, shared: F32, met: I32) -> int:
    """As `add`, the weights being above 0; writes what was met into `met` and says how much that is."""
    size = 0
    for r in own:
        w = weight[r]
        for p in range(indptr[r], indptr[r + 1]):
            i = entry[p]
            if shared[i] == 0.0:
                met[size] = i
                size += 1
            shared[i] += w
    return size


@kernel
def _add_neighbours(best: F32, who: I32, indptr: I64, item: I32, total: F32) -> None:
    """Everybody chosen gives their closeness to all they took."""
    for c in range(len(who)):
        if best[c] > -np.inf:
            for p in range(indptr[who[c]], indptr[who[c] + 1]):
                total[item[p]] += best[c]


@parallel_kernel
def score_user_knn(asked: Rows, crowd: NeighbourIndex, close: SimilarityRule, k: int, out: F32) -> None:
    """out[r] = Σ closeness · x_v over the k people v closest to row r; ties go to the smaller code.

    `out` (m, n_items) comes in as zeros. Floor: Σ_r Σ_{i∈r} n_i adds, n_i how many people took i, then Σ L_v adds over
    the people chosen. 12 bytes a person a chunk.
    """
    begin, asked_item = asked.indptr, asked.item
    indptr, item, weight = crowd.by_user.indptr, crowd.by_user.item, crowd.weight
    start, user = crowd.by_item.indptr, crowd.by_item.item
    person, history, shrink, product, twice = (
        close.neighbour_size,
        close.query_size,
        close.shrink,
        close.product,
        close.twice,
    )
    m, n_users = len(begin) - 1, len(indptr) - 1
    for chunk in prange(CHUNKS):
        shared = np.zeros(n_users, dtype=np.float32)
        met = np.empty(n_users, dtype=np.int32)
        best, who = np.empty(k, dtype=np.float32), np.empty(k, dtype=np.int32)
        for r in range(chunk * m // CHUNKS, (chunk + 1) * m // CHUNKS):
            own = asked_item[begin[r] : begin[r + 1]]
            work = 0
            for i in own:
                work += start[i + 1] - start[i]
            best[:] = -np.inf
            who[:] = 2**31 - 1
            if work > n_users:  # most are met: looking at all costs less than remembering whom
                size = n_users
                add_weights(own, start, user, weight, shared)
            else:
                size = add_weights_tracked(own, start, user, weight, shared, met)
            for t in range(size):
                v = t if size == n_users else met[t]
                g = shared[v]
                if g > 0.0:
                    below = person[v] * history[r] if product else person[v] + history[r] - twice * g
                    s = np.float32(g / (below + shrink))
                    if s >= best[0]:
                        heap_push(best, who, float(s), v)
                    shared[v] = 0.0
            _add_neighbours(best, who, indptr, item, out[r])
