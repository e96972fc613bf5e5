"""Non-negative stacking: least squares from the members' points to whether a candidate is a target.

    minimize  Σ_u Σ_i (y_ui − c_u − Σ_m w_m φ_m(u, i))² + l2 · share · ‖w‖²,   w ≥ 0

y (c,) 1 for targets; c_u an intercept per user, removed by centring; φ (M, c) the points, divided by their standard
deviations; share the mean over members of Σ φ². Breiman, Stacked Regressions, Machine Learning 24, 1996.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from matinee.contract import FitContext
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.weight_search import F32, F64, WeightSearch
from matinee.ensemble.weight_searches._scale import scale_of

BLOCK = 4096
"""Users centred at once."""


class Stacking(WeightSearch):
    """Exact ridge regression with w ≥ 0; all candidates count equally, whatever their rank."""

    l2: Annotated[float, Field(ge=0)] = 0.01
    """Ridge penalty, as a fraction of the members' mean square."""

    def weights(self, objective: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """Weights (M,) from the normal equations."""
        M, (_, place, _) = len(points), objective.hit_positions
        scale = scale_of(points)
        target = np.zeros(points.shape[1])
        target[place] = 1.0
        offsets, selected = objective.rows
        A, b = np.zeros((M, M)), np.zeros(M)
        for low in range(0, len(objective.pool), BLOCK):
            high = min(low + BLOCK, len(objective.pool))
            part = slice(offsets[low], offsets[high])
            start, size = offsets[low:high] - offsets[low], np.diff(offsets[low : high + 1])
            keep = np.repeat(selected[low:high] & (size > 0), size)
            centred = np.empty((M + 1, int(keep.sum())))
            for at, own in enumerate([*(points[:, part] / scale[:, None]), target[part]]):
                total = np.add.reduceat(np.append(own, 0.0), start) * (size > 0)
                centred[at] = (own - np.repeat(total / np.maximum(size, 1), size))[keep]
            A += centred[:M] @ centred[:M].T
            b += centred[:M] @ centred[M]
        A[np.diag_indices(M)] += (self.l2 + 1e-9) * max(np.trace(A) / M, 1e-12)
        R = cholesky(A)  # A = R'R, so ‖Rw − R'⁻¹b‖² is the same problem
        w = nnls(R, solve_triangular(R, b, trans=1))[0] / scale
        return w / w.sum() if w.any() else np.full(M, 1.0 / M)
