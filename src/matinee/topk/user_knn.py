"""Scores by similar users: those that share most with a query, and their items. Nothing (m, users) is held."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from matinee.kernel import kernel, parallel_kernel, prange
from matinee.topk.kernels import F32, I32, I64, Rows, heap_push
from matinee.topk.similarity import Denominator, divide

CHUNKS = 64


class NeighbourIndex(NamedTuple):
    """The log by user and by item, and the weight (n_items,) of a shared item."""

    by_user: Rows
    by_item: Rows
    weight: F32


@kernel
def add_weights(own: I32, indptr: I64, entry: I32, weight: F32, shared: F32) -> None:
    """Add weight[r] to the entries of row r, for every r in `own`."""
    for r in own:
        w = weight[r]
        for p in range(indptr[r], indptr[r + 1]):
            shared[entry[p]] += w


@kernel
def add_weights_tracked(own: I32, indptr: I64, entry: I32, weight: F32, shared: F32, touched: I32) -> int:
    """As `add_weights` for weights above 0; writes the touched entries into `touched`, returns their number."""
    size = 0
    for r in own:
        w = weight[r]
        for p in range(indptr[r], indptr[r + 1]):
            i = entry[p]
            if shared[i] == 0.0:
                touched[size] = i
                size += 1
            shared[i] += w
    return size


@kernel
def _add_neighbours(best: F32, neighbour: I32, indptr: I64, item: I32, total: F32) -> None:
    """Add the similarity of each neighbour to the totals of its items."""
    for c in range(len(neighbour)):
        if best[c] > -np.inf:
            for p in range(indptr[neighbour[c]], indptr[neighbour[c] + 1]):
                total[item[p]] += best[c]


@parallel_kernel
def score_user_knn(query: Rows, index: NeighbourIndex, rule: Denominator, k: int, out: F32) -> None:
    """out[r] = Σ similarity · x_v over the k users v most similar to row r; ties go to the smaller code.

    `rule` has a source for each user of `index` and a target for each row. `out` (m, n_items) comes in as zeros.
    Cost: Σ_r Σ_{i∈r} n_i adds, n_i the number of users of item i, then Σ L_v adds over the k users. 12 bytes a user a
    chunk.
    """
    begin, query_item = query.indptr, query.item
    indptr, item, weight = index.by_user.indptr, index.by_user.item, index.weight
    start, user = index.by_item.indptr, index.by_item.item
    m, n_users = len(begin) - 1, len(indptr) - 1
    for chunk in prange(CHUNKS):
        shared = np.zeros(n_users, dtype=np.float32)
        touched = np.empty(n_users, dtype=np.int32)
        best, neighbour = np.empty(k, dtype=np.float32), np.empty(k, dtype=np.int32)
        for r in range(chunk * m // CHUNKS, (chunk + 1) * m // CHUNKS):
            own = query_item[begin[r] : begin[r + 1]]
            work = 0
            for i in own:
                work += start[i + 1] - start[i]
            best[:] = -np.inf
            neighbour[:] = 2**31 - 1
            if work > n_users:  # most users share an item: a scan of all costs less than a list
                size = n_users
                add_weights(own, start, user, weight, shared)
            else:
                size = add_weights_tracked(own, start, user, weight, shared, touched)
            for t in range(size):
                v = t if size == n_users else touched[t]
                if shared[v] > 0.0:
                    s = divide(shared[v], rule.source[v], rule.target[r], rule)
                    if s >= best[0]:
                        heap_push(best, neighbour, float(s), v)
                    shared[v] = 0.0
            _add_neighbours(best, neighbour, indptr, item, out[r])
