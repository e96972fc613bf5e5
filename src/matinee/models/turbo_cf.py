r"""Turbo-CF: a polynomial filter of the item graph, its edges sharpened or flattened, in closed form.

    R̃ = D_u^−a X D_i^(a−1),    P = (R̃'R̃)^∘s                                              (eq. 5, 8)
    linear P,    quadratic 2P − P²,    cubic P + 0.01 (−P³ + 10 P² − 29 P),    ŝ_u = x_u W  (eq. 9–12)

X is (users, items), 0 or 1; D_u and D_i are the degrees; ∘s raises every entry to the power s. Nothing is trained and
nothing is decomposed. The filters are meant for eigenvalues of 0 … 1: beyond 2 the quadratic one turns the leading
direction round. So before a quadratic or cubic filter P is divided by its largest eigenvalue where that is above 1,
which the paper does not do. Cost: a weighted Gram matrix, ½ Σ_u L_u² adds, 4 n² bytes; the quadratic filter adds 2 n³
operations and as many bytes again, the cubic one 4 n³.

Park, Shin and Shin, Turbo-CF: Matrix Decomposition-Free Graph Filtering for Fast Recommendation, SIGIR 2024.
arXiv:2404.14243
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import F32, ItemItem
from matinee.linear.weighted_gram import inverse_power, weighted_gram
from matinee.spec import Search

BLOCK = 1024
"""Rows that are turned at a time."""


class TurboCF(ModelSpec):
    """A graph filter that only counts and multiplies: the fastest model with good lists."""

    if_too_large: ClassVar[str] = "Use filter = 'linear', which takes half, item_knn, or a k-core."

    alpha: Annotated[float, Field(ge=0, le=1), Search(0.4, 1)] = 0.5
    """The power of a user's degree that is divided out; 1 − alpha is the item's."""

    power: Annotated[float, Field(gt=0), Search(0.3, 2)] = 1.0
    """Entries of the item graph are raised to this; below 1 weak ties count for more."""

    filter: Annotated[Literal["linear", "quadratic", "cubic"], Search(choices=("linear", "quadratic", "cubic"))] = (
        "quadratic"
    )
    """How strongly the smooth part is kept: linear looks one step around, quadratic two, cubic three."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """One weighted Gram matrix; matrix products where the filter asks for them."""
        ctx.admit(self, data)
        user = inverse_power(np.diff(data.matrix.indptr), 2 * self.alpha)
        P = weighted_gram(data.matrix, user, inverse_power(data.popularity, 1 - self.alpha), self.power)
        return ItemItem(self, data.items, self._filtered(P), data.popularity.astype(np.float32))

    def _filtered(self, P: F32) -> F32:
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

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The matrix, twice where it is multiplied."""
        return (4 if self.filter == "linear" else 8) * n_items**2 + 12 * BLOCK * n_items + 36 * n_rows


def largest_eigenvalue(P: F32, steps: int = 30) -> float:
    """Of a symmetric matrix without negative entries (n, n), by the power method: 2 n² operations a step."""
    v = np.full(len(P), 1.0 / np.sqrt(len(P)), dtype=np.float32)
    size = 1.0
    for _ in range(steps):
        v = P @ v
        size = float(np.linalg.norm(v))
        if size == 0.0:
            break
        v /= np.float32(size)
    return size
