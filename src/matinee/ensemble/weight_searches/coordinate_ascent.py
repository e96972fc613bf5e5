"""Coordinate ascent: one weight at a time is tried at other values, and kept where the metric is highest.

From several starts: equal weights, and random ones; the best end wins. Metzler and Croft, Linear Feature-based Models
for Information Retrieval, Information Retrieval 10, 2007. Cost: starts · rounds · members · 9 trials.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import FitContext
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.weight_search import F32, F64, WeightSearch

FACTORS = np.array([0.0, 0.25, 0.5, 0.7, 0.85, 1.2, 1.5, 2.0, 4.0])
"""What a weight is multiplied by."""


class CoordinateAscent(WeightSearch):
    """Finer than greedy selection, and easier to fool: it optimises the metric itself, noise included."""

    rounds: Annotated[int, Field(ge=1)] = 3
    """How often it goes over all members, at most."""

    starts: Annotated[int, Field(ge=1)] = 2
    """From how many weightings it starts, the first being the equal one."""

    def weights(self, judge: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """The best of the starts."""
        ends: list[tuple[float, F64]] = []
        with ctx.observer.progress("coordinate ascent", self.starts) as advance:
            for start in range(self.starts):
                rng = ctx.rng(start)
                w = np.ones(len(points)) if start == 0 else rng.dirichlet(np.ones(len(points))) * len(points)
                ends.append(self._ascend(judge, points, w, rng))
                advance(1)
        return max(ends, key=lambda end: end[0])[1]

    def _ascend(self, judge: FusionObjective, points: F32, w: F64, rng: np.random.Generator) -> tuple[float, F64]:
        """The value and the weights where no single change helps."""
        w = w / w.sum()
        value = judge.value(points, w)
        for _ in range(self.rounds):
            before = value
            for member in rng.permutation(len(w)):
                others = w.copy()
                others[member] = 0.0
                if not others.any():
                    continue
                tried = FACTORS * (w[member] if w[member] > 0 else w.mean())
                base, listed = others.astype(np.float32) @ points, judge.pool.is_listed(others)
                trial = judge.trial_values(base, points, np.full(len(tried), member), tried, listed)
                best = int(np.argmax(trial))
                if trial[best] > value + 1e-9:
                    value, w[member] = float(trial[best]), tried[best]
            w /= w.sum()
            if value <= before + 1e-9:
                break
        return value, w
