"""Whom a member wins, against counting by hand, and a planted kind of people."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.candidates.user_features import UserFeatures
from matinee.data import Targets
from matinee.ensemble import CandidatePool
from matinee.ensemble.analysis.winners import member_wins
from matinee.ensemble.objective import FusionObjective
from tests.ensemble.pools import topk, vocabulary


def judged(lists, answers):
    m = len(answers)
    answer = Targets.from_rows(
        vocabulary(m),
        vocabulary(8),
        np.arange(m, dtype=np.int32),
        np.arange(m),
        np.array(answers),
        np.zeros(m, dtype=int),
        ("all",),
    )
    pool = CandidatePool.of({f"m{a}": topk([[(i, 1.0)] for i in own], 1, 8) for a, own in enumerate(lists)})
    return FusionObjective(pool, answer, "recall@1")


def test_by_hand():
    """Person 0 is won by m0, 1 by m1, 2 is shared, 3 lost by both."""
    judge = judged([[1, 5, 3, 5], [6, 2, 3, 6]], [1, 2, 3, 4])
    traits = UserFeatures(("age", "same"), np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0], [4.0, 7.0]]))
    one, other = member_wins(judge, traits)
    assert (one.member, one.n_users, other.n_users) == ("m0", 1, 1)
    sd = np.std([1, 2, 3, 4])
    assert one.away == pytest.approx({"age": -1.5 / sd, "same": 0.0})
    assert other.away == pytest.approx({"age": -0.5 / sd, "same": 0.0})
    assert one.clear == ()
    assert one.text() == "m0 wins 1 people: no trait tells them apart"


def test_planted_kinds_are_told_apart():
    rng = np.random.default_rng(0)
    m = 400
    young = rng.random(m) < 0.5
    answers = np.ones(m, dtype=int)
    lists = [np.where(young, 1, 5), np.where(young, 5, 1)]
    traits = UserFeatures(("noise", "young"), np.stack([rng.normal(size=m), young + 0.1 * rng.normal(size=m)], axis=1))
    one, other = member_wins(judged(lists, answers), traits)
    assert (one.n_users, other.n_users) == (young.sum(), (~young).sum())
    assert one.clear == other.clear == ("young",)
    assert one.away["young"] > 0.9
    assert other.away["young"] < -0.9
