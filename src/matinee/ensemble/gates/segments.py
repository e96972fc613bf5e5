"""People in a few segments by one trait, each with weights of its own, drawn towards those for everybody.

    w_s = (n_s w_s* + tau w) / (n_s + tau)

w_s* what the chooser finds for the n_s people of segment s alone, w the weights for everybody. Segments end at
quantiles of the trait. Cost: about three runs of the chooser on everybody, and one a trait on `FEW` people.
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
"""Where a chooser in a segment differs from its defaults."""

TRAIT_SAMPLE = 3_000
"""At most so many people, drawn, say which trait is the best; then all of them say whether it is any good."""


class SegmentGate(FittedGate):
    """Weights by segment."""

    trait: str | None
    """What splits people; nothing where all are alike."""

    edges: tuple[float, ...]
    """Where the segments end, ascending; a person at an edge belongs above it."""

    weight: tuple[tuple[float, ...], ...]
    """The members' weights in each segment, one segment more than edges."""

    def weights(self, traits: UserFeatures) -> F64:
        """Looked up."""
        table = np.array(self.weight)
        return table[_segment(traits, self.trait, self.edges)]


class Segments(Gate):
    """The simple form: a table one can read."""

    fitted_type: ClassVar[type[FittedGate]] = SegmentGate

    trait: str = "best"
    """What splits people: a trait's name, or best, the one with the highest gain on the other half of the people."""

    n_segments: Annotated[int, Field(ge=2)] = 3
    """How many segments, of as many people each."""

    weight_search: str = "greedy"
    """How weights are found within a segment: a chooser's kind, best the one that found the weights for everybody."""

    tau: Annotated[float, Field(ge=0), SearchRange(50, 5000, log=True)] = 500.0
    """Among how many people a segment counts as much as the weights for everybody."""

    def fit(
        self, judge: FusionObjective, points: F32, weights: F64, traits: UserFeatures, ctx: FitContext = FitContext()
    ) -> SegmentGate:
        """Trait after trait, then the best one with everybody."""
        chooser = WEIGHT_SEARCHES.read(
            {"kind": self.weight_search, **SEARCH_DEFAULTS.get(self.weight_search, {})}, "gate (segments)"
        )
        cutter = _SegmentFit(self, chooser, points, weights, traits, ctx)
        tried = list(traits.names) if self.trait == "best" else [self.trait]

        def looked(some: FusionObjective, name: str) -> tuple[float, float]:
            def teach(half: FusionObjective) -> F64:
                return cutter.cut(half, name).weights(traits)

            return two_fold_gain(some, points, weights, teach, ctx)

        best, gain, p = tried[0], 0.0, 1.0
        if len(tried) > 1:
            few = _subsample(judge, ctx)
            with ctx.observer.progress("segments", len(tried)) as advance:
                found: list[float] = []
                for name in tried:
                    found.append(looked(few, name)[0])
                    advance(1)
            best = tried[int(np.argmax(found))]
        if self.max_p_value < 1.0:
            gain, p = looked(judge, best)
            p = min(1.0, p * len(tried))
            if gain <= 0.0 or p > self.max_p_value:
                return SegmentGate(gain=gain, p=p, trait=None, edges=(), weight=(tuple(weights.tolist()),))
        return cutter.cut(judge, best).model_copy(update={"gain": gain, "p": p})


@dataclass(frozen=True, eq=False)
class _SegmentFit:
    """What all cuts of one gate share."""

    gate: Segments
    chooser: WeightSearch
    points: F32
    weights: F64
    """Those for everybody, (M,)."""

    traits: UserFeatures
    ctx: FitContext

    def cut(self, judge: FusionObjective, name: str) -> SegmentGate:
        """Segments of a judge's users by one trait, whether or not they gain."""
        counts = judge.rows[1] & (judge.n_targets > 0)
        value, tau = self.traits.of((name,))[:, 0], self.gate.tau
        cuts = np.linspace(0.0, 1.0, self.gate.n_segments + 1)[1:-1]
        edges = np.unique(np.quantile(value[counts], cuts)) if counts.any() else np.zeros(0)
        segment = _segment(self.traits, name, tuple(edges.tolist()))
        table = np.tile(self.weights, (len(edges) + 1, 1))
        for s in range(len(table)):
            own = counts & (segment == s)
            n = int(own.sum())
            if n:
                found = self.chooser.weights(judge.restrict(own), self.points, self.ctx)
                table[s] = (n * found + tau * self.weights) / (n + tau)
        said = tuple(tuple(row) for row in table.tolist())
        return SegmentGate(gain=0.0, p=1.0, trait=name, edges=tuple(edges.tolist()), weight=said)


def _segment(traits: UserFeatures, name: str | None, edges: tuple[float, ...]) -> NDArray[np.intp]:
    """The segment of each person (m,), 0 the lowest."""
    if name is None:
        return np.zeros(len(traits), dtype=np.intp)
    return np.searchsorted(np.array(edges), traits.of((name,))[:, 0], side="right")


def _subsample(judge: FusionObjective, ctx: FitContext) -> FusionObjective:
    """The judge of at most `FEW` of its people."""
    asked = np.flatnonzero(judge.rows[1] & (judge.n_targets > 0))
    if len(asked) <= TRAIT_SAMPLE:
        return judge
    few = np.zeros(len(judge.pool), dtype=np.bool_)
    few[ctx.rng(TRAIT_SAMPLE).permutation(asked)[:TRAIT_SAMPLE]] = True
    return judge.restrict(few)
