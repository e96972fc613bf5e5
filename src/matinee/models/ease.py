r"""EASE: ridge regression of each item on all others, solved in closed form.

    minimise  ‖X̃ − X̃B‖² + Σ_i γ_i ‖B_i:‖²   over B (n, n) with a zero diagonal          (eq. 2, 3)

    P = (X̃'X̃ + diagM(γ))⁻¹,    B_ij = −P_ij / P_jj  off the diagonal                    (eq. 8)

    γ_i = l2 · (n_i / n̄)^alpha,    X̃ = X + unobserved_value · (1 − X),    score_j = (x̃B)_j / (n_j / n̄)^popularity_debias

X is (users, items), 0 or 1, n_i the number of users of item i, n̄ its mean. With alpha, unobserved_value and
popularity_debias at 0 this is the paper's model with score (xB)_j. Cost: the Gram matrix, then one symmetric inverse of
n³ operations; 4 n² bytes, which hold the Gram matrix, the inverse and B in turn. `linear/ridge.py` computes the inverse
for all models of this family.

Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019. arXiv:1905.03375
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, ClassVar

from pydantic import Field

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear import ridge
from matinee.linear.params import L2, Alpha
from matinee.spec import SearchRange


class EASE(ModelSpec):
    """A linear item–item model with a closed form; a strong baseline."""

    memory_advice: ClassVar[str] = "Use item_knn, with memory that grows with the interactions, or a k-core."

    l2: L2 = 500.0

    alpha: Alpha = 0.0

    popularity_debias: Annotated[float, Field(ge=0, le=1), SearchRange(0, 0.5)] = 0.0
    """Exponent of popularity by which scores are divided; larger values favour rare items."""

    unobserved_value: Annotated[float, Field(ge=0, lt=1), SearchRange(0, 0.3)] = 0.0
    """Value of an item without interaction in the training matrix, where an interaction is 1."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Compute one Gram matrix and one inverse."""
        ctx.check_memory(self, data)
        return ridge.fit_ridge(self, data, ctx)

    def shared_key(self) -> tuple[Hashable, ...]:
        """The hyperparameters of the inverse, which specs with an equal key share."""
        return ridge.ridge_shared_key(self)

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """One n × n matrix; two strips for large catalogues, or a copy with `unobserved_value`."""
        return ridge.ridge_memory(ridge.RidgeParams.of(self), n_items, n_rows)
