"""Reciprocal rank fusion: points fall with the reciprocal of the rank.

    points(r) = 1 / (k + r); 0 outside the list

Cormack, Clarke and Büttcher, Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods, SIGIR
2009. There k = 60 for lists of 1,000 items; short lists need a smaller k.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule
from matinee.ensemble.rules._table import points_by_rank
from matinee.spec import SearchRange


class ReciprocalRank(PointRule):
    """Points 1 / (k + r) for rank r."""

    k: Annotated[float, Field(ge=0), SearchRange(1, 100, log=True)] = 10.0
    """Offset of the rank; large values make the first ranks nearly equal."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Points by rank, equal for all users."""
        return points_by_rank(pool.lists[member], lambda r: 1.0 / (self.k + r))
