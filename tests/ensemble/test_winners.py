"""Users that a member is best for, against counting by hand, and on planted groups."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.candidates.user_features import UserFeatures
from matinee.data import Targets
from matinee.ensemble import CandidatePool
from matinee.ensemble.analysis.winners import member_wins
from matinee.ensemble.objective import FusionObjective
from tests.ensemble.pools import topk, vocabulary


def objective_of(lists, targets):
    m = len(targets)
    vocabularies = (np.arange(m, dtype=np.int32), vocabulary(m), vocabulary(8))
    targets = Targets.from_rows(
        vocabularies[1],
        vocabularies[2],
        vocabularies[0],
        np.arange(m),
        np.array(targets),
        np.zeros(m, dtype=int),
        ("all",),
    )
    pool = CandidatePool.of({f"m{a}": topk([[(i, 1.0)] for i in own], 1, 8) for a, own in enumerate(lists)})
    return FusionObjective(pool, targets, "recall@1")


def test_by_hand():
    """m0 is best for user 0, m1 for user 1; user 2 is tied, and both fail on user 3."""
    objective = objective_of([[1, 5, 3, 5], [6, 2, 3, 6]], [1, 2, 3, 4])
    features = UserFeatures(("age", "same"), np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0], [4.0, 7.0]]))
    one, other = member_wins(objective, features)
    assert (one.member, one.n_users, other.n_users) == ("m0", 1, 1)
    sd = np.std([1, 2, 3, 4])
    assert one.shift == pytest.approx({"age": -1.5 / sd, "same": 0.0})
    assert other.shift == pytest.approx({"age": -0.5 / sd, "same": 0.0})
    assert one.significant == ()
    assert one.text() == "m0 is best for 1 users: no feature differs significantly"


def test_planted_groups_are_found():
    rng = np.random.default_rng(0)
    m = 400
    young = rng.random(m) < 0.5
    targets = np.ones(m, dtype=int)
    lists = [np.where(young, 1, 5), np.where(young, 5, 1)]
    features = UserFeatures(
        ("noise", "young"), np.stack([rng.normal(size=m), young + 0.1 * rng.normal(size=m)], axis=1)
    )
    one, other = member_wins(objective_of(lists, targets), features)
    assert (one.n_users, other.n_users) == (young.sum(), (~young).sum())
    assert one.significant == other.significant == ("young",)
    assert one.shift["young"] > 0.9
    assert other.shift["young"] < -0.9
