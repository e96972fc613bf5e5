"""A softmax gate: common weights, shifted by the features of each user.

    w_um = b_m exp(v_m · z_u) / Σ_n b_n exp(v_n · z_u)

    minimize  mean_u −(1/|T_u|) Σ_{i∈T_u} log softmax_i(β Σ_m w_um φ_m(u, i))  +  l2 · ‖V‖²

z_u (F,) features of u, standardized over the training users and clipped to ±3; V (M, F); b = (1 − floor) w + floor / M
with w (M,) the common weights; T_u the targets of u among the candidates; φ (M, c) the members' points. The inverse
temperature β is fitted first, with V = 0, because weights of sum 1 do not fix the scale of the scores. Optimizer:
L-BFGS. The form is the gate of a mixture of experts: Jacobs, Jordan, Nowlan and Hinton, Adaptive Mixtures of Local
Experts, Neural Computation 3, 1991.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from scipy.optimize import minimize, minimize_scalar

from matinee.candidates.user_features import UserFeatures
from matinee.contract import FitContext
from matinee.ensemble import kernels
from matinee.ensemble.gate import F32, F64, FittedGate, Gate, two_fold_gain
from matinee.ensemble.objective import FusionObjective
from matinee.spec import SearchRange

MAX_DEVIATIONS = 3.0
"""Standardized features are clipped at this many standard deviations."""


class SoftmaxGate(FittedGate):
    """Common weights times a softmax of user features."""

    features: tuple[str, ...]
    """Names of the features."""

    mean: tuple[float, ...]
    """Mean of each feature over the training users."""

    deviation: tuple[float, ...]
    """Standard deviation of each feature over the training users; a feature with 0 is ignored."""

    base: tuple[float, ...]
    """Weight of each member for a user with mean features."""

    tilt: tuple[tuple[float, ...], ...]
    """V (M, F): change of each member's log weight per standard deviation of each feature."""

    def weights(self, features: UserFeatures) -> F64:
        """Weights (m, M) by the formula of the module."""
        z = standardized(features.of(self.features), Scaling(np.array(self.mean), np.array(self.deviation)))
        return tilted_weights(np.array(self.base), np.array(self.tilt), z)


class Logit(Gate):
    """Weights that change continuously with all features."""

    fitted_type: ClassVar[type[FittedGate]] = SoftmaxGate

    l2: Annotated[float, Field(ge=0), SearchRange(1e-4, 0.1, log=True)] = 1e-3
    """Penalty on the deviation from the common weights."""

    floor: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Fraction of the weights distributed evenly over all members, so that members of weight 0 can gain weight."""

    steps: Annotated[int, Field(ge=1)] = 100
    """Largest number of optimizer steps."""

    def fit(
        self,
        objective: FusionObjective,
        points: F32,
        weights: F64,
        features: UserFeatures,
        ctx: FitContext = FitContext(),
    ) -> SoftmaxGate:
        """Test the gain by two-fold cross-fitting, then fit on all selected users."""
        gain, p = 0.0, 1.0
        if self.max_p_value < 1.0:

            def fit_weights(half: FusionObjective) -> F64:
                return self._fit(half, points, weights, features).weights(features)

            gain, p = two_fold_gain(objective, points, weights, fit_weights, ctx)
            if gain <= 0.0 or p > self.max_p_value:
                flat = np.zeros(len(features.names))
                common = _tilted(features.names, Scaling(flat, flat), weights, np.zeros((len(weights), len(flat))))
                return common.model_copy(update={"gain": gain, "p": p})
        return self._fit(objective, points, weights, features).model_copy(update={"gain": gain, "p": p})

    def _fit(self, objective: FusionObjective, points: F32, weights: F64, features: UserFeatures) -> SoftmaxGate:
        """The minimum of the loss on the selected users, without a test of the gain."""
        M, F = len(points), len(features.names)
        counts = objective.is_selected & (np.diff(objective.hit_positions[0]) > 0)
        base = (1.0 - self.floor) * weights / weights.sum() + self.floor / M
        own = features.values[counts] if counts.any() else np.zeros((1, F))
        mean, deviation = own.mean(axis=0), own.std(axis=0)
        deviation[deviation <= 1e-9 * (1.0 + np.abs(mean))] = 0.0
        tilt = np.zeros((M, F))
        if counts.any():
            start = TiltStart(base, standardized(features.values, Scaling(mean, deviation)))
            scaled = points * np.float32(inverse_temperature(objective, points, base))
            loss = tilt_loss(objective, scaled, start, self.l2)
            result = minimize(loss, tilt.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": self.steps})
            tilt = np.asarray(result.x).reshape(M, F)
        return _tilted(features.names, Scaling(mean, deviation), base, tilt)


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and standard deviation of the features, (F,) each."""

    mean: F64
    deviation: F64


