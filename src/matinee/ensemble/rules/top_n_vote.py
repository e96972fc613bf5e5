"""Hard vote: an item is worth 1 to every member that lists it among its first `top`, whatever the rank, else 0."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule
from matinee.ensemble.rules._table import by_rank
from matinee.spec import SearchRange


class TopNVote(PointRule):
    """One member, one vote an item."""

    top: Annotated[int, Field(ge=1), SearchRange(5, 100, log=True)] = 10
    """How many of a member's first items get its vote."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """The same row for everybody."""
        return by_rank(pool.lists[member], lambda r: (r <= self.top).astype(np.float64))
