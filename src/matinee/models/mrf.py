r"""Sparse Markov random field: ridge regression of each item on its nearest items.

    minimise  ‖x_j − X_S w‖² + l2 ‖w‖²   over w (m,),   S the `neighbours` items most similar to j    (eq. 7, §3.2)

    (G_SS + l2 I) w = G_Sj

X is (users, items), 0 or 1, G = X'X, computed only where needed; w are the weights of column j of W (n, n) sparse,
and the score of item j for history x is (xW)_j. With all other items as neighbours it is EASE with
the same l2. Cost: Σ_u L_u² adds for the neighbours, m³/3 multiply-adds per item for the regressions; 12 bytes per
weight, 32 during the fit, and 268 MB for the counts among the 8,192 most popular items.

Steck, Markov Random Fields for Collaborative Filtering, NeurIPS 2019. arXiv:1910.09645
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numba
import numpy as np
from pydantic import Field

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.local import CHUNKS, HEAD, counts, full_support, local_ridge
from matinee.linear.neighbours import top_k_similar
from matinee.linear.params import L2, Shrink
from matinee.spec import SearchRange
from matinee.topk.similarity import similarity_rule


class MRF(ModelSpec):
    """EASE restricted to the nearest items, without an n × n matrix; for large catalogues."""

    memory_advice: ClassVar[str] = "Use fewer neighbours, a k-core, or popularity."

    neighbours: Annotated[int, Field(ge=1), SearchRange(20, 400, log=True)] = 100
    """Number of candidate items per item, by cosine; time grows with its cube."""

    l2: L2 = 300.0

    shrink: Shrink = 10.0

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Find the neighbours, then solve one small system per item."""
        ctx.check_memory(self, data)
        X, popularity = data.matrix, data.popularity.astype(np.float64)
        rule = similarity_rule("cosine", 0.5, self.shrink)
        if self.neighbours < data.n_items - 1:
            support = top_k_similar(X, np.ones(data.n_users), popularity, rule, self.neighbours)
        else:  # `top_k_similar` excludes pairs without common users
            support = full_support(data.n_items)
        W = local_ridge(counts(X), support, self.l2, ctx.observer)
        return ItemItem(self, data.items, W, popularity.astype(np.float32))

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The neighbours, the head of the Gram matrix, one system per thread, the log."""
        m = min(self.neighbours, n_items)
        threads = numba.get_num_threads() * 16 * (m + 1) ** 2 + CHUNKS * 8 * n_items
        return 48 * n_items * m + 4 * min(HEAD, n_items) ** 2 + 48 * n_rows + threads
