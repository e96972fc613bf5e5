"""What a gate is: points, a judge, the weights for everybody and the people's traits in; weights a person out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from matinee.candidates.user_features import UserFeatures
from matinee.contract import FitContext
from matinee.ensemble.objective import FusionObjective
from matinee.metrics.comparison import paired_t
from matinee.spec import Spec

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]

HALF_KEY = 0x6A7E
"""The key of the draw that halves people. Not 0: NumPy's generator of (seed, 0) is that of seed alone."""


class FittedGate(Spec):
    """What a gate has learnt, for JSON. `GATES.get(kind).learnt` is the class that reads it again."""

    gain: float
    """What it won over the weights for everybody, on people it had not learnt from."""

    p: float
    """That such a gain is noise, two-sided, times the number of gates tried; 1 where nobody looked."""

    @abstractmethod
    def weights(self, traits: UserFeatures) -> F64:
        """Weights (m, M) ≥ 0 for people with these traits, rows of sum 1."""

    def to_dict(self) -> dict[str, Any]:
        """What a file says: the kind, then what was learnt."""
        return self.to_dict()


class Gate(Spec):
    """How weights follow from traits: one file of `ensemble/gates/` defines one."""

    fitted_type: ClassVar[type[FittedGate]]

    max_p_value: Annotated[float, Field(gt=0, le=1)] = 0.05
    """A gate counts only if its gain on the other half of the people has a p at most this; 1 takes it anyway."""

    @abstractmethod
    def fit(
        self, judge: FusionObjective, points: F32, weights: F64, traits: UserFeatures, ctx: FitContext = FitContext()
    ) -> FittedGate:
        """From the people the judge asks about. `points` (M, c), `weights` (M,) those for everybody, `traits` of all m.

        Without a gain that counts, everybody gets `weights`.
        """


def weighted_scores(judge: FusionObjective, points: F32, weights: F64) -> F64:
    """The scores (c,) of a judge's candidates when person r weighs the members' points (M, c) by weights[r] (M,)."""
    total = np.zeros(points.shape[1])
    for member, own in enumerate(points):
        total += weights[judge.pool.row, member] * own
    return np.where(judge.pool.is_listed(weights), total, -np.inf)


def two_fold_gain(
    judge: FusionObjective, points: F32, weights: F64, teach: Callable[[FusionObjective], F64], ctx: FitContext
) -> tuple[float, float]:
    """(gain, p) of a gate over `weights` (M,): each half of the people is judged by what the other half taught.

    `teach` gives weights (m, M) from the people of a judge. `weights` have seen both halves, so the gate has it hard.
    """
    asked, half = judge.rows[1], ctx.rng(HALF_KEY).random(len(judge.pool)) < 0.5
    before = judge.values(weighted_scores(judge, points, np.broadcast_to(weights, (len(judge.pool), len(weights)))))
    after = np.full(len(before), np.nan)
    for side in (half, ~half):
        others = judge.restrict(asked & ~side).values(
            weighted_scores(judge, points, teach(judge.restrict(asked & side)))
        )
        after = np.where(side, after, others)
    difference = (after - before)[~np.isnan(after) & ~np.isnan(before)]
    return (float(difference.mean()), paired_t(difference)) if len(difference) else (0.0, 1.0)
