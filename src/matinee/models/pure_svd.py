r"""PureSVD: histories projected on the leading singular vectors; missing entries are zero.

    X D^−scaling ≈ U Σ Q',    ŝ_u = x_u D^−scaling Q Q' D^scaling                       (eq. 4–6 with scaling 0)

X is (users, items), 0 or 1; D the diagonal of the number of users per item; Q (n, factors) the right singular vectors
of the largest singular values. scaling ½ is the low-pass filter of GF-CF, and between 0 and ½ EigenRec. Scores
need no user factors, so new users are scored exactly. Cost: a Gram matrix and about 5·factors products with
it, 2 n² operations each, or with X if X is much sparser; 4 n² bytes or 30 bytes per interaction.

Cremonesi, Koren and Turrin, Performance of Recommender Algorithms on Top-N Recommendation Tasks, RecSys 2010;
scaling: Nikolakopoulos, Kalantzis, Gallopoulos and Garofalakis, EigenRec, KAIS 2019.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import DotProduct, LinearFoldIn
from matinee.linear.spectral import svd_memory, top_singular_vectors
from matinee.linear.weighted_gram import inverse_power
from matinee.spec import SearchRange


class PureSVD(ModelSpec):
    """Truncated singular value decomposition of the interaction matrix; the baseline of factor models."""

    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = "Use fewer factors, or item_knn, with memory that grows with the interactions."

    factors: Annotated[int, Field(ge=1), SearchRange(8, 1024, log=True)] = 64
    """Number of singular vectors."""

    scaling: Annotated[float, Field(ge=0, le=1), SearchRange(0, 0.75)] = 0.0
    """Exponent of popularity by which items are divided before the decomposition; 0 is PureSVD."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> DotProduct:
        """Compute the leading right singular vectors by block Lanczos."""
        ctx.check_memory(self, data)
        n = data.popularity
        down = inverse_power(n, self.scaling)
        _, V = top_singular_vectors(data.matrix, np.ones(data.n_users), down, self.factors, ctx.rng())
        up = np.divide(1.0, down, where=down > 0, out=np.zeros_like(down))
        left, right = (down[:, None] * V).astype(np.float32), (V * up[:, None]).astype(np.float32)
        return DotProduct(self, data.items, right, n.astype(np.float32), LinearFoldIn(left))

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The decomposition and its two factor matrices."""
        return svd_memory(n_users, n_items, n_rows, self.factors) + 4 * 4 * n_items * min(self.factors, n_items)
