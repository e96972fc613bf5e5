r"""Directional ridge: co-occurrence and succession in one linear regression with a closed form.

    minimise  a ‖X − XB‖² + (1 − a) Σ_t ‖y_t − s_t B‖² + l2 ‖B‖²   over B (n, n) with a zero diagonal  (eq. 9, 11)

    A = a X'X + (1−a) Σ_t s_t's_t + l2 I,   C = a X'X + (1−a) Σ_t s_t'y_t,   P = A⁻¹
    B = P (C − diag μ),   μ_j = (PC)_jj / P_jj

X is (users, items), 0 or 1, a = `set_weight`. At position t of a history, s_t (n,) has the items before t with weight
exp(−d / history_decay), d the interactions since, and y_t (n,) the items from t on with weight exp(−d / target_decay).
The score of item j for a history s, decayed in the same way, is (sB)_j. With a = 1 it is EASE with decayed queries.
Cost: one pass over all pairs of interactions of a history, then an inverse and a product, 3 n³ operations; 8 n² bytes
and one strip.

Choi et al., Session-aware Linear Item-Item Models for Session-based Recommendation (SLIST), WWW 2021. arXiv:2103.16104
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from matinee.arrays import F32
from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.params import L2
from matinee.linear.sharing import share, share_gram
from matinee.linear.spd import invert
from matinee.linear.transitions import transition_moments
from matinee.shared import writable
from matinee.spec import SearchRange
from matinee.topk.query import BinaryQuery, DecayedQuery

STRIP = 1024
"""Columns per matrix product."""


class Directional(ModelSpec):
    """A linear model that uses order: ridge regression of later items on earlier ones."""

    uses_order: ClassVar[bool] = True

    memory_advice: ClassVar[str] = "Use mrf or item_knn, with memory that grows with the interactions, or a k-core."

    set_weight: Annotated[float, Field(ge=0, le=1), SearchRange(0, 1)] = 0.5
    """Weight of co-occurrence in the objective; succession has the remaining weight."""

    history_decay: Annotated[float, Field(gt=0), SearchRange(1, 300, log=True)] = 20.0
    """Interactions after which a past item has weight 1/e."""

    target_decay: Annotated[float, Field(gt=0), SearchRange(0.3, 100, log=True)] = 1.0
    """Interactions ahead at which a future item has weight 1/e."""

    l2: L2 = 500.0

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Compute the moments of both regressions, one inverse and one product."""
        ctx.check_memory(self, data)
        S, T = share(ctx, data, self._moments, lambda: self._transition_moments(data), 8 * data.n_items**2)
        A, C = writable(S), writable(T)
        del S, T
        A *= 1.0 - self.set_weight
        C *= 1.0 - self.set_weight
        co_occurrence = writable(share_gram(ctx, data))
        popularity = np.diag(co_occurrence).copy()
        co_occurrence *= self.set_weight
        A += co_occurrence
        C += co_occurrence
        del co_occurrence
        A[np.diag_indices_from(A)] += self.l2
        query = DecayedQuery(self.history_decay) if self.history_decay else BinaryQuery()
        return ItemItem(self, data.items, _solve(A, C), popularity, query)

    def shared_key(self) -> tuple[Hashable, ...]:
        """All specs share the Gram matrix; those with equal decays share the moments."""
        return "gram", *self._moments

    @property
    def _moments(self) -> tuple[str, float, float]:
        return "transitions", self.history_decay, self.target_decay

    def _transition_moments(self, data: Interactions) -> tuple[F32, F32]:
        return transition_moments(data.offsets, data.item, data.n_items, self.history_decay, self.target_decay)

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Both moment matrices and the Gram matrix; then a strip, and the log by item."""
        return 3 * 4 * n_items**2 + 4 * 4096 * n_items + 40 * n_rows


def _solve(A: F32, C: F32) -> F32:
    """B = A⁻¹ (C − diag μ) with a zero diagonal, written over C; A is overwritten."""
    P = invert(A)
    variance = np.diag(P).copy()
    for low in range(0, len(C), STRIP):
        high = min(len(C), low + STRIP)
        strip = P @ C[:, low:high]
        own = np.arange(low, high)
        strip -= P[:, low:high] * (strip[own, own - low] / variance[low:high])
        strip[own, own - low] = 0.0
        C[:, low:high] = strip
    return C
