r"""EDLAE: EASE that learns as if part of every history were hidden, in closed form.

    P = (X'X + Λ)⁻¹,    Λ = l2 · I + dropout / (1 − dropout) · diagM(diag X'X)           (eq. 5)
    B_ij = −P_ij / P_jj  off the diagonal, B_jj = 0                                      (eq. 8 with a = 1, b = 0)

X is (users, items), 0 or 1; the score of item j for history x is (xB)_j. B is, up to one factor for all scores, what
ridge regression of each item on the others gives in the mean over all ways to drop inputs. Cost: as EASE, n³
operations and 4 n² bytes.

Steck, Autoencoders that don't overfit towards the Identity, NeurIPS 2020.
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


class EDLAE(ModelSpec):
    """EASE whose penalty grows with popularity, as hiding items at random makes it."""

    if_too_large: ClassVar[str] = "Use item_knn, whose memory grows with the interactions, or a k-core."

    l2: Annotated[float, Field(gt=0), Search(1, 1e5, log=True)] = 300.0
    """Ridge penalty. Small fits rare pairs, large leans to popular items."""

    dropout: Annotated[float, Field(ge=0, lt=1), Search(0, 0.9)] = 0.3
    """Share of a history that is hidden while learning, in expectation: penalises items by how many took them."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """One Gram matrix, one inverse."""
        ctx.admit(self, data)
        return ridge.fit(self, data)

    @classmethod
    def path(cls, specs: Sequence[ModelSpec], data: Interactions, ctx: Context = Context()) -> Iterator[ItemItem]:
        """One Gram matrix for all."""
        return ridge.path(specs, data, ctx)

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The matrix, and two strips beside it for large catalogues."""
        return ridge.memory(ridge.Recipe.of(self), n_items, n_rows)
