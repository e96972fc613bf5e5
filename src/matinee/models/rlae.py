r"""RLAE: EASE whose items may speak for themselves, up to a bound.

    minimise  ‖X − XB‖² + l2 ‖B‖²   over B (n, n) with diag B ≤ ξ                        (eq. 6)

    P = (X'X + l2 I)⁻¹,    B = I − P · diagM(l2 + μ),    μ_j = max(0, (1 − ξ) / P_jj − l2)

X is (users, items), 0 or 1; the score of item j for history x is (xB)_j, and ξ = 0 is EASE. The bound scales column j
of the same inverse, so that a whole row of ξ costs one. Cost: as EASE, n³ operations and 4 n² bytes.

Moon, Kim and Lee, It's Enough: Relaxing Diagonal Constraints in Linear Autoencoders for Recommendation, SIGIR 2023.
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


class RLAE(ModelSpec):
    """EASE with a relaxed diagonal: kinder to items that few took."""

    if_too_large: ClassVar[str] = "Use item_knn, whose memory grows with the interactions, or a k-core."

    l2: Annotated[float, Field(gt=0), Search(1, 1e5, log=True)] = 500.0
    """Ridge penalty. Small fits rare pairs, large leans to popular items."""

    xi: Annotated[float, Field(ge=0, le=1), Search(0, 1)] = 0.3
    """Most that an item may say for itself: 0 nothing, 1 whatever ridge regression gives it."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """One Gram matrix, one inverse."""
        ctx.admit(self, data)
        return ridge.fit(self, data)

    @classmethod
    def path(cls, specs: Sequence[ModelSpec], data: Interactions, ctx: Context = Context()) -> Iterator[ItemItem]:
        """One Gram matrix for all; those that differ in ξ alone share the inverse."""
        return ridge.path(specs, data, ctx)

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The matrix, and two strips beside it for large catalogues."""
        return ridge.memory(ridge.Recipe.of(self), n_items, n_rows)
