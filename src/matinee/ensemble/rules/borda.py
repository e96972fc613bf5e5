"""Borda count: with c candidates for a person, rank r of a list is worth c − r + 1.

The candidates a list of n leaves out share what is left of its points evenly: (c − n + 1) / 2 each (Aslam and Montague,
Models for Metasearch, SIGIR 2001). Candidates are what members of weight above 0 list, so weight 0 is absence; points
made for a search of weights (`Points.points`) count those of all its members.
"""

from __future__ import annotations

import numpy as np

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule


class Borda(PointRule):
    """Every rank lost costs the same."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Divided by c, so that people with many candidates have points of the same size."""
        depth, length = pool.lists[member].k, np.bincount(pool.row[pool.rank[member] > 0], minlength=len(pool))
        c = np.maximum(np.diff(pool.offsets), 1).astype(np.float64)
        value = (c[:, None] - np.arange(depth)) / c[:, None]
        missing = (c - length + 1.0) / (2.0 * c)
        return value.astype(np.float32), missing.astype(np.float32)
