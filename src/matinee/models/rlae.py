r"""RLAE: EASE with a relaxed diagonal constraint.

    minimise  ‖X − XB‖² + l2 ‖B‖²   over B (n, n) with diag B ≤ ξ                        (eq. 6)

    P = (X'X + l2 I)⁻¹,    B = I − P · diagM(l2 + μ),    μ_j = max(0, (1 − ξ) / P_jj − l2)

X is (users, items), 0 or 1; the score of item j for history x is (xB)_j, and ξ = 0 is EASE. The bound scales column j
of the same inverse, so many values of ξ cost one inverse. Cost: as EASE, n³ operations and 4 n² bytes.

Moon, Kim and Lee, It's Enough: Relaxing Diagonal Constraints in Linear Autoencoders for Recommendation, SIGIR 2023.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear import ridge
from matinee.linear.params import L2, DiagonalBound


class RLAE(ModelSpec):
    """EASE with a relaxed diagonal; ranks rare items higher."""

    memory_advice: ClassVar[str] = "Use item_knn, with memory that grows with the interactions, or a k-core."

    l2: L2 = 500.0

    xi: DiagonalBound = 0.3

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