def standardized(values: F64, scaling: Scaling) -> F64:
    """Standardized features (m, F), clipped to ±3; 0 where the deviation is 0."""
    deviation = scaling.deviation
    z = (values - scaling.mean) / np.where(deviation > 0, deviation, 1.0)
    return np.clip(np.where(deviation > 0, z, 0.0), -MAX_DEVIATIONS, MAX_DEVIATIONS)


def tilted_weights(base: F64, tilt: F64, z: F64) -> F64:
    """Weights (m, M) from base (M,), V (M, F) and features z (m, F).

    A member with base 0 has weight 0.
    """
    log = np.zeros((len(z), len(base)))
    for f in range(z.shape[1]):  # no matrix product: its sums would depend on the other users of the query
        log += z[:, f, None] * tilt[None, :, f]
    log = np.where(base > 0, log, -np.inf)
    unscaled = base * np.exp(log - log.max(axis=1, keepdims=True))
    return unscaled / unscaled.sum(axis=1, keepdims=True)


def inverse_temperature(objective: FusionObjective, points: F32, base: F64) -> float:
    """β: the factor of the scores under weights `base` (M,) with the least cross-entropy."""
    rows, (start, place, _) = objective.rows, objective.hit_positions
    unit = max(float((base @ points).std()), 1e-12)
    m, M = len(objective.pool), len(points)

    def loss(log: float) -> float:
        out, slope = np.zeros(m), np.zeros((m, M))
        kernels.cross_entropy(rows, points, (np.exp(log) / unit * base)[None, :], (start, place), out, slope)
        return float(out.sum())

    result = minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded", options={"xatol": 0.01})
    return float(np.exp(result.x)) / unit


@dataclass(frozen=True, eq=False)
class TiltStart:
    """Weights of the members at V = 0, (M,), and standardized features, (m, F)."""

    base: F64
    z: F64


def tilt_loss(
    objective: FusionObjective, points: F32, start: TiltStart, l2: float
) -> Callable[[F64], tuple[float, F64]]:
    """The loss and its gradient as a function of V (M · F,).

    `points` (M, c) include β.
    """
    base, z, rows, (first, place, _) = start.base, start.z, objective.rows, objective.hit_positions
    n = max(int((objective.is_selected & (np.diff(first) > 0)).sum()), 1)

    def loss(flat: F64) -> tuple[float, F64]:
        tilt = flat.reshape(len(base), z.shape[1])
        w = tilted_weights(base, tilt, z)
        out, slope = np.zeros(len(z)), np.zeros(w.shape)
        kernels.cross_entropy(rows, points, w, (first, place), out, slope)
        by_log = w * (slope - (w * slope).sum(axis=1, keepdims=True))  # ∂/∂(v_m · z_u)
        return out.sum() / n + l2 * (tilt**2).sum(), (by_log.T @ z / n + 2.0 * l2 * tilt).ravel()

    return loss


def _tilted(features: tuple[str, ...], scaling: Scaling, base: F64, tilt: F64) -> SoftmaxGate:
    return SoftmaxGate(
        gain=0.0,
        p=1.0,
        features=features,
        mean=tuple(scaling.mean.tolist()),
        deviation=tuple(scaling.deviation.tolist()),
        base=tuple(base.tolist()),
        tilt=tuple(tuple(row) for row in tilt.tolist()),
    )
