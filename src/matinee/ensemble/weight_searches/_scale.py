"""Scales of the members' points."""

from __future__ import annotations

import numpy as np

from matinee.ensemble.weight_search import F32, F64


def scale_of(points: F32) -> F64:
    """Standard deviation of each member's points, (M,).

    Infinite if all points of a member are equal, so that its weight is 0.
    """
    spread = points.std(axis=1, dtype=np.float64)
    size = np.abs(points).max(axis=1, initial=0.0)
    return np.where(spread > 1e-6 * size, spread, np.inf)
