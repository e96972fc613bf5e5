r"""P³α: a random walk of three steps, user → item → user → item.

    W_ij = Σ_u (x_ui / n_i)^α (x_uj / L_u)^α,   i ≠ j,   the `neighbours` largest of each item kept

x (users, items) is 0 or 1, n_i the users of item i, L_u the items of user u; α = 1 is the walk itself, and the full W
including its diagonal has rows of sum 1. The score of item j for history x (n_items,) is Σ_i x_i W_ij. `normalize`
scales rows to sum 1 after the cut. Cost: Σ_u L_u² adds, as item_knn, with the same kernel; 8 bytes per neighbour.

Cooper et al., Random Walks in Recommender Systems, WWW 2014.
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


class P3Alpha(ModelSpec):
    """A three-step random walk over the log as item–item weights."""

    neighbours: Neighbours = 200

    alpha: Annotated[float, Field(ge=0), SearchRange(0, 2)] = 1.0
    """Exponent of the transition probabilities; larger values reduce popular items and heavy users."""

    normalize: Annotated[bool, SearchRange(choices=(False, True))] = True
    """Whether the weights of an item are scaled to sum 1 after the cut."""

    prune: Annotated[Keep, SearchRange(choices=("columns", "rows"))] = "columns"
    """Which neighbours are kept: the largest weights of each column (target) or of each row (source)."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Compute weighted Gram rows and keep the largest entries."""
        ctx.check_memory(self, data)
        W = p3_walk(data.matrix, (self.alpha, 0.0), self.neighbours, self.prune, normalise=self.normalize)
        return ItemItem(self, data.items, W, data.popularity.astype(np.float32))

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The neighbours, twice during a transposition, and the log by column."""
        return 2 * 12 * n_items * min(self.neighbours, n_items) + 24 * n_rows + 64 * 8 * n_items + 24 * n_users
