"""Gates: weights per user from user features, fitted on a pool with targets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from matinee.candidates.user_features import UserFeatures
from matinee.contract import FitContext
from matinee.ensemble.objective import FusionObjective
from matinee.metrics.comparison import paired_t
from matinee.spec import Spec

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]

HALF_KEY = 0x6A7E
"""Key of the draw that splits users into halves. Not 0: NumPy's generator of (seed, 0) equals that of the seed."""


class FittedGate(Spec):
    """A fitted gate as it is stored in JSON; `GATES.get(kind).fitted_type` reads it."""

    gain: float
    """Gain in the metric over common weights, on users that the gate was not fitted on."""

    p: float
    """Two-sided p-value of the gain times the number of gates compared; 1 if it was not tested."""

    @abstractmethod
    def weights(self, features: UserFeatures) -> F64:
        """Weights (m, M) ≥ 0 of users with these features; each row sums to 1."""


class Gate(Spec):
    """Weights as a function of user features; each file of `ensemble/gates/` defines one gate."""

    fitted_type: ClassVar[type[FittedGate]]

    max_p_value: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Largest p-value of the held-out gain at which the gate is used; 1 always uses it."""

    @abstractmethod
    def fit(
        self,
        objective: FusionObjective,
        points: F32,
        weights: F64,
        features: UserFeatures,
        ctx: FitContext = FitContext(),
    ) -> FittedGate:
        """Fit on the selected users of the objective.

        `points` (M, c) are the members' points, `weights` (M,) the common weights, `features` (m, F) those of all
        users. Without a significant gain the fitted gate returns `weights` for every user.
        """


def weighted_scores(objective: FusionObjective, points: F32, weights: F64) -> F64:
    """Scores (c,) of the candidates under weights (m, M) per user and points (M, c)."""
    total = np.zeros(points.shape[1])
    for member, own in enumerate(points):
        total += weights[objective.pool.row, member] * own
    return np.where(objective.pool.is_listed(weights), total, -np.inf)


def two_fold_gain(
    objective: FusionObjective,
    points: F32,
    weights: F64,
    fit_weights: Callable[[FusionObjective], F64],
    ctx: FitContext,
) -> tuple[float, float]:
    """(gain, p) of a gate over common weights (M,), by two-fold cross-fitting over users.

    `fit_weights` fits on an objective and returns weights (m, M). The common weights were fitted on both halves, so
    the test is conservative.
    """
    pool, selected = objective.pool, objective.is_selected
    half = ctx.rng(HALF_KEY).random(len(pool)) < 0.5
    before = objective.values(weighted_scores(objective, points, np.broadcast_to(weights, (len(pool), len(weights)))))
    after = np.full(len(before), np.nan)
    for side in (half, ~half):
        gated = weighted_scores(objective, points, fit_weights(objective.restrict(selected & side)))
        after = np.where(side, after, objective.restrict(selected & ~side).values(gated))
    difference = (after - before)[~np.isnan(after) & ~np.isnan(before)]
    return (float(difference.mean()), paired_t(difference)) if len(difference) else (0.0, 1.0)
