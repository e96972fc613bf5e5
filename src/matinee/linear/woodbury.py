r"""Add users to a fitted EASE model, or remove them, without a new fit (Sherman–Morrison–Woodbury).

    P' = P ∓ (UP)' (I ± UPU')⁻¹ UP,    U (k, n) the users, 0 or 1, upper signs to add

A fitted model stores only B. P = (I − B) · diagM(d) also needs d = diag P (n,), which is recovered from the training
set: row j of (G + l2 I) P = I gives 1 / d_j = n_j + l2 − Σ over users with j of their score of j.
Cost: Σ_u L_u² adds for d, once; then 2 n² k + k² n operations, against n³ and a Gram matrix for a fit: cheaper for k up
to about n / 4. Memory: the new B (n, n) and 12 n k bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from matinee.arrays import F32, F64, I32, I64
from matinee.data import Histories, Interactions
from matinee.errors import TrainingError, UnsupportedError
from matinee.fitted import ItemItem
from matinee.kernel import parallel_kernel, prange
from matinee.linear.ridge import RidgeParams
from matinee.topk.item_item import score_tiled
from matinee.topk.query import BinaryQuery
from matinee.topk.rank import rows_of

ROWS = 512
"""Rows of P' computed at once."""


@dataclass(frozen=True, eq=False)
class UpdatableEASE:
    """A fitted EASE model with d = diag P (n,), for adding and removing users."""

    model: ItemItem
    d: F64


def updatable(model: ItemItem, train: Interactions) -> UpdatableEASE:
    """A fitted EASE model with diag P, from its training set.

    Other models and variants raise `UnsupportedError`.
    """
    params = model.spec.params()
    if "l2" not in params or not params.keys() <= {field.name for field in fields(RidgeParams)}:
        raise UnsupportedError(model.spec.kind, "add users to a model other than EASE", "Fit it again.")
    recipe = RidgeParams.of(model.spec)
    if recipe != RidgeParams(recipe.l2) or not isinstance(model.weights, np.ndarray):
        raise UnsupportedError(
            model.spec.kind, "add users to a variant of EASE", "Fit it again, or set no hyperparameter but l2."
        )
    rows = rows_of(train.matrix)
    own = _self_scores(rows.indptr, rows.item, model.weights, np.arange(65) * (len(rows.indptr) - 1) // 64).sum(axis=0)
    return UpdatableEASE(model, 1.0 / (model.popularity.astype(np.float64) + recipe.l2 - own))


def add_users(state: UpdatableEASE, users: Histories) -> UpdatableEASE:
    """The model of a fit on the log with these users."""
    return _update(state, users, 1.0)


def remove_users(state: UpdatableEASE, users: Histories) -> UpdatableEASE:
    """The model of a fit on the log without these users.

    `users` has their whole histories.
    """
    return _update(state, users, -1.0)


def _update(state: UpdatableEASE, users: Histories, sign: float) -> UpdatableEASE:
    model, d, n, U = state.model, state.d, len(state.d), users.matrix
    B = model.weights
    assert isinstance(B, np.ndarray)
    UP = -score_tiled(BinaryQuery().encode(users), B)  # (k, n)
    UP[np.repeat(np.arange(len(users)), np.diff(U.indptr)), U.indices] += np.float32(1.0)
    UP *= d.astype(np.float32)
    inner = np.eye(len(users)) + sign * (U @ UP.T).astype(np.float64)
    try:
        K = cho_solve(cho_factor((inner + inner.T) / 2), UP).astype(np.float32)
    except LinAlgError:
        expected = "whole histories of users of the training set"
        found = "these users cannot be removed"
        raise TrainingError(model.spec.kind, found, "Remove only users of the training set.", expected) from None
    after = d - sign * np.einsum("kj,kj->j", UP, K, dtype=np.float64)
    out = np.empty_like(B)
    for low in range(0, n, ROWS):  # B'_ij = −P'_ij / P'_jj with P_ij = −B_ij d_j off the diagonal
        part = out[low : low + ROWS]
        np.matmul(UP[:, low : low + ROWS].T, K, out=part)
        part *= (sign / after).astype(np.float32)
        part += B[low : low + ROWS] * (d / after).astype(np.float32)
    np.fill_diagonal(out, 0.0)
    prior = model.popularity + sign * np.bincount(U.indices, minlength=n)
    return UpdatableEASE(ItemItem(model.spec, model.items, out, prior.astype(np.float32)), after)


@parallel_kernel
def _self_scores(indptr: I64, column: I32, B: F32, cut: I64) -> F64:
    """(chunks, n): for every item j the sum over users with j of Σ_i x_i B_ij."""
    out = np.zeros((len(cut) - 1, B.shape[1]))
    for chunk in prange(len(cut) - 1):
        total = out[chunk]
        for u in range(cut[chunk], cut[chunk + 1]):
            for p in range(indptr[u], indptr[u + 1]):
                row = B[column[p]]
                for q in range(indptr[u], indptr[u + 1]):
                    total[column[q]] += row[column[q]]
    return out
