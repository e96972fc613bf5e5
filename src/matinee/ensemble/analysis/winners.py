"""Users on which each member is best, and the features in which they differ from all users with targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.candidates.user_features import UserFeatures
from matinee.ensemble.objective import FusionObjective

F64 = NDArray[np.float64]

MIN_Z = 3.0
"""Smallest difference, in standard errors, that is reported."""

MAX_SHOWN = 3
"""Largest number of features in a line of text."""


@dataclass(frozen=True)
class MemberWins:
    """Users on which one member's list is better than every other member's."""

    member: str
    n_users: int
    shift: dict[str, float]
    """Feature → mean of these users minus mean of all users, in standard deviations of all users."""

    significant: tuple[str, ...]
    """The features that differ by more than `MIN_Z` standard errors, the largest first."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "member": self.member,
            "n_users": self.n_users,
            "shift": self.shift,
            "significant": list(self.significant),
        }

    def text(self) -> str:
        """A line for a terminal."""
        named = ", ".join(f"{name} {self.shift[name]:+.2f}" for name in self.significant[:MAX_SHOWN])
        differences = f"{named} (in standard deviations from the mean)" if named else "no feature differs significantly"
        return f"{self.member} is best for {self.n_users:,} users: {differences}"


def member_wins(objective: FusionObjective, features: UserFeatures) -> list[MemberWins]:
    """For every member the users it is best for and their features.

    `features` (m, F) are those of the users of the pool.
    """
    pool = objective.pool
    orders = (np.where(rank > 0, -rank.astype(np.float32), np.float32(-np.inf)) for rank in pool.rank)
    value = np.array([objective.values(order) for order in orders])
    known = np.isfinite(value).all(axis=0)
    own, value = features.values[known], value[:, known]
    deviation = own.std(axis=0)
    shift = (own - own.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return [_member_wins(name, shift[_wins(value, m)], features.names) for m, name in enumerate(pool.names)]


def _wins(value: F64, m: int) -> NDArray[np.bool_]:
    """Whether member m is strictly better than all others for each user, (n,).

    `value` (M, n) is the metric of each member.
    """
    others = np.delete(value, m, axis=0)
    return value[m] > others.max(axis=0, initial=0.0)


def _member_wins(name: str, shift: F64, features: tuple[str, ...]) -> MemberWins:
    mean = shift.mean(axis=0) if len(shift) else np.zeros(len(features))
    order = np.argsort(-np.abs(mean), kind="stable")
    significant = tuple(features[f] for f in order if abs(mean[f]) * np.sqrt(len(shift)) > MIN_Z)
    return MemberWins(name, len(shift), dict(zip(features, map(float, mean), strict=True)), significant)
