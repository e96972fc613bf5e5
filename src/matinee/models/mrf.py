r"""Sparse Markov random field: EASE for large catalogues, each item a ridge regression on its nearest items only.

    minimise  ‖x_j − X_S w‖² + l2 ‖w‖²   over w (m,),   S the `neighbours` items most similar to j    (eq. 7, §3.2)

    (G_SS + l2 I) w = G_Sj

X is (users, items), 0 or 1, G = X'X, of which only the parts asked for are counted; w are the weights of column j of
W (n, n) sparse, and the score of item j for history x is (xW)_j. With all other items as neighbours it is EASE with
the same l2. Cost: Σ_u L_u² adds for the neighbours, m³/3 multiply-adds an item for the regressions; 12 bytes a weight,
32 on the way, and 268 MB for the counts among the 8,192 most taken items.

Steck, Markov Random Fields for Collaborative Filtering, NeurIPS 2019. arXiv:1910.09645
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numba
import numpy as np
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.local import CHUNKS, HEAD, all_others, counts, regress
from matinee.linear.neighbours import measure, nearest
from matinee.spec import Search


class MRF(ModelSpec):
    """EASE on the nearest items alone: for catalogues whose square does not fit."""

    if_too_large: ClassVar[str] = "Use fewer neighbours, a k-core, or popularity."

    neighbours: Annotated[int, Field(ge=1), Search(20, 400, log=True)] = 100
    """How many items, the most similar by cosine, may have a weight for one; time grows with its cube."""

    l2: Annotated[float, Field(gt=0), Search(1, 1e5, log=True)] = 300.0
    """Ridge penalty. Small fits rare pairs, large leans to popular items."""

    shrink: Annotated[float, Field(ge=0), Search(0, 1000)] = 10.0
    """Added to the denominator of the cosine: the larger, the less a few shared people prove."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """Find the neighbours, then solve one small system an item."""
        ctx.admit(self, data)
        X, popularity = data.matrix, data.popularity.astype(np.float64)
        rule = measure("cosine", (popularity, popularity), 0.5, self.shrink)
        if self.neighbours < data.n_items - 1:
            support = nearest(X, np.ones(data.n_users), rule, self.neighbours)
        else:  # `nearest` leaves out those never taken together
            support = all_others(data.n_items)
        W = regress(counts(X), support, self.l2, ctx.progress)
        return ItemItem(self, data.items, W, popularity.astype(np.float32))

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Neighbours by heap, row and column, the head of the Gram matrix, a system a thread, and the log by item."""
        m = min(self.neighbours, n_items)
        threads = numba.get_num_threads() * 16 * (m + 1) ** 2 + CHUNKS * 8 * n_items
        return 48 * n_items * m + 4 * min(HEAD, n_items) ** 2 + 48 * n_rows + threads
