r"""GF-CF: a linear filter and an ideal low-pass filter of the item graph, in closed form.

    R̃ = D_u^−½ X D_i^−½,    W = R̃'R̃ + low_pass · D_i^−½ V V' D_i^½,    ŝ_u = x_u W      (eq. 9 and 12)

X is (users, items), 0 or 1; D_u and D_i are the degrees; V (n, factors) the right singular vectors of R̃ of the largest
singular values. There is no training. Cost: a weighted Gram matrix, ½ Σ_u L_u² adds, then about 5·factors
products with it or with X, whichever is cheaper, and 2 n²·factors operations; 4 n² bytes, W replaces the Gram matrix.

Shen, Wu, Zhang, Shan, Zhang, Letaief and Li, How Powerful is Graph Convolution for Recommendation?, CIKM 2021.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.sharing import DegreeExponents, share_weighted_gram
from matinee.linear.spectral import svd_memory, top_eigenvectors, top_singular_vectors, uses_gram
from matinee.linear.weighted_gram import inverse_power
from matinee.shared import writable
from matinee.spec import SearchRange

BLOCK = 1024
"""Rows of W that are updated at once."""

EXPONENTS = DegreeExponents(1.0, 0.5)
"""R̃ of eq. 9."""


class GFCF(ModelSpec):
    """A graph filter without training: neighbours plus a low-rank smooth part."""

    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = (
        "Use item_knn or pure_svd, with memory that grows with the interactions, or a k-core."
    )

    low_pass: Annotated[float, Field(ge=0), SearchRange(0, 2)] = 0.6
    """Weight of the low-rank projection relative to the neighbours; 0 disables it."""

    factors: Annotated[int, Field(ge=1), SearchRange(16, 1024, log=True)] = 128
    """Number of singular vectors of the low-pass filter."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Compute one weighted Gram matrix and one decomposition, added in place."""
        ctx.check_memory(self, data)
        n, X = data.popularity, data.matrix
        user, item = inverse_power(np.diff(X.indptr), EXPONENTS.user), inverse_power(n, EXPONENTS.item)
        W = writable(share_weighted_gram(ctx, data, EXPONENTS))
        if self.low_pass > 0:
            dense = uses_gram(data.n_users, data.n_items, X.nnz, self.factors)
            rng = ctx.rng()
            _, V = (
                top_eigenvectors(W, self.factors, rng)
                if dense
                else top_singular_vectors(X, np.sqrt(user), item, self.factors, rng)
            )
            left = (self.low_pass * item[:, None] * V).astype(np.float32)
            right = (V.T * np.sqrt(n)).astype(np.float32)
            for low in range(0, len(W), BLOCK):
                W[low : low + BLOCK] += left[low : low + BLOCK] @ right
        return ItemItem(self, data.items, W, n.astype(np.float32))

    def shared_key(self) -> tuple[Hashable, ...]:
        """The exponents: all specs share the weighted Gram matrix."""
        return "weighted_gram", *EXPONENTS, 1.0

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """One n × n matrix, one strip, and the decomposition without its own Gram matrix."""
        low_pass = svd_memory(n_users, n_items, n_rows, self.factors, gram=False) if self.low_pass > 0 else 0
        return 4 * n_items**2 + 4 * BLOCK * n_items + 36 * n_rows + low_pass
