"""Interleaving: the members add their next item in turn, in proportion to their weights.

    turn t goes to argmax_m (t · w_m − turns of m so far), ties to the earlier member

A member has at most `depth` turns; with equal weights the order is a, b, c, a, b, c, … Source: smooth weighted round
robin of the nginx web server (2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matinee.ensemble.rule import F64, RoundRobinRule


class Interleave(RoundRobinRule):
    """Members in turn, by weight."""

    def schedule(self, weights: F64, depth: int) -> Sequence[int]:
        """Turns for every item of every list."""
        share, due, left = weights / weights.sum(), np.zeros(len(weights)), np.where(weights > 0, depth, 0)
        turns: list[int] = []
        while left.any():
            due += share
            turns.append(int(np.argmax(np.where(left > 0, np.round(due, 9), -np.inf))))
            due[turns[-1]] -= share[left > 0].sum()
            left[turns[-1]] -= 1
        return turns
