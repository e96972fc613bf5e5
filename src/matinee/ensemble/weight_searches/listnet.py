"""A smooth surrogate of the metric: the cross-entropy of a softmax over a person's candidates, convex in the weights.

    minimise  mean_u −(1/|T_u|) Σ_{i∈T_u} log softmax_i(Σ_m w_m φ_m(u, i))  +  l2 · Σ_m (w_m − w̄)²,   w ≥ 0

T_u the answers of u among the candidates, φ the members' points, each divided by its standard deviation first. Cao et
al., Learning to Rank: From Pairwise Approach to Listwise Approach (ListNet), ICML 2007. By L-BFGS-B.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.optimize import minimize

from matinee.contract import FitContext
from matinee.ensemble import kernels
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.weight_search import F32, F64, WeightSearch
from matinee.ensemble.weight_searches._scale import scale_of


class ListNet(WeightSearch):
    """All weights at once, by their gradient: many members cost little."""

    l2: Annotated[float, Field(ge=0)] = 1e-3
    """How strongly weights are drawn to their mean."""

    steps: Annotated[int, Field(ge=1)] = 60
    """Steps of the optimiser, at most."""

    def weights(self, judge: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """The minimum, scaled back to the points as they are."""
        scale = scale_of(points)
        rows, (start, place, _) = judge.rows, judge.hit_positions
        counts = (rows[1] & (np.diff(start) > 0)).sum()
        M, m = len(points), len(judge.pool)
        if not counts:
            return np.full(M, 1.0 / M)

        def objective(w: F64) -> tuple[float, F64]:
            loss, slope = np.zeros(m), np.zeros((m, M))
            kernels.cross_entropy(rows, points, (w / scale)[None, :], (start, place), loss, slope)
            away = w - w.mean()
            return loss.sum() / counts + self.l2 * (away**2).sum(), slope.sum(axis=0) / scale / counts + (
                2 * self.l2 * away
            )

        with ctx.observer.progress("listnet", 1) as advance:
            found = minimize(
                objective,
                np.full(M, 1.0),
                jac=True,
                method="L-BFGS-B",
                bounds=[(0.0, None)] * M,
                options={"maxiter": self.steps},
            )
            advance(1)
        w = np.asarray(found.x) / scale
        return w / w.sum() if w.any() else np.full(M, 1.0 / M)
