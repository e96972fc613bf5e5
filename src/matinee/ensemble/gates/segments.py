"""Users in a few segments by one feature; each segment has its own weights, shrunk to the common weights.

    w_s = (n_s w_s* + tau w) / (n_s + tau)

w_s* the weights fitted on the n_s users of segment s alone, w the common weights. Segments end at quantiles of the
feature. Cost: about three weight searches on all users, and one per feature on at most `FEATURE_SAMPLE` users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from matinee.candidates.user_features import UserFeatures
from matinee.contract import FitContext
from matinee.ensemble.gate import F32, F64, FittedGate, Gate, two_fold_gain
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.weight_search import WeightSearch
from matinee.ensemble.weight_searches import WEIGHT_SEARCHES
from matinee.spec import SearchRange

SEARCH_DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"greedy": {"bags": 0}})
"""Options of weight searches within a segment that differ from their defaults."""

FEATURE_SAMPLE = 3_000
"""Largest number of users on which features are compared; the best one is then tested on all users."""


class SegmentGate(FittedGate):
    """A table of weights by segment."""

    feature: str | None
    """The feature that defines the segments; None means a single segment."""

    edges: tuple[float, ...]
    """Upper ends of the segments, ascending; a user at an edge belongs to the next segment."""

    weight: tuple[tuple[float, ...], ...]
    """Weights of the members in each segment, one row more than edges."""

    def weights(self, features: UserFeatures) -> F64:
        """Weights (m, M) of each user's segment."""
        table = np.array(self.weight)
        return table[_segment(features, self.feature, self.edges)]


class Segments(Gate):
    """A gate that is a readable table."""

    fitted_type: ClassVar[type[FittedGate]] = SegmentGate

    feature: str = "best"
    """Name of the feature; best means the one with the highest held-out gain."""

    n_segments: Annotated[int, Field(ge=2)] = 3
    """Number of segments with equal numbers of users."""

    weight_search: str = "greedy"
    """Kind of the weight search within a segment, preferably that of the common weights."""

    tau: Annotated[float, Field(ge=0), SearchRange(50, 5000, log=True)] = 500.0
    """Number of users at which a segment's own weights count as much as the common weights."""

    def fit(
        self,
        objective: FusionObjective,
        points: F32,
        weights: F64,
        features: UserFeatures,
        ctx: FitContext = FitContext(),
    ) -> SegmentGate:
        """Compare the features, test the best one, then fit it on all selected users."""
        weight_search = WEIGHT_SEARCHES.read(
            {"kind": self.weight_search, **SEARCH_DEFAULTS.get(self.weight_search, {})}, "gate (segments)"
        )
        segment_fit = _SegmentFit(self, weight_search, points, weights, features, ctx)
        names = list(features.names) if self.feature == "best" else [self.feature]

        def gain_of(users: FusionObjective, name: str) -> tuple[float, float]:
            def fit_weights(half: FusionObjective) -> F64:
                return segment_fit.fit_segments(half, name).weights(features)

            return two_fold_gain(users, points, weights, fit_weights, ctx)

        best, gain, p = names[0], 0.0, 1.0
        if len(names) > 1:
            few = _subsample(objective, ctx)
            with ctx.observer.progress("segments", len(names)) as advance:
                gains: list[float] = []
                for name in names:
                    gains.append(gain_of(few, name)[0])
                    advance(1)
            best = names[int(np.argmax(gains))]
        if self.max_p_value < 1.0:
            gain, p = gain_of(objective, best)
            p = min(1.0, p * len(names))
            if gain <= 0.0 or p > self.max_p_value:
                return SegmentGate(gain=gain, p=p, feature=None, edges=(), weight=(tuple(weights.tolist()),))
        return segment_fit.fit_segments(objective, best).model_copy(update={"gain": gain, "p": p})


@dataclass(frozen=True, eq=False)
class _SegmentFit:
    """Everything that the fits of one gate share."""

    gate: Segments
    weight_search: WeightSearch
    points: F32
    weights: F64
    """The common weights, (M,)."""

    features: UserFeatures
    ctx: FitContext

    def fit_segments(self, objective: FusionObjective, name: str) -> SegmentGate:
        """The gate of one feature, fitted without a test of the gain."""
        counts = objective.is_selected & (objective.n_targets > 0)
        value, tau = self.features.of((name,))[:, 0], self.gate.tau
        cuts = np.linspace(0.0, 1.0, self.gate.n_segments + 1)[1:-1]
        edges = np.unique(np.quantile(value[counts], cuts)) if counts.any() else np.zeros(0)
        segment = _segment(self.features, name, tuple(edges.tolist()))
        table = np.tile(self.weights, (len(edges) + 1, 1))
        for s in range(len(table)):
            own = counts & (segment == s)
            n = int(own.sum())
            if n:
                own_weights = self.weight_search.weights(objective.restrict(own), self.points, self.ctx)
                table[s] = (n * own_weights + tau * self.weights) / (n + tau)
        rows = tuple(tuple(row) for row in table.tolist())
        return SegmentGate(gain=0.0, p=1.0, feature=name, edges=tuple(edges.tolist()), weight=rows)


def _segment(features: UserFeatures, name: str | None, edges: tuple[float, ...]) -> NDArray[np.intp]:
    """Segment of each user (m,); 0 has the lowest values."""
    if name is None:
        return np.zeros(len(features), dtype=np.intp)
    return np.searchsorted(np.array(edges), features.of((name,))[:, 0], side="right")


def _subsample(objective: FusionObjective, ctx: FitContext) -> FusionObjective:
    """The objective on at most `FEATURE_SAMPLE` of its users, drawn at random."""
    selected = np.flatnonzero(objective.is_selected & (objective.n_targets > 0))
    if len(selected) <= FEATURE_SAMPLE:
        return objective
    few = np.zeros(len(objective.pool), dtype=np.bool_)
    few[ctx.rng(FEATURE_SAMPLE).permutation(selected)[:FEATURE_SAMPLE]] = True
    return objective.restrict(few)
