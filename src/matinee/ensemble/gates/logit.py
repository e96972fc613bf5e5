"""A softmax gate around the weights for everybody.

    w_um = b_m exp(v_m · z_u) / Σ_n b_n exp(v_n · z_u)

    minimise  mean_u −(1/|T_u|) Σ_{i∈T_u} log softmax_i(β Σ_m w_um φ_m(u, i))  +  l2 · ‖V‖²

z_u (F,) the traits of u, standardised over the learners and held within ±3; V (M, F); b = (1 − floor) w + floor / M
with w (M,) the weights for everybody; T_u the answers of u among the candidates; φ the members' points. β is fitted
first, with V = 0: weights of sum 1 say nothing of how sure the scores are. By L-BFGS. The form is that of the gate of a
mixture of experts: Jacobs, Jordan, Nowlan and Hinton, Adaptive Mixtures of Local Experts, Neural Computation 3, 1991.
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

MAX_TILT = 3.0
"""Standard deviations beyond which a trait says no more."""


class SoftmaxGate(FittedGate):
    """Weights tilted by traits."""

    traits: tuple[str, ...]
    """The traits that tilt."""

    mean: tuple[float, ...]
    """Of each trait over the learners."""

    deviation: tuple[float, ...]
    """Of each trait over the learners; 0 where all were alike, and the trait then says nothing."""

    base: tuple[float, ...]
    """The weight of each member for somebody average."""

    tilt: tuple[tuple[float, ...], ...]
    """V: for each member, how its log weight rises with a standard deviation of each trait."""

    def weights(self, traits: UserFeatures) -> F64:
        """The formula."""
        z = standardized(traits.of(self.traits), np.array(self.mean), np.array(self.deviation))
        return tilted_weights(np.array(self.base), np.array(self.tilt), z)


class Logit(Gate):
    """All traits at once, and no edges where weights jump."""

    fitted_type: ClassVar[type[FittedGate]] = SoftmaxGate

    l2: Annotated[float, Field(ge=0), SearchRange(1e-4, 0.1, log=True)] = 1e-3
    """How strongly everybody is drawn to the weights for everybody."""

    floor: Annotated[float, Field(ge=0, le=1)] = 0.02
    """The part of the weights shared out evenly at the start, so that a member good for few can come in at all."""

    steps: Annotated[int, Field(ge=1)] = 100
    """Steps of the optimiser, at most."""

    def fit(
        self, judge: FusionObjective, points: F32, weights: F64, traits: UserFeatures, ctx: FitContext = FitContext()
    ) -> SoftmaxGate:
        """Half against half, then with everybody."""
        gain, p = 0.0, 1.0
        if self.max_p_value < 1.0:

            def teach(half: FusionObjective) -> F64:
                return self._fit(half, points, weights, traits).weights(traits)

            gain, p = two_fold_gain(judge, points, weights, teach, ctx)
            if gain <= 0.0 or p > self.max_p_value:
                flat = np.zeros(len(traits.names))
                return _tilted(traits.names, (flat, flat), weights, np.zeros((len(weights), len(flat)))).model_copy(
                    update={"gain": gain, "p": p}
                )
        return self._fit(judge, points, weights, traits).model_copy(update={"gain": gain, "p": p})

    def _fit(self, judge: FusionObjective, points: F32, weights: F64, traits: UserFeatures) -> SoftmaxGate:
        """The minimum, unlooked."""
        M, F = len(points), len(traits.names)
        counts = judge.rows[1] & (np.diff(judge.hit_positions[0]) > 0)
        base = (1.0 - self.floor) * weights / weights.sum() + self.floor / M
        own = traits.values[counts] if counts.any() else np.zeros((1, F))
        mean, deviation = own.mean(axis=0), own.std(axis=0)
        deviation[deviation <= 1e-9 * (1.0 + np.abs(mean))] = 0.0
        tilt = np.zeros((M, F))
        if counts.any():
            z = standardized(traits.values, mean, deviation)
            loss = objective(
                judge, points * np.float32(inverse_temperature(judge, points, base)), Start(base, z), self.l2
            )
            found = minimize(loss, tilt.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": self.steps})
            tilt = np.asarray(found.x).reshape(M, F)
        return _tilted(traits.names, (mean, deviation), base, tilt)


def standardized(values: F64, mean: F64, deviation: F64) -> F64:
    """Traits (m, F) minus the mean, in deviations (F,), within ±3; 0 where the deviation is."""
    z = (values - mean) / np.where(deviation > 0, deviation, 1.0)
    return np.clip(np.where(deviation > 0, z, 0.0), -MAX_TILT, MAX_TILT)


def tilted_weights(base: F64, tilt: F64, z: F64) -> F64:
    """The weights (m, M) by base (M,), tilt V (M, F) and traits z (m, F); a member of base 0 stays out."""
    log = np.zeros((len(z), len(base)))
    for f in range(z.shape[1]):  # no matrix product: its sums would depend on who is asked at the same time
        log += z[:, f, None] * tilt[None, :, f]
    log = np.where(base > 0, log, -np.inf)
    raised = base * np.exp(log - log.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def inverse_temperature(judge: FusionObjective, points: F32, base: F64) -> float:
    """β: what the scores of weights `base` (M,) are multiplied by for the least cross-entropy."""
    rows, (start, place, _) = judge.rows, judge.hit_positions
    unit = max(float((base @ points).std()), 1e-12)
    m, M = len(judge.pool), len(points)

    def loss(log: float) -> float:
        out, slope = np.zeros(m), np.zeros((m, M))
        kernels.cross_entropy(rows, points, (np.exp(log) / unit * base)[None, :], (start, place), out, slope)
        return float(out.sum())

    found = minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded", options={"xatol": 0.01})
    return float(np.exp(found.x)) / unit


@dataclass(frozen=True, eq=False)
class Start:
    """What a gate tilts: the members' weights at V = 0, (M,), and the standardised traits of the users, (m, F)."""

    base: F64
    z: F64


def objective(judge: FusionObjective, points: F32, start: Start, l2: float) -> Callable[[F64], tuple[float, F64]]:
    """What is minimised, and its gradient, in V (M · F,). `points` (M, c) are times β."""
    base, z, rows, (first, place, _) = start.base, start.z, judge.rows, judge.hit_positions
    n = max(int((rows[1] & (np.diff(first) > 0)).sum()), 1)

    def loss(flat: F64) -> tuple[float, F64]:
        tilt = flat.reshape(len(base), z.shape[1])
        w = tilted_weights(base, tilt, z)
        out, slope = np.zeros(len(z)), np.zeros(w.shape)
        kernels.cross_entropy(rows, points, w, (first, place), out, slope)
        by_log = w * (slope - (w * slope).sum(axis=1, keepdims=True))  # ∂/∂(v_m · z_u)
        return out.sum() / n + l2 * (tilt**2).sum(), (by_log.T @ z / n + 2.0 * l2 * tilt).ravel()

    return loss


def _tilted(traits: tuple[str, ...], of_traits: tuple[F64, F64], base: F64, tilt: F64) -> SoftmaxGate:
    mean, deviation = of_traits
    return SoftmaxGate(
        gain=0.0,
        p=1.0,
        traits=traits,
        mean=tuple(mean.tolist()),
        deviation=tuple(deviation.tolist()),
        base=tuple(base.tolist()),
        tilt=tuple(tuple(row) for row in tilt.tolist()),
    )
