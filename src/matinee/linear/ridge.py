r"""The family of linear models that come from one symmetric inverse: EASE, EDLAE, RLAE, RDLAE and their variants.

    P = (G + diagM(γ))⁻¹,    γ_j = l2 · (n_j / n̄)^alpha + dropout / (1 − dropout) · G_jj
    B = I − P · diagM(s),    s_j = max(γ_j, (1 − ξ) / P_jj)

so B_ij = −P_ij s_j off the diagonal and B_jj = min(ξ, 1 − γ_j P_jj) on it. With ξ = 0 this is B_ij = −P_ij / P_jj and
B_jj = 0 (EASE, eq. 8; EDLAE, eq. 8 with a = 1, b = 0); with ξ > 0 the diagonal is held at or below ξ, s_j being γ_j
plus the multiplier μ_j of that bound (RLAE, eq. 8–10); with ξ ≥ 1 nothing is held: plain ridge.

G (n, n) = X'X, n_j how many took item j, n̄ its mean. `fill` = b learns from X̃ = X + b (1 − X), whose Gram matrix is

    X̃'X̃ = (1 − b)² G + b (1 − b) (c 1' + 1 c') + b² U 11',    c = diag G, U users

and scores x̃B = x (1 − b) B + b 1'B, of which the last is the same for everybody: a shift. `debias` = c divides column
j by (n_j / n̄)^c. Cost: the Gram, one inverse of n³ operations; 4 n² bytes, in which G, P and B follow each other.

Steck, WWW 2019, arXiv:1905.03375; Steck, NeurIPS 2020 (EDLAE); Moon, Kim and Lee, SIGIR 2023 (RLAE, RDLAE).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.contract import Context, ModelSpec, free_memory
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.gram import gram
from matinee.linear.spd import invert, invert_memory

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Recipe:
    """The knobs of the family; a model that lacks one has its neutral default."""

    l2: float
    dropout: float = 0.0
    xi: float = 0.0
    alpha: float = 0.0
    debias: float = 0.0
    fill: float = 0.0

    @staticmethod
    def of(spec: ModelSpec) -> Recipe:
        """The knobs of a spec of the family."""
        return Recipe(**spec.knobs())

    @property
    def inverse(self) -> tuple[float, ...]:
        """What P depends on: recipes that agree in it share P."""
        return self.l2, self.dropout, self.alpha, self.fill


def fit(spec: ModelSpec, data: Interactions) -> ItemItem:
    """The model of one spec: one Gram matrix, one inverse, all in the same memory."""
    recipe = Recipe.of(spec)
    G = gram(data.matrix)
    count = G.diagonal().copy()
    gamma = _penalise(G, count, recipe, data.n_users)
    return _model(spec, data, count, invert(G), gamma)


def path(specs: Sequence[ModelSpec], data: Interactions, ctx: Context) -> Iterator[ItemItem]:
    """The models of several specs, in their order, from one Gram matrix; neighbours that share P invert once.

    Order a grid so that ξ and `debias` change fastest. Holds G and P beside what it gives, 12 n² bytes; where that is
    more than there is, each spec is fitted by itself.
    """
    for spec in specs:
        ctx.admit(spec, data)
    available = free_memory() if ctx.memory is None else ctx.memory
    if (
        max((s.memory(data.n_users, data.n_items, len(data)) for s in specs), default=0) + 8 * data.n_items**2
        > available
    ):
        yield from (fit(spec, data) for spec in specs)
        return
    recipes = [Recipe.of(spec) for spec in specs]
    G = gram(data.matrix)
    count = G.diagonal().copy()
    P, gamma = G, count.astype(np.float64)  # nothing is inverted yet
    for at, spec in enumerate(specs):
        if at == 0 or recipes[at].inverse != recipes[at - 1].inverse:
            P = G.copy()
            gamma = _penalise(P, count, recipes[at], data.n_users)
            P = invert(P)
        again = at + 1 < len(specs) and recipes[at + 1].inverse == recipes[at].inverse
        yield _model(spec, data, count, P.copy() if again else P, gamma)


def memory(recipe: Recipe, n_items: int, n_rows: int) -> int:
    """Bytes at the peak of `fit`: the matrix with what its inverse needs; a shift copies it once more."""
    return invert_memory(n_items) + 28 * n_rows + (4 * n_items**2 if recipe.fill else 0)


def relative(count: F32, power: float) -> F64:
    """(n_j / n̄)^power (n,): 1 on average items whatever the size of the log; an item nobody took counts as one."""
    n = np.maximum(count.astype(np.float64), 1.0)
    return (n / n.mean()) ** power


def _penalise(G: F32, count: F32, recipe: Recipe, n_users: int) -> F64:
    """Turn the Gram of X into G̃ + diagM(γ), in place; γ (n,)."""
    diagonal = np.diag_indices_from(G)
    b = recipe.fill
    if b:
        edge = b * (1 - b) * count.astype(np.float64)
        G *= np.float32((1 - b) ** 2)
        G += edge.astype(np.float32)[:, None]
        G += (edge + b * b * n_users).astype(np.float32)
    gamma = recipe.l2 * relative(count, recipe.alpha)
    gamma += recipe.dropout / (1 - recipe.dropout) * G[diagonal].astype(np.float64)
    G[diagonal] += gamma.astype(np.float32)
    return gamma


def _model(spec: ModelSpec, data: Interactions, count: F32, P: F32, gamma: F64) -> ItemItem:
    """B written over P, and the model that scores with it."""
    recipe = Recipe.of(spec)
    diagonal = np.diag_indices_from(P)
    d = P[diagonal].astype(np.float64)
    output = relative(count, -recipe.debias)
    P *= (-np.maximum(gamma, (1 - recipe.xi) / d) * output).astype(np.float32)
    P[diagonal] = np.minimum(recipe.xi, 1 - gamma * d) * output
    if not recipe.fill:
        return ItemItem(spec, data.items, P, count)
    shift = recipe.fill * P.sum(axis=0, dtype=np.float64)
    P *= np.float32(1 - recipe.fill)
    return ItemItem(spec, data.items, np.vstack([P, shift.astype(np.float32)]), count, shifted=True)
