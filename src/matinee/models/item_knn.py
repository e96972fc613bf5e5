r"""Item k-nearest neighbours: similarity of items by their common users.

    W_ij = b_i · G_ij / (size_i^α · size_j^(1−α) + shrink),   i ≠ j,   for each item j its `neighbours` nearest kept

G_ij = Σ_u a_u² x_ui x_uj counts the common users of i and j, size_i = G_ii; `weighting` sets a_u and b_i, else 1
(`linear/weighting.py`). α = ½ is the cosine, another α Aiolli's asymmetric cosine, α = 1 the fraction of i's users that
also have j. Jaccard and Dice divide by sums of sizes (`linear/neighbours.py`). The score of item j for
history x (n_items,) is Σ_i x_i W_ij. Cost: Σ_u L_u² adds, L_u the length of a history, for the rows of G, which are
never stored together; 8 bytes per neighbour.

Deshpande and Karypis, Item-Based Top-N Recommendation Algorithms, TOIS 2004; α: Aiolli, RecSys 2013.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.neighbours import top_k_similar
from matinee.linear.params import Neighbours, Shrink
from matinee.linear.weighting import Weighting, bm25_length_norm, idf_weights
from matinee.spec import SearchRange
from matinee.topk.similarity import Measure, similarity_rule


class ItemKNN(ModelSpec):
    """Normalized co-occurrence, cut to the nearest items: sparse and explainable."""

    neighbours: Neighbours = 100

    similarity: Annotated[Measure, SearchRange(choices=("cosine", "jaccard", "dice"))] = "cosine"
    """Denominator of the similarity: product of the two sizes (cosine), union (jaccard) or mean (dice)."""

    alpha: Annotated[float, Field(ge=0, le=1), SearchRange(0, 1)] = 0.7
    """Exponent of the source item's popularity; the target item's has 1 − alpha. 0.5 is the cosine."""

    shrink: Shrink = 10.0

    weighting: Annotated[Weighting, SearchRange(choices=("none", "tfidf", "bm25"))] = "tfidf"
    """Weights of interactions: tfidf reduces those of heavy users, bm25 also those of popular items."""

    k1: Annotated[float, Field(ge=0), SearchRange(0.1, 5, log=True)] = 1.2
    """Saturation of BM25; 0 gives tfidf."""

    b: Annotated[float, Field(ge=0, le=1), SearchRange(0, 1)] = 0.75
    """Length normalization of BM25; 0 gives tfidf."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Normalize the rows of the Gram matrix and keep the largest entries."""
        ctx.check_memory(self, data)
        count = data.popularity.astype(np.float64)
        weight = idf_weights(self.weighting, data.matrix)
        size = data.matrix.T @ weight
        rule = similarity_rule(self.similarity, self.alpha, self.shrink)
        W = top_k_similar(data.matrix, weight, size, rule, self.neighbours)
        if self.weighting == "bm25":
            vote = bm25_length_norm(self.weighting, count, self.k1, self.b).astype(np.float32)
            W.data *= np.repeat(vote, np.diff(W.indptr))
        return ItemItem(self, data.items, W, count.astype(np.float32))

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The neighbours, twice during a transposition, and the log by column."""
        return 2 * 12 * n_items * min(self.neighbours, n_items) + 30 * n_rows + 64 * 8 * n_items + 24 * n_users
