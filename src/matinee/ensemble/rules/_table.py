"""Points that depend on the rank alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from matinee.ensemble.rule import F32, F64
from matinee.topk import TopK


def points_by_rank(lists: TopK, points: Callable[[F64], F64]) -> tuple[F32, F32]:
    """Points of the ranks for every list position (m, depth); 0 outside (m,).

    `points` maps the ranks 1, 2, … (depth,) to values (depth,).
    """
    row = points(np.arange(1, lists.k + 1, dtype=np.float64)).astype(np.float32)
    return np.tile(row, (len(lists), 1)), np.zeros(len(lists), dtype=np.float32)
