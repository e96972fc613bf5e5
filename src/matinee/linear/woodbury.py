r"""Add users to a fitted EASE model, or remove them, without a new fit (Sherman–Morrison–Woodbury).

    P' = P ∓ (UP)' (I ± UPU')⁻¹ UP,    U (k, n) the users, 0 or 1, upper signs to add

A fitted model stores only B. P = (I − B) · diagM(d) also needs d = diag P (n,), which is recovered from the training
set: row j of (G + l2 I) P = I gives 1 / d_j = n_j + l2 − Σ over users with j of their score of j.
Cost: Σ_u L_u² adds for d, once; then 2 n² k + k² n operations, against n³ and a Gram matrix for a fit: cheaper for k up
to about n / 4. Memory: the new B (n, n) and 12 n k bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from matinee.data import Histories, Interactions
from matinee.errors import TrainingError, UnsupportedError
from matinee.fitted import ItemItem
from matinee.kernel import parallel_kernel, prange
from matinee.linear.ridge import RidgeParams
from matinee.topk.item_item import score_tiled
from matinee.topk.kernels import F32, I32, I64
from matinee.topk.query import BinaryQuery
from matinee.topk.rank import rows_of

F64: TypeAlias = NDArray[np.float64]

ROWS = 512
"""Rows of P' computed at once."""


@dataclass(frozen=True, eq=False)
class UpdatableEASE:
    """A fitted EASE model with d = diag P (n,), so that users can be added and removed."""

    model: ItemItem
    d: F64


def updatable(model: ItemItem, learnt: Interactions) -> UpdatableEASE:
    """A fitted EASE model with its diag P, found from the log it was fitted on. Variants raise `CannotDo`."""
    knobs = model.spec.params()
    if "l2" not in knobs or not knobs.keys() <= {field.name for field in fields(RidgeParams)}:
        raise UnsupportedError(model.spec.kind, "add people to a model other than EASE", "Fit it again.")
    recipe = RidgeParams.of(model.spec)
    if recipe != RidgeParams(recipe.l2) or not isinstance(model.weights, np.ndarray):
        raise UnsupportedError(
            model.spec.kind, "add people to a variant of EASE", "Fit it again, or leave l2 alone set."
        )
    rows = rows_of(learnt.matrix)
    said = _self_scores(rows.indptr, rows.item, model.weights, np.arange(65) * (len(rows.indptr) - 1) // 64).sum(axis=0)
    return UpdatableEASE(model, 1.0 / (model.popularity.astype(np.float64) + recipe.l2 - said))


def add_users(state: UpdatableEASE, people: Histories) -> UpdatableEASE:
    """As if the people had been in the log."""
    return _changed(state, people, 1.0)


def remove_users(state: UpdatableEASE, people: Histories) -> UpdatableEASE:
    """As if the people, whose whole histories these are, had never been in the log."""
    return _changed(state, people, -1.0)


def _changed(state: UpdatableEASE, people: Histories, sign: float) -> UpdatableEASE:
    model, d, n, U = state.model, state.d, len(state.d), people.matrix
    B = model.weights
    assert isinstance(B, np.ndarray)
    UP = -score_tiled(BinaryQuery().encode(people), B)  # (k, n)
    UP[np.repeat(np.arange(len(people)), np.diff(U.indptr)), U.indices] += np.float32(1.0)
    UP *= d.astype(np.float32)
    inner = np.eye(len(people)) + sign * (U @ UP.T).astype(np.float64)
    try:
        K = cho_solve(cho_factor((inner + inner.T) / 2), UP).astype(np.float32)
    except LinAlgError:
        expected = "people whose whole histories it was fitted on"
        found = "these people cannot be taken out"
        raise TrainingError(model.spec.kind, found, "Remove only who was learnt.", expected) from None
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
    """(chunks, n): for every item j the sum over people with j of Σ_i x_i B_ij."""
    out = np.zeros((len(cut) - 1, B.shape[1]))
    for chunk in prange(len(cut) - 1):
        total = out[chunk]
        for u in range(cut[chunk], cut[chunk + 1]):
            for p in range(indptr[u], indptr[u + 1]):
                row = B[column[p]]
                for q in range(indptr[u], indptr[u + 1]):
                    total[column[q]] += row[column[q]]
    return out
