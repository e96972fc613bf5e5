r"""Item k-nearest neighbours: people who took this also took that.

    W_ij = G_ij / (n_i^α · n_j^(1−α) + shrink),   i ≠ j,   for each item j its `neighbours` largest kept

G = X'X counts who took both, n who took one; α = ½ is the cosine, α = 1 the share of i's people who also took j. The
score of item j for history x is Σ_i x_i W_ij. Cost: Σ_u L_u² adds for the Gram rows, which are never stored together;
8 bytes a neighbour kept.

Deshpande and Karypis, Item-Based Top-N Recommendation Algorithms, TOIS 2004; α: Aiolli, RecSys 2013.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.neighbours import nearest
from matinee.spec import Search


class ItemKNN(ModelSpec):
    """Co-occurrence, normalised and cut to the nearest items: explainable, sparse, hard to break."""

    neighbours: Annotated[int, Field(ge=1), Search(10, 1000, log=True)] = 200
    """How many items may vote for one."""

    shrink: Annotated[float, Field(ge=0), Search(0, 1000)] = 10.0
    """Added to the denominator: the larger, the less a few shared people prove."""

    alpha: Annotated[float, Field(ge=0, le=1), Search(0, 1)] = 0.5
    """Whose popularity is divided out: 1 that of the item voting, 0 that of the item voted for."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """Gram rows, normalised, the largest kept."""
        ctx.admit(self, data)
        n = data.popularity.astype(np.float64)
        voting = np.power(n, self.alpha, where=n > 0, out=np.ones_like(n))
        voted = np.power(n, 1 - self.alpha, where=n > 0, out=np.ones_like(n))
        W = nearest(data.matrix, voting, voted, self.shrink, self.neighbours)
        return ItemItem(self, data.items, W, n.astype(np.float32))

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The neighbours kept, twice while they are transposed, and the log by column."""
        return 2 * 12 * n_items * min(self.neighbours, n_items) + 24 * n_rows + 64 * 8 * n_items
