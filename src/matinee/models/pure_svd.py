r"""PureSVD: histories projected on the leading directions of taste, every missing entry counted as zero.

    X D^−scaling ≈ U Σ Q',    ŝ_u = x_u D^−scaling Q Q' D^scaling                       (eq. 4–6 with scaling 0)

X is (users, items), 0 or 1; D the diagonal of how many people took each item; Q (n, factors) the right singular
vectors of the largest singular values. scaling ½ is the low-pass filter of GF-CF, and between 0 and ½ EigenRec. A
score needs no user factors, so somebody new is scored exactly. Cost: a Gram matrix and about 5·factors products with
it, 2 n² operations each, or as many with X where X is much sparser; 4 n² bytes or 30 bytes an interaction.

Cremonesi, Koren and Turrin, Performance of Recommender Algorithms on Top-N Recommendation Tasks, RecSys 2010;
scaling: Nikolakopoulos, Kalantzis, Gallopoulos and Garofalakis, EigenRec, KAIS 2019.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import LowRank
from matinee.linear.spectral import directions, room
from matinee.linear.weighted_gram import inverse_power
from matinee.spec import Search


class PureSVD(ModelSpec):
    """The truncated singular value decomposition of who took what: a floor for everything with factors."""

    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use fewer factors, or item_knn, whose memory grows with the interactions."

    factors: Annotated[int, Field(ge=1), Search(8, 1024, log=True)] = 64
    """How many directions of taste are kept."""

    scaling: Annotated[float, Field(ge=0, le=1), Search(0, 0.75)] = 0.0
    """The power of its popularity by which an item is divided before the decomposition; 0 is the original."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> LowRank:
        """The leading right singular vectors, by block Lanczos."""
        ctx.admit(self, data)
        n = data.popularity
        down = inverse_power(n, self.scaling)
        _, V = directions(data.matrix, np.ones(data.n_users), down, self.factors, ctx.rng())
        up = np.divide(1.0, down, where=down > 0, out=np.zeros_like(down))
        left, right = (down[:, None] * V).astype(np.float32), (V.T * up).astype(np.float32)
        return LowRank(self, data.items, left, right, n.astype(np.float32))

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """What the decomposition takes, and its two factors."""
        return room(n_users, n_items, n_rows, self.factors) + 4 * 4 * n_items * min(self.factors, n_items)
