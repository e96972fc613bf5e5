"""Interleaving: the members name their next item in turn, as often as their weights say; named items are skipped.

Each turn goes to the member whose share is furthest behind, the earlier one where two are equally far (smooth weighted
round robin); with equal weights, a, b, c, a, b, c, … Who has had a turn for every place of a list has no more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matinee.ensemble.rule import F64, RoundRobinRule


class Interleave(RoundRobinRule):
    """Everybody's best first, then everybody's second."""

    def schedule(self, weights: F64, depth: int) -> Sequence[int]:
        """Enough turns to name every item of every list."""
        share, due, left = weights / weights.sum(), np.zeros(len(weights)), np.where(weights > 0, depth, 0)
        turns: list[int] = []
        while left.any():
            due += share
            turns.append(int(np.argmax(np.where(left > 0, np.round(due, 9), -np.inf))))
            due[turns[-1]] -= share[left > 0].sum()
            left[turns[-1]] -= 1
        return turns
