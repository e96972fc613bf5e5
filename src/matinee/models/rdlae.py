r"""RDLAE: EDLAE with a relaxed diagonal constraint.

    minimise  ‖X − XB‖² + ‖Λ^½ B‖²   over B (n, n) with diag B ≤ ξ                       (eq. 13)

    Λ = diagM(γ),    γ_j = l2 + dropout / (1 − dropout) · n_j
    P = (X'X + Λ)⁻¹,    B = I − P · diagM(γ + μ),    μ_j = max(0, (1 − ξ) / P_jj − γ_j)

X is (users, items), 0 or 1, n_j the number of users of item j; the score of item j for history x is (xB)_j. ξ = 0 is
EDLAE, dropout = 0 is RLAE. Cost: as EASE, n³ operations and 4 n² bytes.

Moon, Kim and Lee, It's Enough: Relaxing Diagonal Constraints in Linear Autoencoders for Recommendation, SIGIR 2023.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear import ridge
from matinee.linear.params import L2, DiagonalBound, GramDropout


class RDLAE(ModelSpec):
    """EASE with dropout and a relaxed diagonal; contains EASE, EDLAE and RLAE."""

    memory_advice: ClassVar[str] = "Use item_knn, with memory that grows with the interactions, or a k-core."

    l2: L2 = 300.0

    dropout: GramDropout = 0.3

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
