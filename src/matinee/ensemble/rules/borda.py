"""Borda count: points fall linearly from the number of candidates of the user.

    points(r) = (c − r + 1) / c for rank r; (c − n + 1) / (2 c) for the candidates outside a list of n

c the number of candidates of the user, i.e. of items that members with weight above 0 list. The candidates outside a
list share its remaining points. In a weight search (`PointRule.points`) c counts the candidates of all members.
Aslam and Montague, Models for Metasearch, SIGIR 2001.
"""

from __future__ import annotations

import numpy as np

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule


class Borda(PointRule):
    """Linear points over all candidates."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Points divided by c, so that they have the same scale for all users."""
        depth, length = pool.lists[member].k, np.bincount(pool.row[pool.rank[member] > 0], minlength=len(pool))
        c = np.maximum(np.diff(pool.offsets), 1).astype(np.float64)
        value = (c[:, None] - np.arange(depth)) / c[:, None]
        missing = (c - length + 1.0) / (2.0 * c)
        return value.astype(np.float32), missing.astype(np.float32)
