"""Cascade: the first member's list, filled up from the second where it is short, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.ensemble.rule import F64, RoundRobinRule


class Cascade(RoundRobinRule):
    """A fallback for people one model has little to say about."""

    max_items: Annotated[int, Field(ge=1)] | None = None
    """How many items of each member count before the next one fills up; nothing means all."""

    def schedule(self, weights: F64, depth: int) -> Sequence[int]:
        """One member after the other."""
        return np.repeat(np.arange(len(weights)), min(self.max_items or depth, depth)).tolist()
