"""Numbers worked by hand, and two independent libraries on random lists."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lists_and_targets import lists_of, random_case, targets_of

from matinee.errors import DataError
from matinee.metrics import evaluate
from matinee.metrics.catalogue import count_exposure, coverage, gini, mean_popularity

LOG3 = math.log2(3)


@pytest.fixture
def worked():
    """User 0: 2 targets, hits at ranks 1 and 3. User 1: 5 targets, hit at rank 2 of 2 items. User 2: no hit."""
    lists = lists_of({0: [7, 1, 8, 2], 1: [1, 3], 2: [0, 1, 2, 3]}, 4, 3, 10)
    target_items = targets_of(
        {0: {7: 0, 8: 1}, 1: {3: 1, 4: 0, 5: 0, 6: 0, 9: 1}, 2: {9: 0}}, ("random", "last"), 3, 10
    )
    return lists, target_items


@pytest.mark.parametrize(
    ("metric", "profile", "expected"),
    [
        ("recall@4", "matinee", [1.0, 1 / 4, 0.0]),
        ("recall@4", "plain", [1.0, 1 / 5, 0.0]),
        ("recall@1", "matinee", [1.0, 0.0, 0.0]),
        ("recall@1", "plain", [1 / 2, 0.0, 0.0]),
        ("precision@4", "matinee", [1 / 2, 1 / 4, 0.0]),
        ("precision@4", "lenskit", [1 / 2, 1 / 2, 0.0]),
        ("hit@4", "matinee", [1.0, 1.0, 0.0]),
        ("hit@1", "matinee", [1.0, 0.0, 0.0]),
        ("mrr@4", "matinee", [1.0, 1 / 2, 0.0]),
        ("map@4", "matinee", [(1 + 2 / 3) / 2, (1 / 2) / 4, 0.0]),
        ("map@4", "rectools", [(1 + 2 / 3) / 2, (1 / 2) / 5, 0.0]),
        ("map@4", "lenskit", [(1 + 2 / 3) / 2, (1 / 2) / 2, 0.0]),
        ("ndcg@2", "matinee", [1 / (1 + 1 / LOG3), (1 / LOG3) / (1 + 1 / LOG3), 0.0]),
        ("ndcg@3", "matinee", [1.5 / (1 + 1 / LOG3), (1 / LOG3) / (1.5 + 1 / LOG3), 0.0]),
        ("ndcg@3", "rectools", [1.5 / (1.5 + 1 / LOG3), (1 / LOG3) / (1.5 + 1 / LOG3), 0.0]),
        ("ndcg@4", "irspack", [1.5 / (1 + 1 / LOG3), (1 / LOG3) / (1 + 1 / LOG3), 0.0]),
        ("ndcg@3", "lenskit", [(1 + 1 / LOG3) / 2, 1 / (2 + 1 / LOG3), 0.0]),
    ],
)
def test_worked_by_hand(worked, metric: str, profile: str, expected: list[float]):
    found = evaluate(*worked, [metric], profile=profile)
    np.testing.assert_allclose(found.per_user(metric), expected, atol=1e-15)
    assert found[metric] == pytest.approx(sum(expected) / 3)


def test_the_parts_by_hand(worked):
    found = evaluate(*worked, ["recall@4", "ndcg@4", "mrr@4"])
    last = found.part("last")
    assert last.users.tolist() == [0, 1]
    assert last.per_user("recall@4").tolist() == [1.0, 1 / 2]
    assert last.per_user("mrr@4").tolist() == [1 / 3, 1 / 2]
    assert last.per_user("ndcg@4")[0] == pytest.approx(1 / 2)
    assert found.part("random").per_user("recall@4").tolist() == [1.0, 0.0, 0.0]


def test_the_micro_average_by_hand(worked):
    found = evaluate(*worked, ["precision@4"], profile="implicit")
    assert found["precision@4"] == pytest.approx((2 + 1 + 0) / (2 + 4 + 1))


def test_a_blend_is_the_weighted_sum(worked):
    found = evaluate(*worked, ["0.75*recall@4+0.25*mrr@4"])
    assert found.per_user("0.75*recall@4+0.25*mrr@4") == pytest.approx([1.0, 0.75 / 4 + 0.125, 0.0])
    assert found["0.75*recall@4 + 0.25*mrr@4"] == pytest.approx((1.0 + 0.75 / 4 + 0.125) / 3)
    assert found["recall@4"] == pytest.approx(1.25 / 3)


def test_the_catalogue_by_hand(worked):
    popularity = np.arange(10) * 10.0
    found = evaluate(*worked, ["coverage@4", "gini@4", "popularity@4", "coverage@1"], popularity=popularity)
    listed = [7, 1, 8, 2, 1, 3, 0, 1, 2, 3]
    assert found["coverage@4"] == len(set(listed)) / 10
    assert found["coverage@1"] == 3 / 10
    assert found["popularity@4"] == pytest.approx(10 * sum(listed) / 10)
    counts = [listed.count(i) for i in range(10)]
    pairs = sum(abs(a - b) for a in counts for b in counts)
    assert found["gini@4"] == pytest.approx(pairs / (2 * 10 * sum(counts)))


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_gini_is_half_the_relative_mean_difference(counts: list[int]):
    exposure = np.array(counts)
    found = gini(exposure, np.empty(0))
    if not sum(counts):
        assert math.isnan(found)
        return
    pairs = sum(abs(a - b) for a in counts for b in counts)
    assert found == pytest.approx(pairs / (2 * len(counts) * sum(counts)), abs=1e-12)


def test_catalogue_corner_cases():
    assert gini(np.full(7, 3), np.empty(0)) == 0.0
    assert gini(np.array([0] * 99 + [5]), np.empty(0)) == pytest.approx(0.99)
    assert coverage(np.zeros(4, dtype=np.int64), np.empty(0)) == 0.0
    assert math.isnan(mean_popularity(np.zeros(4, dtype=np.int64), np.ones(4)))
    assert count_exposure(np.array([[3, 1], [3, -1]], dtype=np.int32), 1, 4).tolist() == [0, 0, 0, 2]


def test_popularity_is_required(worked):
    with pytest.raises(DataError, match="no popularity"):
        evaluate(*worked, ["popularity@4"])
    with pytest.raises(DataError, match="popularity of 3 items"):
        evaluate(*worked, ["popularity@4"], popularity=np.ones(3))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_ranx_agrees(seed: int):
    from ranx import Qrels, Run
    from ranx import evaluate as measure

    lists, target_items, topk, targets = random_case(seed)
    if not any(lists[u] for u in lists if target_items[u]):
        return
    qrels = Qrels({str(u): {str(i): 1 for i in row} for u, row in target_items.items() if row})
    run = Run({str(u): {str(i): 50.0 - r for r, i in enumerate(row)} for u, row in lists.items() if row})
    theirs = {
        "recall": "recall",
        "precision": "precision",
        "hit": "hit_rate",
        "ndcg": "ndcg",
        "map": "map",
        "mrr": "mrr",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = measure(
            qrels, run, [f"{name}@{k}" for name in theirs.values() for k in (3, 10)], make_comparable=True
        )
    ours = evaluate(topk, targets, [f"{name}@{k}" for name in theirs for k in (3, 10)], profile="ranx")
    for name, other in theirs.items():
        for k in (3, 10):
            assert ours[f"{name}@{k}"] == pytest.approx(numbers[f"{other}@{k}"], abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_ir_measures_agrees(seed: int):
    import ir_measures
    from ir_measures import AP, RR, P, R, Success, nDCG

    lists, target_items, topk, targets = random_case(seed, n_users=60)
    qrels = [ir_measures.Qrel(str(u), str(i), 1) for u, row in target_items.items() for i in row]
    run = [ir_measures.ScoredDoc(str(u), str(i), 50.0 - r) for u, row in lists.items() for r, i in enumerate(row[:10])]
    pairs = {"recall": R @ 10, "precision": P @ 10, "hit": Success @ 10, "map": AP @ 10, "mrr": RR @ 10}
    ours = evaluate(topk, targets, [*(f"{name}@10" for name in pairs), "ndcg@10"], profile="rectools")
    theirs = ir_measures.calc_aggregate([*pairs.values(), nDCG @ 10], qrels, run)
    for name, measure in pairs.items():
        assert ours[f"{name}@10"] == pytest.approx(theirs[measure], abs=1e-9), name
    assert evaluate(topk, targets, ["ndcg@10"])["ndcg@10"] == pytest.approx(theirs[nDCG @ 10], abs=1e-9)
