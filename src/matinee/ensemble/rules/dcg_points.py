"""DCG points: the discount of a DCG at the item's rank.

    points(r) = 1 / log2(r + 1); 0 outside the list

Source of the discount: Järvelin and Kekäläinen, Cumulated Gain-based Evaluation of IR Techniques, TOIS 20(4), 2002.
"""

from __future__ import annotations

import numpy as np

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule
from matinee.ensemble.rules._table import points_by_rank


class DCGPoints(PointRule):
    """Points 1 / log2(r + 1) for rank r."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Points by rank, equal for all users."""
        return points_by_rank(pool.lists[member], lambda r: 1.0 / np.log2(r + 1.0))
