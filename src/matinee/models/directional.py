r"""Directional ridge: what comes next, and what goes together, in one linear regression with a closed form.

    minimise  set ‖X − XB‖² + (1 − set) Σ_t ‖y_t − s_t B‖² + l2 ‖B‖²   over B (n, n) with a zero diagonal  (eq. 9, 11)

    A = set X'X + (1−set) Σ_t s_t's_t + l2 I,   C = set X'X + (1−set) Σ_t s_t'y_t,   P = A⁻¹
    B = P (C − diag μ),   μ_j = (PC)_jj / P_jj

X is (users, items), 0 or 1. At each position t of each history, s_t (n,) is what was taken before, each item weighing
exp(−a / fading), a the takes since, and y_t (n,) what was taken from t on, weighing exp(−a / reach). The score of item
j for a history s, faded alike, is (sB)_j. With set = 1 it is EASE, but for the fading of what it is asked. Cost: one
walk over all pairs of takes of a history, then an inverse and a product, 3 n³ operations; 8 n² bytes and a strip.

Choi et al., Session-aware Linear Item-Item Models for Session-based Recommendation (SLIST), WWW 2021. arXiv:2103.16104
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.gram import gram
from matinee.linear.spd import invert
from matinee.linear.transitions import moments
from matinee.spec import Search

F32 = NDArray[np.float32]

STRIP = 1024
"""Columns multiplied at once."""


class Directional(ModelSpec):
    """The cheapest model that reads order: EASE that knows before from after."""

    uses_order: ClassVar[bool] = True

    if_too_large: ClassVar[str] = "Use mrf or item_knn, whose memory grows with the interactions, or a k-core."

    set_share: Annotated[float, Field(ge=0, le=1), Search(0, 1)] = 0.5
    """How much of the regression is about what goes together; the rest is about what comes after what."""

    fading: Annotated[float, Field(gt=0), Search(1, 300, log=True)] = 20.0
    """Takes after which an item of the past weighs 1/e."""

    reach: Annotated[float, Field(gt=0), Search(0.3, 100, log=True)] = 1.0
    """Takes ahead at which what comes weighs 1/e."""

    l2: Annotated[float, Field(gt=0), Search(1, 1e5, log=True)] = 500.0
    """Ridge penalty. Small fits rare pairs, large leans to popular items."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """Moments of both regressions, one inverse, one product."""
        ctx.admit(self, data)
        A, C = moments(data.offsets, data.item, data.n_items, self.fading, self.reach)
        A *= 1.0 - self.set_share
        C *= 1.0 - self.set_share
        together = gram(data.matrix)
        prior = np.diag(together).copy()
        together *= self.set_share
        A += together
        C += together
        del together
        A[np.diag_indices_from(A)] += self.l2
        return ItemItem(self, data.items, _solve(A, C), prior, fading=self.fading)

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Both moments and the Gram matrix while they are added up; then a strip, and the log by item."""
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
