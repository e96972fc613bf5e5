r"""EASER: EASE with pairs of items as additional inputs, solved exactly.

    minimise  ‖X − XB − ZC‖² + l2 ‖B‖² + l2_pairs ‖C‖²,   B_jj = 0,   C_rj = 0 where j belongs to pair r    (eq. 4–6)

    P = ([X Z]'[X Z] + Λ)⁻¹,    W_:j = e_j − P_:S (P_SS)⁻¹ e_1,    S = {j} and the pairs with j

X (users, items) is 0 or 1; Z_ur = x_ua x_ub for the p most frequent pairs r = {a, b} (a group of ties beyond
`pairs` is excluded); W = [B; C] (n + p, n). The score of item j is (xB + zC)_j. The paper
iterates with ADMM; the closed form above satisfies every constraint exactly. Without pairs it is EASE. Cost: (n + p)³
operations and 8 (n + p)² bytes; z costs more for long histories that contain many pairs.

Steck and Liang, Negative Interactions for Improved Collaborative Filtering: Don't go Deeper, go Higher, RecSys 2021.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array

from matinee.arrays import F32, I32
from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.kernel import parallel_kernel, prange
from matinee.linear.gram import gram
from matinee.linear.sharing import share_gram
from matinee.linear.spd import invert, invert_memory
from matinee.spec import SearchRange
from matinee.topk.query import PairQuery


class EASER(ModelSpec):
    """EASE with second-order terms: weights of pairs of items."""

    memory_advice: ClassVar[str] = "Use fewer pairs, ease, or a k-core."

    pairs: Annotated[int, Field(ge=0), SearchRange(100, 10_000, log=True)] = 1000
    """Maximum number of item pairs; the most frequent ones are used."""

    l2: Annotated[float, Field(gt=0), SearchRange(1, 1e5, log=True)] = 500.0
    """Ridge penalty of single items. Small values fit rare pairs, large values favour popular items."""

    l2_pairs: Annotated[float, Field(gt=0), SearchRange(10, 1e6, log=True)] = 5000.0
    """Ridge penalty of pairs; pairs overlap and need a larger penalty than items."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Select pairs; compute one Gram matrix and inverse, and one system per item."""
        ctx.check_memory(self, data)
        n = data.n_items
        pairs = top_pairs(share_gram(ctx, data), self.pairs)
        query = PairQuery(pairs)
        rows, _ = query.encode(data.histories())
        seen = np.ones(len(rows.item), dtype=np.bool_)
        A = gram(csr_array((seen, rows.item, rows.indptr), shape=(len(rows.indptr) - 1, n + len(pairs))))
        diagonal = np.diag_indices_from(A)
        popularity = A[diagonal][:n].copy()
        A[diagonal] += np.where(np.arange(len(A)) < n, self.l2, self.l2_pairs).astype(np.float32)
        return ItemItem(self, data.items, _weights(invert(A), pairs, n), popularity, query)

    def shared_key(self) -> tuple[Hashable, ...]:
        """All specs share the Gram matrix of single items."""
        return ("gram",)

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The inverse, the weights, and the log with about one pair per row."""
        r = n_items + self.pairs
        return invert_memory(r) + 4 * r * n_items + 2 * 36 * n_rows


def top_pairs(G: F32, n_pairs: int) -> I32:
    """The pairs (p ≤ n_pairs, 2), a < b, ascending, with the largest G_ab.

    Ties are all included, or all excluded.
    """
    tally = np.zeros(int(G.max(initial=0)) + 2, dtype=np.int64)
    for i in range(len(G)):
        seen = np.bincount(G[i, i + 1 :].astype(np.int64))
        tally[: len(seen)] += seen
    at_least = np.cumsum(tally[::-1])[::-1]
    least = max(1, int(np.argmax(at_least <= n_pairs)))
    partners = [np.flatnonzero(G[i, i + 1 :] >= least) + i + 1 for i in range(len(G))]
    first = np.repeat(np.arange(len(G)), [len(own) for own in partners])
    return np.stack([first, np.concatenate(partners)], axis=1).astype(np.int32)


def _weights(P: F32, pairs: I32, n: int) -> F32:
    """W (n + p, n) from P (n + p, n + p)."""
    own = 1.0 / P.diagonal()[:n].astype(np.float64)
    side = np.zeros(pairs.shape)  # factor of a pair's row in the columns of its two items
    order = np.argsort(pairs.T.ravel(), kind="stable")
    start = np.searchsorted(pairs.T.ravel()[order], np.arange(n + 1))
    for j in np.flatnonzero(np.diff(start)):
        mine = order[start[j] : start[j + 1]]
        pair, end = mine % len(pairs), mine // len(pairs)
        S = np.concatenate([[j], n + pair])
        c = np.linalg.solve(P[np.ix_(S, S)].astype(np.float64), np.eye(len(S), 1)[:, 0])
        own[j], side[pair, end] = c[0], c[1:]
    W = np.empty((n + len(pairs), n), dtype=np.float32)
    _combine(P, own.astype(np.float32), pairs, side.astype(np.float32), W)
    W[np.arange(n), np.arange(n)] = 0.0
    W[n + np.arange(len(pairs))[:, None], pairs] = 0.0
    return W


@parallel_kernel
def _combine(P: F32, own: F32, pairs: I32, side: F32, W: F32) -> None:
    n = len(own)
    for r in prange(len(W)):
        row, out = P[r], W[r]
        for j in range(n):
            out[j] = -row[j] * own[j]
        for q in range(len(pairs)):
            out[pairs[q, 0]] -= row[n + q] * side[q, 0]
            out[pairs[q, 1]] -= row[n + q] * side[q, 1]
