"""Consensus first: items of at least `members` lists, then the members in turn.

    score = −position; shared items by (−number of lists, Σ ranks), then round robin

No published source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.ensemble.rule import F64, RoundRobinRule


class ConsensusFirst(RoundRobinRule):
    """Shared items first, then one item of each member in turn."""

    members: Annotated[int, Field(ge=2)] | None = None
    """Smallest number of lists that contain a shared item; None means all lists."""

    def shared(self, n_members: int) -> int:
        """`members`, at most the number of members."""
        return min(self.members or n_members, n_members)

    def schedule(self, weights: F64, depth: int) -> Sequence[int]:
        """All members in turn, once per list position."""
        return np.tile(np.flatnonzero(weights > 0), depth).tolist()
