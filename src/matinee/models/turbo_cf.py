r"""Turbo-CF: a polynomial filter of the item graph in closed form.

    R̃ = D_u^−a X D_i^(a−1),    P = (R̃'R̃)^∘s                                              (eq. 5, 8)
    linear P,    quadratic 2P − P²,    cubic P + 0.01 (−P³ + 10 P² − 29 P),    ŝ_u = x_u W  (eq. 9–12)

X is (users, items), 0 or 1; D_u and D_i are the degrees; ∘s raises every entry to the power s. There is no training
and no decomposition. The filters are designed for eigenvalues in 0 … 1: above 2 the quadratic one inverts the leading
direction. Before a quadratic or cubic filter P is therefore divided by its largest eigenvalue if that is above 1; the
paper does not do this. Cost: a weighted Gram matrix, ½ Σ_u L_u² adds, 4 n² bytes; the quadratic filter adds 2 n³
operations and as many bytes again, the cubic one 4 n³.

Park, Shin and Shin, Turbo-CF: Matrix Decomposition-Free Graph Filtering for Fast Recommendation, SIGIR 2024.
arXiv:2404.14243
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from matinee.arrays import F32
from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.sharing import DegreeExponents, share_weighted_gram
from matinee.shared import writable
from matinee.spec import SearchRange

BLOCK = 1024
"""Rows per matrix product."""


class TurboCF(ModelSpec):
    """A graph filter of matrix products only, without decomposition or training."""

    memory_advice: ClassVar[str] = "Use filter = 'linear', which takes half, item_knn, or a k-core."

    alpha: Annotated[float, Field(ge=0, le=1), SearchRange(0.4, 1)] = 0.5
    """Exponent of the user degree in the normalization; the item degree has 1 − alpha."""

    power: Annotated[float, Field(gt=0), SearchRange(0.3, 2)] = 1.0
    """Exponent of the entries of the item graph; values below 1 strengthen weak edges."""

    filter: Annotated[
        Literal["linear", "quadratic", "cubic"], SearchRange(choices=("linear", "quadratic", "cubic"))
    ] = "quadratic"
    """Polynomial filter: linear uses neighbours, quadratic paths of length two, cubic of length three."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Compute one weighted Gram matrix, and the matrix products of the filter."""
        ctx.check_memory(self, data)
        P = writable(share_weighted_gram(ctx, data, self._exponents, self.power))
        return ItemItem(self, data.items, self._apply_filter(P), data.popularity.astype(np.float32))

    def shared_key(self) -> tuple[Hashable, ...]:
        """The exponents, which determine the weighted Gram matrix."""
        return "weighted_gram", *self._exponents, self.power

    @property
    def _exponents(self) -> DegreeExponents:
        return DegreeExponents(2 * self.alpha, 1 - self.alpha)

    def _apply_filter(self, P: F32) -> F32:
        if self.filter == "linear":
            return P
        P /= np.float32(max(1.0, largest_eigenvalue(P)))
        W: F32 = P @ P
        if self.filter == "quadratic":
            np.negative(W, out=W)
            W += P
            W += P
            return W
        for low in range(0, len(P), BLOCK):
            own, square = P[low : low + BLOCK], W[low : low + BLOCK]
            square[:] = 0.71 * own + 0.1 * square - 0.01 * (square @ P)
        return W

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """One n × n matrix; two with a quadratic or cubic filter."""
        return (4 if self.filter == "linear" else 8) * n_items**2 + 12 * BLOCK * n_items + 36 * n_rows


def largest_eigenvalue(P: F32, steps: int = 30) -> float:
    """Largest eigenvalue of a symmetric non-negative matrix (n, n), by the power method."""
    v = np.full(len(P), 1.0 / np.sqrt(len(P)), dtype=np.float32)
    size = 1.0
    for _ in range(steps):
        v = P @ v
        size = float(np.linalg.norm(v))
        if size == 0.0:
            break
        v /= np.float32(size)
    return size
