r"""User k-nearest neighbours: what the people took who are most like this one.

    sim(v, x) = S / (size_v^α · size_x^(1−α) + shrink),   score_j = Σ_{v among the `neighbours` nearest} sim(v, x) x_vj

S = Σ_i a_i² x_i x_vi is what person v and history x share, size_v = Σ_i a_i² x_vi: counts of items, unless `weighting`
makes a_i differ from 1 (`linear/weighting.py`, items being the words). x (n_items,) is the history asked about, x_v
that of one of the people learned from. α = ½ is the cosine; Jaccard and Dice divide by sums (`linear/neighbours.py`).
Scores depend on the history alone: somebody new with the same items gets the same. Somebody learned from is their own
nearest neighbour; that vote goes to items they have seen, and takes one of the places.

Cost: nothing to learn, the log is the model. A list costs Σ_{i∈x} n_i adds, n_i how many took i, and then the histories
of the neighbours; 8 bytes a row, 12 bytes a person for each of 64 workers.

Resnick et al., GroupLens, CSCW 1994; on 0/1 data Herlocker et al., SIGIR 1999; α: Aiolli, RecSys 2013.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import Neighbourhood
from matinee.linear.neighbours import Measure, measure
from matinee.linear.weighting import words
from matinee.spec import Search


class UserKNN(ModelSpec):
    """What like-minded people took: no item–item table can say the same, so it is worth having in an ensemble."""

    if_too_large: ClassVar[str] = "Use item_knn, or learn from fewer people."

    neighbours: Annotated[int, Field(ge=1), Search(10, 1000, log=True)] = 50
    """How many people may vote."""

    similarity: Annotated[Measure, Search(choices=("cosine", "jaccard", "dice"))] = "cosine"
    """What sharing items is measured against: a product of the two sizes, their union or their mean."""

    alpha: Annotated[float, Field(ge=0, le=1), Search(0, 1)] = 0.5
    """Whose length is divided out: 1 that of the person voting, 0 that of the person asked about."""

    shrink: Annotated[float, Field(ge=0), Search(0, 1000)] = 0.0
    """Added to the denominator: the larger, the less a few shared items prove."""

    weighting: Annotated[Literal["none", "tfidf"], Search(choices=("none", "tfidf"))] = "none"
    """Whether sharing what everybody took proves less (tfidf)."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> Neighbourhood:
        """Keep the log, and how large everybody is."""
        ctx.admit(self, data)
        weight = words(self.weighting, data.matrix.T.tocsr())
        size = data.matrix @ weight
        rule = measure(self.similarity, (size, np.ones(1)), self.alpha, self.shrink)
        return Neighbourhood(
            self,
            data.items,
            data.matrix,
            data.popularity.astype(np.float32),
            weight.astype(np.float32),
            rule.voting.astype(np.float32),
            neighbours=self.neighbours,
            shrink=rule.shrink,
            product=rule.product,
            scale=float(rule.voted[0]),
            exponent=1.0 - self.alpha if rule.product else 1.0,
            twice=rule.twice,
        )

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The log by item, and what is counted of everybody."""
        return 14 * n_rows + 24 * (n_users + n_items)
