r"""User k-nearest neighbours: items of the users most similar to the query.

    sim(v, x) = S / (size_v^α · size_x^(1−α) + shrink),   score_j = Σ_{v among the `neighbours` nearest} sim(v, x) x_vj

S = Σ_i a_i² x_i x_vi counts the common items of user v and query x, size_v = Σ_i a_i² x_vi; `weighting` sets a_i, else
1 (`linear/weighting.py`, items are the terms). x (n_items,) is the query, x_v the history of a training user. α = ½ is
the cosine; Jaccard and Dice divide by sums (`linear/neighbours.py`). Scores depend on the history only, so a new user
with the same items gets the same scores. A training user is among their own neighbours and uses one of the places.

Cost: no training, the log is the model. A list costs Σ_{i∈x} n_i adds, n_i the users of item i, plus the histories of
the neighbours; 8 bytes per row and 12 bytes per user for each of 64 workers.

Resnick et al., GroupLens, CSCW 1994; on 0/1 data Herlocker et al., SIGIR 1999; α: Aiolli, RecSys 2013.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import UserNeighbours
from matinee.linear.weighting import idf_weights
from matinee.spec import SearchRange
from matinee.topk.similarity import Measure, similarity_rule


class UserKNN(ModelSpec):
    """Items of similar users; differs from item–item models and complements them in ensembles."""

    memory_advice: ClassVar[str] = "Use item_knn, or fewer training users."

    neighbours: Annotated[int, Field(ge=1), SearchRange(10, 1000, log=True)] = 50
    """Number of similar users that contribute to a score."""

    similarity: Annotated[Measure, SearchRange(choices=("cosine", "jaccard", "dice"))] = "cosine"
    """Denominator of the similarity: product of the two sizes (cosine), union (jaccard) or mean (dice)."""

    alpha: Annotated[float, Field(ge=0, le=1), SearchRange(0, 1)] = 0.5
    """Exponent of the neighbour's history length; the query's has 1 − alpha. 0.5 is the cosine."""

    shrink: Annotated[float, Field(ge=0), SearchRange(0, 1000)] = 0.0
    """Added to the denominator; large values reduce similarities based on few common items."""

    weighting: Annotated[Literal["none", "tfidf"], SearchRange(choices=("none", "tfidf"))] = "none"
    """Weights of interactions: tfidf reduces those of popular items."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> UserNeighbours:
        """Store the log and the size of every user."""
        ctx.check_memory(self, data)
        weight = idf_weights(self.weighting, data.matrix.T.tocsr())
        rule = similarity_rule(self.similarity, self.alpha, self.shrink)
        return UserNeighbours(
            self,
            data.items,
            data.matrix,
            data.popularity.astype(np.float32),
            weight.astype(np.float32),
            rule.source_side(data.matrix @ weight).astype(np.float32),
            self.neighbours,
            rule,
        )

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The log by item, and counters per user and item."""
        return 14 * n_rows + 24 * (n_users + n_items)
