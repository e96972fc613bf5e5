"""CombMNZ: CombSUM times the number of members that list the item (Fox and Shaw, TREC-2, 1994).

Only normalisations that are nowhere below 0 make sense: more votes for a bad item would count against it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from matinee.candidates.norms import normalized
from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule


class CombMnz(PointRule):
    """Rewards what several members found independently."""

    by_votes: ClassVar[bool] = True

    norm: Literal["min_max", "rank", "softmax", "sigmoid"] = "min_max"
    """How scores of a list are made comparable: min_max, rank, softmax or sigmoid."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Normalised scores."""
        lists = pool.lists[member]
        value, missing = normalized(lists.item, lists.score, self.norm)
        return value.astype(np.float32), missing.astype(np.float32)
