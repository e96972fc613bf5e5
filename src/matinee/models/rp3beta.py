r"""RP³β: the walk of P³α, with what is popular held back.

    W_ij = n_j^(−β) Σ_u (x_ui / n_i)^α (x_uj / L_u)^α,   i ≠ j,   the `neighbours` largest of each item kept

x (users, items) is 0 or 1, n_i how many took i, L_u how much u took; the score of item j for history x (n_items,) is
Σ_i x_i W_ij, and β = 0 is P³α. `normalise` makes the rows kept add up to 1. Cost: Σ_u L_u² adds, as item_knn, on the
same kernel; 8 bytes a neighbour kept.

Paudel et al., Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive Applications, TiiS 2016.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.neighbours import Keep, walk
from matinee.spec import Search


class RP3Beta(ModelSpec):
    """A short random walk that does not end at what everybody took anyway: cheap, strong, unlike EASE."""

    neighbours: Annotated[int, Field(ge=1), Search(10, 1000, log=True)] = 200
    """How many items are kept for one."""

    alpha: Annotated[float, Field(ge=0), Search(0, 2)] = 0.75
    """Exponent of the steps' probabilities: the larger, the less popular items and heavy people carry on."""

    beta: Annotated[float, Field(ge=0), Search(0, 1)] = 0.4
    """How much of its popularity is divided out of the item the walk ends at: 0 none, 1 all."""

    normalise: Annotated[bool, Search(choices=(False, True))] = True
    """Whether the votes of an item add up to 1 after the cut."""

    keep: Annotated[Keep, Search(choices=("voters", "voted"))] = "voters"
    """What is cut to the largest: the items that vote for one, or the items that one votes for."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """Weighted Gram rows, divided, the largest kept."""
        ctx.admit(self, data)
        W = walk(data.matrix, (self.alpha, self.beta), self.neighbours, self.keep, normalise=self.normalise)
        return ItemItem(self, data.items, W, data.popularity.astype(np.float32))

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The neighbours kept, twice while they are transposed, and the log by column."""
        return 2 * 12 * n_items * min(self.neighbours, n_items) + 24 * n_rows + 64 * 8 * n_items + 24 * n_users
