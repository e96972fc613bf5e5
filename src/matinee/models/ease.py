r"""EASE: each item predicted from all the others by ridge regression, solved in closed form.

    minimise  ‖X̃ − X̃B‖² + Σ_i γ_i ‖B_i:‖²   over B (n, n) with a zero diagonal          (eq. 2, 3)

    P = (X̃'X̃ + diagM(γ))⁻¹,    B_ij = −P_ij / P_jj  off the diagonal                    (eq. 8)

    γ_i = l2 · (n_i / n̄)^alpha,    X̃ = X + fill · (1 − X),    score_j = (x̃B)_j / (n_j / n̄)^debias

X is (users, items), 0 or 1, n_i how many took item i, n̄ its mean; with the three variants at 0 this is the paper's
model, whose score is (xB)_j. Cost: the Gram matrix, then one symmetric inverse, n³ operations; 4 n² bytes, in which
Gram, inverse and B follow each other. See `linear/ridge.py`, where its relatives come from the same inverse.

Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019. arXiv:1905.03375
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear import ridge
from matinee.spec import Search


class EASE(ModelSpec):
    """A linear model with one knob that matters: the first model to beat."""

    if_too_large: ClassVar[str] = "Use item_knn, whose memory grows with the interactions, or a k-core."

    l2: Annotated[float, Field(gt=0), Search(1, 1e5, log=True)] = 500.0
    """Ridge penalty. Small fits rare pairs, large leans to popular items."""

    alpha: Annotated[float, Field(ge=0, le=1), Search(0, 1)] = 0.0
    """How much more the weights of popular items are penalised: l2 is multiplied by (people / mean people)^alpha."""

    debias: Annotated[float, Field(ge=0, le=1), Search(0, 0.5)] = 0.0
    """How much popularity is divided out of the scores; 0 leaves them alone, more brings up rare items."""

    fill: Annotated[float, Field(ge=0, lt=1), Search(0, 0.3)] = 0.0
    """What an item somebody did not take counts, where one taken counts 1."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """One Gram matrix, one inverse."""
        ctx.admit(self, data)
        return ridge.fit(self, data)

    @classmethod
    def path(cls, specs: Sequence[ModelSpec], data: Interactions, ctx: Context = Context()) -> Iterator[ItemItem]:
        """One Gram matrix for all; those that differ in `debias` alone share the inverse."""
        return ridge.path(specs, data, ctx)

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The matrix, and beside it two strips for large catalogues, or with `fill` a copy."""
        return ridge.memory(ridge.Recipe.of(self), n_items, n_rows)
