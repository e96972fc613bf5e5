"""Linear rank points: rank r of the first `top` is worth (top − r + 1) / top, everything below and outside 0."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule
from matinee.ensemble.rules._table import by_rank
from matinee.spec import SearchRange


class LinearRank(PointRule):
    """1.00, 0.95, … 0.05 over twenty ranks."""

    top: Annotated[int, Field(ge=1), SearchRange(10, 200, log=True)] = 20
    """How many ranks get points."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """The same row for everybody."""
        return by_rank(pool.lists[member], lambda r: np.maximum(self.top - r + 1.0, 0.0) / self.top)
