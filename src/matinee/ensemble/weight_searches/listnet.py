"""ListNet: cross-entropy of a softmax over the candidates of each user, convex in the weights.

    minimize  mean_u −(1/|T_u|) Σ_{i∈T_u} log softmax_i(Σ_m w_m φ_m(u, i))  +  l2 · Σ_m (w_m − w̄)²,   w ≥ 0

T_u the targets of u among the candidates; φ (M, c) the members' points, divided by their standard deviations; w̄ the
mean weight. Optimizer: L-BFGS-B. Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, ICML 2007.
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
    """All weights at once, by the gradient of a smooth loss; fast for many members."""

    l2: Annotated[float, Field(ge=0)] = 1e-3
    """Penalty on the squared deviation of the weights from their mean."""

    steps: Annotated[int, Field(ge=1)] = 60
    """Largest number of optimizer steps."""

    def weights(self, objective: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """Weights (M,) at the minimum, for unscaled points."""
        scale = scale_of(points)
        rows, (start, place, _) = objective.rows, objective.hit_positions
        n_users = (objective.is_selected & (np.diff(start) > 0)).sum()
        M, m = len(points), len(objective.pool)
        if not n_users:
            return np.full(M, 1.0 / M)

        def loss_and_gradient(w: F64) -> tuple[float, F64]:
            loss, slope = np.zeros(m), np.zeros((m, M))
            kernels.cross_entropy(rows, points, (w / scale)[None, :], (start, place), loss, slope)
            deviation = w - w.mean()
            return loss.sum() / n_users + self.l2 * (deviation**2).sum(), slope.sum(axis=0) / scale / n_users + (
                2 * self.l2 * deviation
            )

        with ctx.observer.progress("listnet", 1) as advance:
            result = minimize(
                loss_and_gradient,
                np.full(M, 1.0),
                jac=True,
                method="L-BFGS-B",
                bounds=[(0.0, None)] * M,
                options={"maxiter": self.steps},
            )
            advance(1)
        w = np.asarray(result.x) / scale
        return w / w.sum() if w.any() else np.full(M, 1.0 / M)
