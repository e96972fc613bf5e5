r"""EDLAE: EASE with dropout of the input, in closed form.

    P = (X'X + Λ)⁻¹,    Λ = l2 · I + dropout / (1 − dropout) · diagM(diag X'X)           (eq. 5)
    B_ij = −P_ij / P_jj  off the diagonal, B_jj = 0                                      (eq. 8 with a = 1, b = 0)

X is (users, items), 0 or 1; the score of item j for history x is (xB)_j. Up to one factor of all scores, B is the
expected ridge regression of each item on the others over all dropout masks. Cost: as EASE, n³
operations and 4 n² bytes.

Steck, Autoencoders that don't overfit towards the Identity, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear import ridge
from matinee.linear.params import L2, GramDropout


class EDLAE(ModelSpec):
    """EASE with a penalty that grows with popularity, as dropout implies."""

    memory_advice: ClassVar[str] = "Use item_knn, with memory that grows with the interactions, or a k-core."

    l2: L2 = 300.0

    dropout: GramDropout = 0.3

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Compute one Gram matrix and one inverse."""
        ctx.check_memory(self, data)
        return ridge.fit_ridge(self, data, ctx)

    def shared_key(self) -> tuple[Hashable, ...]:
        """The hyperparameters of the inverse, which specs with an equal key share."""
        return ridge.ridge_shared_key(self)

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """One n × n matrix and two strips for large catalogues."""
        return ridge.ridge_memory(ridge.RidgeParams.of(self), n_items, n_rows)
