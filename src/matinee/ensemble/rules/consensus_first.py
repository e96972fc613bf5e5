"""Shared items first: what at least `members` lists hold, those on most lists ahead, then by the sum of the ranks
there; after them the members take turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.ensemble.rule import F64, RoundRobinRule


class ConsensusFirst(RoundRobinRule):
    """Agreement first, then one from each in turn."""

    members: Annotated[int, Field(ge=2)] | None = None
    """How many lists have to hold an item for it to count as shared; nothing means all."""

    def shared(self, n_members: int) -> int:
        """As asked."""
        return min(self.members or n_members, n_members)

    def schedule(self, weights: F64, depth: int) -> Sequence[int]:
        """In turn."""
        return np.tile(np.flatnonzero(weights > 0), depth).tolist()
