"""Coordinate ascent: one weight at a time is set to the best of several values.

    w_m ← argmax_{w ∈ FACTORS · w_m} metric(Σ_n w_n φ_n), for all m in random order, until no change helps

φ (M, c) the members' points. Starts from equal weights and from random ones; the best result is returned. Metzler and
Croft, Linear Feature-based Models for Information Retrieval, Information Retrieval 10, 2007. Cost: starts · rounds ·
members · 9 trials.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import FitContext
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.weight_search import F32, F64, WeightSearch

FACTORS = np.array([0.0, 0.25, 0.5, 0.7, 0.85, 1.2, 1.5, 2.0, 4.0])
"""Factors of a weight that are tried."""


class CoordinateAscent(WeightSearch):
    """Weights that maximize the metric itself; overfits more easily than greedy selection."""

    rounds: Annotated[int, Field(ge=1)] = 3
    """Largest number of passes over all members."""

    starts: Annotated[int, Field(ge=1)] = 2
    """Number of starting points; the first has equal weights."""

    def weights(self, objective: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """The best weights over all starts."""
        results: list[tuple[float, F64]] = []
        with ctx.observer.progress("coordinate ascent", self.starts) as advance:
            for start in range(self.starts):
                rng = ctx.rng(start)
                w = np.ones(len(points)) if start == 0 else rng.dirichlet(np.ones(len(points))) * len(points)
                results.append(self._ascend(objective, points, w, rng))
                advance(1)
        return max(results, key=lambda result: result[0])[1]

    def _ascend(self, objective: FusionObjective, points: F32, w: F64, rng: np.random.Generator) -> tuple[float, F64]:
        """Value and weights (M,) at which no single change helps."""
        w = w / w.sum()
        value = objective.value(points, w)
        for _ in range(self.rounds):
            before = value
            for member in rng.permutation(len(w)):
                others = w.copy()
                others[member] = 0.0
                if not others.any():
                    continue
                values = FACTORS * (w[member] if w[member] > 0 else w.mean())
                base, listed = others.astype(np.float32) @ points, objective.pool.is_listed(others)
                trial = objective.trial_values(base, points, np.full(len(values), member), values, listed)
                best = int(np.argmax(trial))
                if trial[best] > value + 1e-9:
                    value, w[member] = float(trial[best]), values[best]
            w /= w.sum()
            if value <= before + 1e-9:
                break
        return value, w
