"""Every weight search on a planted pattern, and each against an independent solution."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import lsq_linear, minimize

from matinee.contract import FitContext
from matinee.ensemble import RULES, kernels
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.weight_search import WeightSearch
from matinee.ensemble.weight_searches import WEIGHT_SEARCHES
from matinee.errors import SpecError
from tests.ensemble.pools import planted, planted_objective, pool_of, random_lists, random_targets, targets_of

RULE = RULES.get("comb_sum")()
SEARCHES = [kind for kind in WEIGHT_SEARCHES.names() if kind != "fixed"]


def weight_search(kind: str, **options) -> WeightSearch:
    return WEIGHT_SEARCHES.read({"kind": kind, **options}, "test")


@pytest.fixture(scope="module")
def small() -> FusionObjective:
    pool = pool_of(random_lists(4, members=4, n_users=80, items=25), 25, 6)
    return FusionObjective(pool, targets_of(random_targets(4, 80, 25), 25), "ndcg@5")


@pytest.fixture(scope="module")
def pair() -> FusionObjective:
    return planted_objective(planted())


@pytest.mark.parametrize("kind", WEIGHT_SEARCHES.names())
def test_weights_sum_to_1_and_repeat(small, kind):
    points = RULE.points(small.pool)
    before = points.copy()
    found = weight_search(kind).weights(small, points, FitContext(seed=3))
    assert found.shape == (4,)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_array_equal(found, weight_search(kind).weights(small, points, FitContext(seed=3)))
    np.testing.assert_array_equal(points, before)


@pytest.mark.parametrize("kind", SEARCHES)
def test_two_complementary_members_share_the_weight(pair, kind):
    points = RULE.points(pair.pool)
    found = weight_search(kind).weights(pair, points)
    assert 0.35 < found[0] / found[:2].sum() < 0.65
    assert found[:2].sum() > 0.8
    assert pair.value(points, found) > pair.single(points).max() + 0.1


@pytest.mark.parametrize("kind", WEIGHT_SEARCHES.names())
def test_copies_of_one_member(kind):
    objective = planted_objective([planted(n_users=60)[0]] * 3)
    points = RULE.points(objective.pool)
    found = weight_search(kind).weights(objective, points)
    assert found.sum() == pytest.approx(1.0)
    assert objective.value(points, found) == pytest.approx(objective.single(points)[0], rel=1e-12)


@pytest.mark.parametrize(
    "kind", [kind for kind in SEARCHES if kind != "coordinate_ascent"]
)  # its steps do not change a weight without effect
def test_an_empty_member_has_weight_0(kind):
    members = planted(n_users=120, noise=1)
    objective = planted_objective([*members, [[] for _ in members[0]]])
    found = weight_search(kind).weights(objective, RULE.points(objective.pool))
    assert found[3] < 1e-9
    assert found[:2].min() > 0.2


@pytest.mark.parametrize("kind", SEARCHES)
def test_users_that_are_not_selected_do_not_matter(pair, kind):
    """Half of the users have random targets; an objective restricted to the others ignores them."""
    selected = np.arange(len(pair.pool)) % 2 == 0
    rng = np.random.default_rng(1)
    own = pair.target.offsets
    rows = [
        dict.fromkeys(pair.target.item[own[r] : own[r + 1]].tolist(), 0)
        if selected[r]
        else dict.fromkeys(rng.permutation(60)[:4].tolist(), 0)
        for r in range(len(selected))
    ]
    other = FusionObjective(pair.pool, targets_of(rows, 60), pair.metric)
    points = RULE.points(pair.pool)
    one, two = (weight_search(kind).weights(objective.restrict(selected), points) for objective in (pair, other))
    np.testing.assert_array_equal(one, two)


def test_fixed_weights_are_as_written(small):
    points = RULE.points(small.pool)
    assert weight_search("fixed").weights(small, points).tolist() == [0.25] * 4
    assert weight_search("fixed", weight=(1, 0, 2, 1)).weights(small, points).tolist() == [0.25, 0.0, 0.5, 0.25]
    for wrong in ((1, 2), (1, 1, 1, 1, 1), (0, 0, 0, 0)):
        with pytest.raises(SpecError, match="4 members"):
            weight_search("fixed", weight=wrong).weights(small, points)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_best_subset_against_all_subsets(small, most):
    points = RULE.points(small.pool)
    value = {}
    for size in range(1, most + 1):
        for subset in combinations(range(4), size):
            value[subset] = small.value(points, np.isin(np.arange(4), subset) / size)
    best = max(value.values())
    expected = next(subset for subset in value if value[subset] > best - 1e-12)
    found = weight_search("best_subset", max_members=most).weights(small, points)
    assert found.tolist() == [1 / len(expected) if m in expected else 0.0 for m in range(4)]


def test_too_many_subsets_are_refused(small):
    with pytest.raises(SpecError, match=r"of 40 members"):
        weight_search("best_subset").weights(small, np.zeros((40, 3), dtype=np.float32))


def entropy(objective: FusionObjective, points, w, l2: float) -> float:
    """The loss of the header, one user at a time; `w` are weights of the scaled points."""
    sd, losses = points.astype(float).std(axis=1), []
    pool, targets = objective.pool, objective.target
    for r in range(len(pool)):
        own = slice(pool.offsets[r], pool.offsets[r + 1])
        is_target = np.isin(pool.item[own], targets.item[targets.offsets[r] : targets.offsets[r + 1]])
        if is_target.any():
            score = (w / sd) @ points[:, own].astype(float)
            losses.append(np.log(np.exp(score).sum()) - score[is_target].mean())
    return float(np.mean(losses) + l2 * ((w - w.mean()) ** 2).sum())


@pytest.mark.parametrize("l2", [0.001, 0.3])
def test_listnet_is_at_its_minimum(pair, l2):
    points = RULE.points(pair.pool)
    sd = points.astype(float).std(axis=1)
    slow = minimize(
        lambda w: entropy(pair, points, w, l2), np.full(5, 0.5), bounds=[(0, None)] * 5, options={"ftol": 1e-13}
    )
    expected = slow.x / sd / (slow.x / sd).sum()
    np.testing.assert_allclose(weight_search("listnet", l2=l2, steps=500).weights(pair, points), expected, atol=2e-3)


def test_gradient_of_the_cross_entropy(small):
    points, m = RULE.points(small.pool), len(small.pool)
    start, place, _ = small.hit_positions
    weight = np.random.default_rng(0).normal(size=(m, 4))

    def losses(w):
        loss, slope = np.zeros(m), np.zeros((m, 4))
        kernels.cross_entropy(small.rows, points, w, (start, place), loss, slope)
        return loss, slope

    _, slope = losses(weight)
    for a in range(4):
        step = np.zeros(4)
        step[a] = 1e-5
        np.testing.assert_allclose(
            slope[:, a], (losses(weight + step)[0] - losses(weight - step)[0]) / 2e-5, rtol=1e-5, atol=1e-7
        )
    same = losses(weight[:1])[0]
    np.testing.assert_array_equal(same, losses(np.repeat(weight[:1], m, axis=0))[0])


@pytest.mark.parametrize("l2", [0.0, 0.01, 1.0])
def test_stacking_equals_least_squares(small, l2, monkeypatch):
    monkeypatch.setattr("matinee.ensemble.weight_searches.stacking.BLOCK", 7)
    points, pool, targets = RULE.points(small.pool), small.pool, small.target
    sd = points.astype(float).std(axis=1)
    X, y = points.T.astype(float) / sd, np.zeros(len(pool.item))
    for r in range(len(pool)):
        own = slice(pool.offsets[r], pool.offsets[r + 1])
        y[own] = np.isin(pool.item[own], targets.item[targets.offsets[r] : targets.offsets[r + 1]])
        if pool.offsets[r + 1] > pool.offsets[r]:
            X[own] -= X[own].mean(axis=0)
            y[own] -= y[own].mean()
    share = (X**2).sum() / 4
    ridge = np.sqrt(l2 * share) * np.eye(4)
    w = lsq_linear(np.vstack([X, ridge]), np.append(y, np.zeros(4)), (0, np.inf), tol=1e-14).x / sd
    np.testing.assert_allclose(weight_search("stacking", l2=l2).weights(small, points), w / w.sum(), atol=1e-5)


@pytest.mark.parametrize("starts", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_ascent_does_not_end_below_its_start(starts, seed):
    pool = pool_of(random_lists(seed, members=4, n_users=60, items=25), 25, 6)
    objective = FusionObjective(pool, targets_of(random_targets(seed, 60, 25), 25), "ndcg@5")
    points = RULE.points(pool)
    found = weight_search("coordinate_ascent", starts=starts).weights(objective, points, FitContext(seed=seed))
    assert objective.value(points, found) >= objective.value(points, np.ones(4)) - 1e-12


def test_ascent_stops_where_no_step_helps(small):
    points = RULE.points(small.pool)
    found = weight_search("coordinate_ascent", starts=1, rounds=50).weights(small, points)
    value = small.value(points, found)
    for member in np.flatnonzero(found):
        for times in (0.0, 0.25, 0.5, 0.7, 0.85, 1.2, 1.5, 2.0, 4.0):
            other = found.copy()
            other[member] *= times
            assert small.value(points, other) <= value + 1e-6


@pytest.mark.parametrize("metric", ["ndcg@5", "0.5*recall@5+0.5*ndcg@3"])
@pytest.mark.parametrize(("steps", "patience"), [(12, 12), (12, 2), (3, 5)])
def test_greedy_without_bags_equals_its_twin(small, metric, steps, patience):
    points, objective = RULE.points(small.pool), FusionObjective(small.pool, small.target, metric)
    selection: list[int] = []
    best, prefix, idle = -1.0, [], 0
    for _ in range(steps):
        value = [objective.value(points, np.bincount([*selection, a], minlength=4).astype(float)) for a in range(4)]
        selection.append(int(np.argmax(value)))
        if max(value) > best:
            best, prefix, idle = max(value), list(selection), 0
        else:
            idle += 1
            if idle >= patience:
                break
    found = weight_search("greedy", bags=0, steps=steps, patience=patience).weights(objective, points)
    np.testing.assert_allclose(found, np.bincount(prefix, minlength=4) / len(prefix), rtol=1e-12)


def test_other_seeds_draw_other_bags(small):
    points = RULE.points(small.pool)
    one, two = (
        weight_search("greedy", bags=3, user_fraction=0.2).weights(small, points, FitContext(seed=s)) for s in (0, 1)
    )
    assert not np.array_equal(one, two)
