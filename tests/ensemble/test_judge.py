"""What a judge says without making lists equals what `evaluate` says of the fused lists."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.ensemble import RULES, CandidatePool, fuse
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.rule import PointRule
from matinee.errors import DataError
from matinee.metrics import evaluate, profiles
from matinee.topk import TopK
from tests.ensemble.pools import answers_of, drawn, drawn_answers, pool_of

PEOPLE, ITEMS, DEPTH, K = 60, 25, 6, 5
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
    members = drawn(11, members=3, people=PEOPLE, items=ITEMS, depth=DEPTH)
    for empty in (3, 17):  # nobody lists anything
        for member in members:
            member[empty] = []
    return pool_of(members, ITEMS, DEPTH), answers_of(drawn_answers(11, PEOPLE, ITEMS), ITEMS)


def check(values, lists: TopK, answer, metric: str, profile: str, part: str | None = None):
    """Values (m,) of all people against `evaluate`, which leaves those without answers out."""
    found = evaluate(lists, answer, [metric], profile, resamples=2)
    found = found if part is None else found.part(part)
    wanted = np.full(len(answer), np.nan)
    wanted[found.users] = found.per_user(metric)
    np.testing.assert_allclose(values, wanted, rtol=1e-12, atol=0)
    return found[metric]


@pytest.mark.parametrize(("profile", "metric"), PROFILED)
def test_a_judge_agrees_with_evaluate(task, profile, metric):
    pool, answer = task
    judge = FusionObjective(pool, answer, metric, profile)
    points = RULES.get("comb_sum")().points(pool)
    rule = RULES.get("comb_sum")()
    for weights in ([1.0, 1.0, 1.0], [0.2, 0.0, 0.8], [0.0, 1.0, 0.0]):
        scores, lists = rule.scores(pool, np.array(weights)), fuse(rule, pool, weights, K)
        for part in (None, "random", "last"):
            mean = check(judge.values(scores, part), lists, answer, metric, profile, part)
            assert judge.mean(scores, part) == pytest.approx(mean, rel=1e-12)
        assert judge.value(points, np.array(weights)) == pytest.approx(
            evaluate(lists, answer, [metric], profile, resamples=2)[metric], rel=1e-12
        )
    single = [evaluate(fuse(rule, pool, w, K), answer, [metric], profile, resamples=2)[metric] for w in np.eye(3)]
    assert judge.single(points).tolist() == pytest.approx(single, rel=1e-12)


@pytest.mark.parametrize(("profile", "metric"), PROFILED[::3])
def test_trials_are_lists_of_the_sum(task, profile, metric):
    """Many trials of mixed members and weights, 0 among them; what nobody who plays lists stays out."""
    pool, answer = task
    points = RULES.get("comb_sum")().points(pool)
    judge, base = FusionObjective(pool, answer, metric, profile), np.zeros(points.shape[1], dtype=np.float32)
    base += points[1]
    member = np.array([0, 1, 2] * 25)
    weight = np.linspace(0.0, 3.0, len(member)).round(2)
    listed = pool.is_listed(np.array([0.0, 1.0, 0.0]))
    found, open_found = (
        judge.trial_values(base, points, member, weight, listed),
        judge.trial_values(base, points, member, weight),
    )
    for t in (0, 1, 2, 3, 40, 63, 64, 65, 74):
        score = base + np.float32(weight[t]) * points[member[t]]
        whole = evaluate(pool.top(score, K), answer, [metric], profile, resamples=2)[metric]
        assert open_found[t] == pytest.approx(whole, rel=1e-12)
        playing = listed | ((pool.rank[member[t]] > 0) & (weight[t] > 0))
        lists = pool.top(np.where(playing, score, -np.inf), K)
        assert found[t] == pytest.approx(evaluate(lists, answer, [metric], profile, resamples=2)[metric], rel=1e-12)


@pytest.mark.parametrize(("profile", "metric"), [("matinee", BLEND), ("implicit", "precision@5"), ("lenskit", "map@5")])
def test_among_is_a_judge_of_some_people(task, profile, metric):
    pool, answer = task
    rng = np.random.default_rng(2)
    rule, asked = RULES.get("comb_sum")(), rng.random(PEOPLE) < 0.5
    points, judge = rule.points(pool), FusionObjective(pool, answer, metric, profile)
    some = judge.restrict(asked)
    lists = fuse(rule, pool, None, K)
    rows = np.flatnonzero(asked)
    mine = answers_of([_row(answer, r) if asked[r] else {} for r in range(PEOPLE)], ITEMS)
    wanted = evaluate(lists, mine, [metric], profile, resamples=2)[metric]
    assert some.value(points, np.ones(3)) == pytest.approx(wanted, rel=1e-12)
    values = some.values(rule.scores(pool, np.ones(3)))
    np.testing.assert_array_equal(values[rows], judge.values(rule.scores(pool, np.ones(3)))[rows])
    assert np.isnan(values[~asked]).all()
    assert some.hit_positions is judge.hit_positions
    alone = [evaluate(fuse(rule, pool, w, K), mine, [metric], profile, resamples=2)[metric] for w in np.eye(3)]
    assert some.single(points).tolist() == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("kind", RULES.names())
def test_every_rule_is_judged_as_it_lists(task, kind):
    """Ties included, which rules of few different points are full of."""
    pool, answer = task
    rule, judge = RULES.get(kind)(), FusionObjective(pool, answer, "ndcg@5")
    for weights in (np.ones(3), np.array([1.0, 0.0, 2.0])):
        mean = evaluate(fuse(rule, pool, weights, K), answer, ["ndcg@5"], resamples=2)["ndcg@5"]
        assert judge.mean(rule.scores(pool, weights)) == pytest.approx(mean, rel=1e-12)
        if isinstance(rule, PointRule) and not rule.by_votes and (kind != "borda" or weights.all()):
            assert judge.value(rule.points(pool), weights) == pytest.approx(mean, rel=1e-12)


def test_what_is_scored_minus_infinity_is_no_hit():
    pool = pool_of([[[(1, 2.0), (2, 1.0)]]])
    judge = FusionObjective(pool, answers_of([{2: 0}], 12), "recall@5")
    assert judge.values(np.array([1.0, -np.inf])).tolist() == [0.0]
    assert judge.values(np.array([1.0, 0.0])).tolist() == [1.0]


def _row(answer, r: int) -> dict[int, int]:
    own = slice(answer.offsets[r], answer.offsets[r + 1])
    return dict(zip(answer.item[own].tolist(), answer.part[own].tolist(), strict=True))


def test_what_is_refused(task):
    pool, answer = task
    with pytest.raises(DataError, match=r"coverage@5 is no metric of a person"):
        FusionObjective(pool, answer, "coverage@5")
    fewer = answers_of([{1: 0}], ITEMS)
    turned = answers_of([{1: 0}] * PEOPLE, ITEMS, user=range(PEOPLE - 1, -1, -1))
    for wrong in (fewer, turned):
        with pytest.raises(DataError, match="the same people in the same rows"):
            FusionObjective(pool, wrong, "recall@5")
    with pytest.raises(DataError, match="encode items differently"):
        FusionObjective(pool, answers_of([{1: 0}] * PEOPLE, ITEMS + 1), "recall@5")


def test_new_people_are_judged_by_their_row():
    lists = pool_of([[[(1, 2.0)], [(2, 1.0)]]]).lists[0]
    new = TopK(np.full(2, -1, dtype=np.int32), lists.item, lists.score, lists.users, lists.items)
    judge = FusionObjective(CandidatePool.of({"a": new}), answers_of([{2: 0}, {2: 0}], 12), "hit@1")
    assert judge.single(np.ones((1, 2), dtype=np.float32)).tolist() == [0.5]
