"""Cascade: the first member's list, filled up from the second, and so on.

    score = −position in the concatenation of the lists, each item at its first place

Burke, Hybrid Recommender Systems: Survey and Experiments, UMUAI 12, 2002 (switching hybrid).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.ensemble.rule import F64, RoundRobinRule


class Cascade(RoundRobinRule):
    """Fallback for users with short lists of the first members."""

    max_items: Annotated[int, Field(ge=1)] | None = None
    """Largest number of items of each member; None means all."""

    def schedule(self, weights: F64, depth: int) -> Sequence[int]:
        """Turns of the first member, then of the second, and so on."""
        return np.repeat(np.arange(len(weights)), min(self.max_items or depth, depth)).tolist()
