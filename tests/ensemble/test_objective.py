"""An objective, which builds no lists, equals `evaluate` on the fused lists."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.ensemble import RULES, CandidatePool, fuse
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.rule import PointRule
from matinee.errors import DataError
from matinee.metrics import evaluate, profiles
from matinee.topk import TopK
from tests.ensemble.pools import pool_of, random_lists, random_targets, targets_of

N_USERS, ITEMS, DEPTH, K = 60, 25, 6, 5
BLEND = "0.5*recall@5+0.3*ndcg@3+0.2*map@4"
PROFILED = [(one.name, f"{metric}@{K}") for one in profiles() for metric in one.formulas] + [
    ("matinee", BLEND),
    ("plain", BLEND),
    ("implicit", "0.5*precision@5+0.5*ndcg@3"),
    ("implicit", "0.5*precision@5+0.5*precision@2"),
    ("recommenders", "0.5*recall@5+0.5*ndcg@5"),
    ("lenskit", "0.5*precision@5+0.5*map@2"),
]


@pytest.fixture(scope="module")
def task():
    members = random_lists(11, members=3, n_users=N_USERS, items=ITEMS, depth=DEPTH)
    for empty in (3, 17):  # empty lists of all members
        for member in members:
            member[empty] = []
    return pool_of(members, ITEMS, DEPTH), targets_of(random_targets(11, N_USERS, ITEMS), ITEMS)


def check(values, lists: TopK, targets, metric: str, profile: str, part: str | None = None):
    """Values (m,) of all users against `evaluate`, which excludes users without targets."""
    found = evaluate(lists, targets, [metric], profile, resamples=2)
    found = found if part is None else found.part(part)
    expected = np.full(len(targets), np.nan)
    expected[found.users] = found.per_user(metric)
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=0)
    return found[metric]


@pytest.mark.parametrize(("profile", "metric"), PROFILED)
def test_an_objective_equals_evaluate(task, profile, metric):
    pool, targets = task
    objective = FusionObjective(pool, targets, metric, profile)
    points = RULES.get("comb_sum")().points(pool)
    rule = RULES.get("comb_sum")()
    for weights in ([1.0, 1.0, 1.0], [0.2, 0.0, 0.8], [0.0, 1.0, 0.0]):
        scores, lists = rule.scores(pool, np.array(weights)), fuse(rule, pool, weights, K)
        for part in (None, "random", "last"):
            mean = check(objective.values(scores, part), lists, targets, metric, profile, part)
            assert objective.mean(scores, part) == pytest.approx(mean, rel=1e-12)
        assert objective.value(points, np.array(weights)) == pytest.approx(
            evaluate(lists, targets, [metric], profile, resamples=2)[metric], rel=1e-12
        )
    single = [evaluate(fuse(rule, pool, w, K), targets, [metric], profile, resamples=2)[metric] for w in np.eye(3)]
    assert objective.single(points).tolist() == pytest.approx(single, rel=1e-12)


@pytest.mark.parametrize(("profile", "metric"), PROFILED[::3])
def test_trials_are_lists_of_the_sum(task, profile, metric):
    """Many trials of mixed members and weights, some 0; candidates without an active member are excluded."""
    pool, targets = task
    points = RULES.get("comb_sum")().points(pool)
    objective, base = FusionObjective(pool, targets, metric, profile), np.zeros(points.shape[1], dtype=np.float32)
    base += points[1]
    member = np.array([0, 1, 2] * 25)
    weight = np.linspace(0.0, 3.0, len(member)).round(2)
    listed = pool.is_listed(np.array([0.0, 1.0, 0.0]))
    found, open_found = (
        objective.trial_values(base, points, member, weight, listed),
        objective.trial_values(base, points, member, weight),
    )
    for t in (0, 1, 2, 3, 40, 63, 64, 65, 74):
        score = base + np.float32(weight[t]) * points[member[t]]
        whole = evaluate(pool.top(score, K), targets, [metric], profile, resamples=2)[metric]
        assert open_found[t] == pytest.approx(whole, rel=1e-12)
        is_listed = listed | ((pool.rank[member[t]] > 0) & (weight[t] > 0))
        lists = pool.top(np.where(is_listed, score, -np.inf), K)
        assert found[t] == pytest.approx(evaluate(lists, targets, [metric], profile, resamples=2)[metric], rel=1e-12)


@pytest.mark.parametrize(("profile", "metric"), [("matinee", BLEND), ("implicit", "precision@5"), ("lenskit", "map@5")])
def test_restrict_equals_evaluating_some_users(task, profile, metric):
    pool, targets = task
    rng = np.random.default_rng(2)
    rule, selected = RULES.get("comb_sum")(), rng.random(N_USERS) < 0.5
    points, objective = rule.points(pool), FusionObjective(pool, targets, metric, profile)
    restricted = objective.restrict(selected)
    lists = fuse(rule, pool, None, K)
    rows = np.flatnonzero(selected)
    selected_targets = targets_of([_row(targets, r) if selected[r] else {} for r in range(N_USERS)], ITEMS)
    expected = evaluate(lists, selected_targets, [metric], profile, resamples=2)[metric]
    assert restricted.value(points, np.ones(3)) == pytest.approx(expected, rel=1e-12)
    values = restricted.values(rule.scores(pool, np.ones(3)))
    np.testing.assert_array_equal(values[rows], objective.values(rule.scores(pool, np.ones(3)))[rows])
    assert np.isnan(values[~selected]).all()
    assert restricted.hit_positions is objective.hit_positions
    single = [
        evaluate(fuse(rule, pool, w, K), selected_targets, [metric], profile, resamples=2)[metric] for w in np.eye(3)
    ]
    assert restricted.single(points).tolist() == pytest.approx(single, rel=1e-12)


@pytest.mark.parametrize("kind", RULES.names())
def test_every_rule_is_evaluated_as_it_lists(task, kind):
    """Including ties, which are frequent with few different points."""
    pool, targets = task
    rule, objective = RULES.get(kind)(), FusionObjective(pool, targets, "ndcg@5")
    for weights in (np.ones(3), np.array([1.0, 0.0, 2.0])):
        mean = evaluate(fuse(rule, pool, weights, K), targets, ["ndcg@5"], resamples=2)["ndcg@5"]
        assert objective.mean(rule.scores(pool, weights)) == pytest.approx(mean, rel=1e-12)
        if isinstance(rule, PointRule) and not rule.by_votes and (kind != "borda" or weights.all()):
            assert objective.value(rule.points(pool), weights) == pytest.approx(mean, rel=1e-12)


def test_a_score_of_minus_infinity_is_no_hit():
    pool = pool_of([[[(1, 2.0), (2, 1.0)]]])
    objective = FusionObjective(pool, targets_of([{2: 0}], 12), "recall@5")
    assert objective.values(np.array([1.0, -np.inf])).tolist() == [0.0]
    assert objective.values(np.array([1.0, 0.0])).tolist() == [1.0]


def _row(targets, r: int) -> dict[int, int]:
    own = slice(targets.offsets[r], targets.offsets[r + 1])
    return dict(zip(targets.item[own].tolist(), targets.part[own].tolist(), strict=True))


def test_refusals(task):
    pool, targets = task
    with pytest.raises(DataError, match=r"coverage@5 has no value per user"):
        FusionObjective(pool, targets, "coverage@5")
    fewer = targets_of([{1: 0}], ITEMS)
    turned = targets_of([{1: 0}] * N_USERS, ITEMS, user=range(N_USERS - 1, -1, -1))
    for wrong in (fewer, turned):
        with pytest.raises(DataError, match="the same users in the same rows"):
            FusionObjective(pool, wrong, "recall@5")
    with pytest.raises(DataError, match="encode items differently"):
        FusionObjective(pool, targets_of([{1: 0}] * N_USERS, ITEMS + 1), "recall@5")


def test_new_users_are_matched_by_row():
    lists = pool_of([[[(1, 2.0)], [(2, 1.0)]]]).lists[0]
    new = TopK(np.full(2, -1, dtype=np.int32), lists.item, lists.score, lists.users, lists.items)
    objective = FusionObjective(CandidatePool.of({"a": new}), targets_of([{2: 0}, {2: 0}], 12), "hit@1")
    assert objective.single(np.ones((1, 2), dtype=np.float32)).tolist() == [0.5]
