"""Top-n vote: one vote for every item among the first `top` of a member.

    points(r) = 1 if r ≤ top, else 0

Approval voting (Brams and Fishburn, American Political Science Review 72, 1978).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule
from matinee.ensemble.rules._table import points_by_rank
from matinee.spec import SearchRange


class TopNVote(PointRule):
    """One vote per member and item, whatever the rank."""

    top: Annotated[int, Field(ge=1), SearchRange(5, 100, log=True)] = 10
    """Number of first items of a member that get its vote."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Points by rank, equal for all users."""
        return points_by_rank(pool.lists[member], lambda r: (r <= self.top).astype(np.float64))
