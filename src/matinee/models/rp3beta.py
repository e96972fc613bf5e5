r"""RP³β: the random walk of P³α with the popularity of the target divided out.

    W_ij = n_j^(−β) Σ_u (x_ui / n_i)^α (x_uj / L_u)^α,   i ≠ j,   the `neighbours` largest of each item kept

x (users, items) is 0 or 1, n_i the users of item i, L_u the items of user u; the score of item j for history x
(n_items,) is Σ_i x_i W_ij, and β = 0 is P³α. `normalize` scales rows to sum 1 after the cut. Cost: Σ_u L_u² adds, as
item_knn, with the same kernel; 8 bytes per neighbour.

Paudel et al., Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive Applications, TiiS 2016.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.neighbours import Keep, p3_walk
from matinee.linear.params import Neighbours
from matinee.spec import SearchRange


class RP3Beta(ModelSpec):
    """A three-step random walk with a popularity penalty: cheap, accurate, and different from EASE."""

    neighbours: Neighbours = 200

    alpha: Annotated[float, Field(ge=0), SearchRange(0, 2)] = 0.75
    """Exponent of the transition probabilities; larger values reduce popular items and heavy users."""

    beta: Annotated[float, Field(ge=0), SearchRange(0, 1)] = 0.4
    """Exponent of the target item's popularity in the denominator: 0 none, 1 full."""

    normalize: Annotated[bool, SearchRange(choices=(False, True))] = True
    """Whether the weights of an item are scaled to sum 1 after the cut."""

    prune: Annotated[Keep, SearchRange(choices=("columns", "rows"))] = "columns"
    """Which neighbours are kept: the largest weights of each column (target) or of each row (source)."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Compute weighted Gram rows, divide by popularity and keep the largest entries."""
        ctx.check_memory(self, data)
        W = p3_walk(data.matrix, (self.alpha, self.beta), self.neighbours, self.prune, normalise=self.normalize)
        return ItemItem(self, data.items, W, data.popularity.astype(np.float32))

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The neighbours, twice during a transposition, and the log by column."""
        return 2 * 12 * n_items * min(self.neighbours, n_items) + 24 * n_rows + 64 * 8 * n_items + 24 * n_users
