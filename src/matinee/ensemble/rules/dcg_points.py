"""Soft vote: rank r is worth 1 / log2(r + 1), the weight a DCG gives that rank; an item outside a list is worth 0."""

from __future__ import annotations

import numpy as np

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule
from matinee.ensemble.rules._table import by_rank


class DCGPoints(PointRule):
    """Points that fall like the discount of nDCG."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """The same row for everybody."""
        return by_rank(pool.lists[member], lambda r: 1.0 / np.log2(r + 1.0))
