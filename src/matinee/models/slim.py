r"""SLIM: elastic-net regression of each item on the others.

    minimise  ½‖x_j − X w‖² + ½ l2 ‖w‖² + l1 ‖w‖₁   over w (n,) with w_j = 0, w ≥ 0     (eq. 2, 4), for each item j

    w_i ← max(0, G_ij − Σ_{k≠i} G_ik w_k − l1) / (G_ii + l2),   cyclic until convergence

X is (users, items), 0 or 1, G = X'X its Gram matrix (n, n), the only input of the descent; w is column j of W (n, n)
sparse, and the score of item j for history x is (xW)_j. With l1 = 0, negative weights allowed and all items as
neighbours it is EASE with the same l2. scikit-learn's alpha is (l1 + l2) / n_users, its l1_ratio l1 / (l1 + l2).
Cost: the Gram matrix, then a few hundred adds per item and candidate; 4 n² bytes and 8 per weight.

Ning and Karypis, SLIM: Sparse Linear Methods for Top-N Recommender Systems, ICDM 2011; screening: fsSLIM, §IV.D.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, ClassVar

import numba
import numpy as np
from pydantic import Field
from scipy.sparse import csr_array

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.descent import COLUMNS, ElasticNetConfig, coordinate_descent
from matinee.linear.sharing import latest_start, share_gram, store_start
from matinee.spec import SearchRange


class SLIM(ModelSpec):
    """Sparse, non-negative item–item weights: near EASE in accuracy, with short explanations."""

    memory_advice: ClassVar[str] = "Use mrf, with memory that grows with the interactions, or a k-core."

    l1: Annotated[float, Field(ge=0), SearchRange(0.1, 100, log=True)] = 2.0
    """Lasso penalty in users: an item that explains fewer users of the target gets no weight."""

    l2: Annotated[float, Field(ge=0), SearchRange(1, 5000, log=True)] = 100.0
    """Ridge penalty. Small values fit rare pairs, large values favour popular items."""

    non_negative: bool = True
    """Whether weights below zero are forbidden."""

    neighbours: Annotated[int, Field(ge=1), SearchRange(50, 5000, log=True)] = 1000
    """Number of candidate items per item, the most similar by cosine."""

    tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """Largest violation of the optimality conditions, relative to the item's largest co-occurrence."""

    max_iter: Annotated[int, Field(ge=1)] = 1000
    """Maximum number of sweeps over the weights of an item."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Compute one Gram matrix and one regression per item.

        With `ctx.shared` it starts from the weights of the previous fit on this log; the result agrees with that of a
        separate fit within `tolerance`.
        """
        ctx.check_memory(self, data)
        G = share_gram(ctx, data)
        start = latest_start(ctx, data, ("slim",), csr_array)
        W = coordinate_descent(G, self._rule(), ctx.observer, start)
        if ctx.shared is not None:  # counted twice: a fit that starts from it converts it to columns
            store_start(ctx, data, ("slim",), W.copy(), 2 * (12 * W.nnz + 8 * data.n_items))
        return ItemItem(self, data.items, W, np.diag(G).copy())

    def shared_key(self) -> tuple[Hashable, ...]:
        """All hyperparameters but `l1`, which should vary fastest; all specs share the Gram matrix."""
        return "gram", "slim", self.l2, self.non_negative, self.neighbours

    def _rule(self) -> ElasticNetConfig:
        return ElasticNetConfig(self.l1, self.l2, self.non_negative, self.neighbours, self.tolerance, self.max_iter)

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The Gram matrix, a working set per thread, and the weights.

        There are `neighbours` weights per item, twice during the conversion to CSR.
        """
        m = min(self.neighbours, n_items)
        threads = numba.get_num_threads() * (4 * m * m + 40 * n_items)
        return 4 * n_items**2 + 24 * n_rows + threads + 8 * COLUMNS * m + 2 * 12 * n_items * m
