"""CombSUM: the weighted sum of the members' scores, each made comparable within the person's list first.

Fox and Shaw, Combination of Multiple Searches, TREC-2, 1994. What an item outside a list is worth stands with each
normalisation in `candidates/norms.py`: 0 (min_max, rank, softmax), or what the last of the list is (z_score, sigmoid).
"""

from __future__ import annotations

import numpy as np

from matinee.candidates.norms import Norm, normalized
from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule


class CombSum(PointRule):
    """Scores count, not only ranks: how sure a member is has a say."""

    norm: Norm = "z_score"
    """How scores of a list are made comparable: min_max, z_score, rank, softmax or sigmoid."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Normalised scores."""
        lists = pool.lists[member]
        value, missing = normalized(lists.item, lists.score, self.norm)
        return value.astype(np.float32), missing.astype(np.float32)
