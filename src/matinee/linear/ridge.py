r"""Linear models from one symmetric inverse: EASE, EDLAE, RLAE, RDLAE and their variants.

    P = (G + diagM(γ))⁻¹,    γ_j = l2 · (n_j / n̄)^alpha + dropout / (1 − dropout) · G_jj
    B = I − P · diagM(s),    s_j = max(γ_j, (1 − ξ) / P_jj)

so B_ij = −P_ij s_j off the diagonal and B_jj = min(ξ, 1 − γ_j P_jj) on it. With ξ = 0 this is B_ij = −P_ij / P_jj and
B_jj = 0 (EASE, eq. 8; EDLAE, eq. 8 with a = 1, b = 0); with ξ > 0 the diagonal is at most ξ, s_j = γ_j plus the
multiplier μ_j of that bound (RLAE, eq. 8–10); with ξ ≥ 1 there is no bound: plain ridge.

G (n, n) = X'X, n_j the number of users of item j, n̄ its mean. `unobserved_value` = b fits X̃ = X + b (1 − X) with

    X̃'X̃ = (1 − b)² G + b (1 − b) (c 1' + 1 c') + b² U 11',    c = diag G, U users

and scores x̃B = x (1 − b) B + b 1'B, the last term the same for all users: a bias row. `popularity_debias` = c
divides column j by (n_j / n̄)^c. Cost: the Gram matrix, one inverse of n³ operations; 4 n² bytes, which hold G, P and B
in turn.

Steck, WWW 2019, arXiv:1905.03375; Steck, NeurIPS 2020 (EDLAE); Moon, Kim and Lee, SIGIR 2023 (RLAE, RDLAE).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from matinee.arrays import F32, F64
from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.sharing import share, share_gram
from matinee.linear.spd import invert, invert_memory
from matinee.shared import writable


@dataclass(frozen=True)
class RidgeParams:
    """Hyperparameters of the family; a model without one has its neutral default."""

    l2: float
    dropout: float = 0.0
    xi: float = 0.0
    alpha: float = 0.0
    popularity_debias: float = 0.0
    unobserved_value: float = 0.0

    @staticmethod
    def of(spec: ModelSpec) -> RidgeParams:
        """The hyperparameters of a spec of the family."""
        return RidgeParams(**spec.params())

    @property
    def inverse(self) -> tuple[float, ...]:
        """Hyperparameters that determine P."""
        return self.l2, self.dropout, self.alpha, self.unobserved_value


@dataclass(frozen=True, eq=False)
class RidgeInverse:
    """P (n, n), γ (n,) and the number of users (n,) of every item."""

    P: F32
    gamma: F64
    count: F32


def fit_ridge(spec: ModelSpec, data: Interactions, ctx: FitContext) -> ItemItem:
    """The model of a spec, from one Gram matrix and one inverse.

    Without `ctx.shared` the Gram matrix, P and B are written to the same memory in turn. With it, results are the same
    to the bit, and specs with equal `shared_key` share P.
    """
    recipe = RidgeParams.of(spec)
    n_bytes = 4 * data.n_items**2
    inverse = share(ctx, data, ("inverse", *recipe.inverse), lambda: _invert(recipe, data, ctx), n_bytes)
    return _model(spec, data, inverse)


def ridge_shared_key(spec: ModelSpec) -> tuple[Hashable, ...]:
    """The `shared_key` of a spec of the family."""
    return "gram", "inverse", *RidgeParams.of(spec).inverse


def ridge_memory(recipe: RidgeParams, n_items: int, n_rows: int) -> int:
    """Bytes at the peak of `fit`: one matrix, two with a bias row."""
    return invert_memory(n_items) + 28 * n_rows + (4 * n_items**2 if recipe.unobserved_value else 0)


def popularity_power(count: F32, power: float) -> F64:
    """(n_j / n̄)^power (n,): 1 for an average item of any log.

    An item without users counts as one user.
    """
    n = np.maximum(count.astype(np.float64), 1.0)
    return (n / n.mean()) ** power


def _add_penalty(G: F32, count: F32, recipe: RidgeParams, n_users: int) -> F64:
    """Replace the Gram matrix of X by G̃ + diagM(γ), in place; returns γ (n,)."""
    diagonal = np.diag_indices_from(G)
    b = recipe.unobserved_value
    if b:
        edge = b * (1 - b) * count.astype(np.float64)
        G *= np.float32((1 - b) ** 2)
        G += edge.astype(np.float32)[:, None]
        G += (edge + b * b * n_users).astype(np.float32)
    gamma = recipe.l2 * popularity_power(count, recipe.alpha)
    gamma += recipe.dropout / (1 - recipe.dropout) * G[diagonal].astype(np.float64)
    G[diagonal] += gamma.astype(np.float32)
    return gamma


def _invert(recipe: RidgeParams, data: Interactions, ctx: FitContext) -> RidgeInverse:
    """P, in the memory of the Gram matrix unless that is shared."""
    G = writable(share_gram(ctx, data))
    count = G.diagonal().copy()
    gamma = _add_penalty(G, count, recipe, data.n_users)
    return RidgeInverse(invert(G), gamma, count)


def _model(spec: ModelSpec, data: Interactions, inverse: RidgeInverse) -> ItemItem:
    """The model, with B in the memory of P unless that is shared."""
    recipe = RidgeParams.of(spec)
    P, gamma, count = writable(inverse.P), inverse.gamma, writable(inverse.count)
    diagonal = np.diag_indices_from(P)
    d = P[diagonal].astype(np.float64)
    output = popularity_power(count, -recipe.popularity_debias)
    P *= (-np.maximum(gamma, (1 - recipe.xi) / d) * output).astype(np.float32)
    P[diagonal] = np.minimum(recipe.xi, 1 - gamma * d) * output
    if not recipe.unobserved_value:
        return ItemItem(spec, data.items, P, count)
    shift = recipe.unobserved_value * P.sum(axis=0, dtype=np.float64)
    P *= np.float32(1 - recipe.unobserved_value)
    return ItemItem(spec, data.items, np.vstack([P, shift.astype(np.float32)]), count, has_bias_row=True)
