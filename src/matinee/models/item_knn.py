r"""Item k-nearest neighbours: people who took this also took that.

    W_ij = b_i · G_ij / (size_i^α · size_j^(1−α) + shrink),   i ≠ j,   for each item j its `neighbours` nearest kept

G_ij = Σ_u a_u² x_ui x_uj is what i and j share, size_i = G_ii: counts of people, unless `weighting` makes a_u and b_i
differ from 1 (`linear/weighting.py`). α = ½ is the cosine, another α Aiolli's asymmetric cosine, α = 1 the share of i's
people who also took j. Jaccard and Dice divide by sums of sizes (`linear/neighbours.py`). The score of item j for
history x (n_items,) is Σ_i x_i W_ij. Cost: Σ_u L_u² adds, L_u the length of a history, for the rows of G, which are
never stored together; 8 bytes a neighbour kept.

Deshpande and Karypis, Item-Based Top-N Recommendation Algorithms, TOIS 2004; α: Aiolli, RecSys 2013.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.neighbours import Measure, measure, nearest
from matinee.linear.weighting import Weighting, documents, words
from matinee.spec import Search


class ItemKNN(ModelSpec):
    """Co-occurrence, normalised and cut to the nearest items: explainable, sparse, hard to break."""

    neighbours: Annotated[int, Field(ge=1), Search(10, 1000, log=True)] = 100
    """How many items may vote for one."""

    similarity: Annotated[Measure, Search(choices=("cosine", "jaccard", "dice"))] = "cosine"
    """What sharing people is measured against: a product of the two sizes, their union or their mean."""

    alpha: Annotated[float, Field(ge=0, le=1), Search(0, 1)] = 0.7
    """Whose popularity is divided out: 1 that of the item voting, 0 that of the item voted for."""

    shrink: Annotated[float, Field(ge=0), Search(0, 1000)] = 10.0
    """Added to the denominator: the larger, the less a few shared people prove."""

    weighting: Annotated[Weighting, Search(choices=("none", "tfidf", "bm25"))] = "tfidf"
    """Whether people who took much prove less (tfidf), and votes of popular items count less as well (bm25)."""

    k1: Annotated[float, Field(ge=0), Search(0.1, 5, log=True)] = 1.2
    """How strongly bm25 bends with length; 0 makes it tfidf."""

    b: Annotated[float, Field(ge=0, le=1), Search(0, 1)] = 0.75
    """How much of an item's length counts in bm25; 0 makes it tfidf."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """Gram rows, normalised, the largest kept."""
        ctx.admit(self, data)
        count = data.popularity.astype(np.float64)
        weight = words(self.weighting, data.matrix)
        size = data.matrix.T @ weight
        rule = measure(self.similarity, (size, size), self.alpha, self.shrink)
        W = nearest(data.matrix, weight, rule, self.neighbours)
        if self.weighting == "bm25":
            vote = documents(self.weighting, count, self.k1, self.b).astype(np.float32)
            W.data *= np.repeat(vote, np.diff(W.indptr))
        return ItemItem(self, data.items, W, count.astype(np.float32))

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The neighbours kept, twice while they are transposed, and the log by column."""
        return 2 * 12 * n_items * min(self.neighbours, n_items) + 30 * n_rows + 64 * 8 * n_items + 24 * n_users
