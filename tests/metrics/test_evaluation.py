"""Matching of lists and targets, exclusions, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lists_and_targets import lists_of, random_case, targets_of, vocabulary

from matinee.data import Targets
from matinee.errors import DataError, SpecError, UnknownNameError
from matinee.metrics import check_metrics, evaluate
from matinee.metrics.catalogue import count_exposure
from matinee.metrics.hits import find_hits
from matinee.topk import TopK

ALL = ["recall@10", "precision@10", "hit@10", "ndcg@10", "map@10", "mrr@10", "0.5*recall@5+0.5*ndcg@3"]


def _reordered(lists: TopK, rows: np.ndarray) -> TopK:
    return TopK(lists.user[rows], lists.item[rows], lists.score[rows], lists.users, lists.items)


def test_users_are_matched_by_code():
    lists = lists_of({4: [1], 2: [2], 7: [3]}, 1, 9, 9)
    target_items = targets_of({7: {3: 0}, 1: {5: 0}, 4: {8: 0}, 2: {}}, ("last",), 9, 9)
    found = evaluate(lists, target_items, ["recall@1"])
    assert found.users.tolist() == [1, 4, 7]
    assert found.per_user("recall@1").tolist() == [0.0, 0.0, 1.0]
    assert (found.n_users, found.n_without_targets, found.n_without_list) == (3, 1, 1)
    assert found["recall@1"] == pytest.approx(1 / 3)


def test_lists_without_targets_are_excluded():
    lists = lists_of({0: [1], 1: [1], 2: [1]}, 1, 4, 4)
    target_items = targets_of({0: {1: 0}, 1: {}}, ("last",), 4, 4)
    found = evaluate(lists, target_items, ["recall@1", "coverage@1"])
    assert found["recall@1"] == 1.0
    assert (found.n_users, found.n_without_targets, found.n_without_list) == (1, 2, 0)


def test_new_users_are_matched_by_position():
    lists = lists_of({0: [1, 2], 1: [3, 4]}, 2, 2, 9)
    target_items = targets_of({0: {2: 0}, 1: {8: 0}}, ("last",), 0, 9, new=True)
    lists = TopK(np.full(2, -1, dtype=np.int32), lists.item, lists.score, target_items.users, lists.items)
    assert evaluate(lists, target_items, ["mrr@2"]).per_user("mrr@2").tolist() == [0.5, 0.0]
    with pytest.raises(DataError, match="new users"):
        evaluate(_reordered(lists, np.array([0])), target_items, ["mrr@2"])


def test_short_empty_and_missing_lists():
    rows = {0: [5], 1: [], 3: [6, 5, 7]}
    target_items = targets_of({key: {5: 0, 6: 0} for key in range(4)}, ("last",), 4, 9)
    found = evaluate(lists_of(rows, 3, 4, 9), target_items, ["recall@3", "precision@3", "ndcg@3", "mrr@3", "map@3"])
    assert found.per_user("recall@3").tolist() == [0.5, 0.0, 0.0, 1.0]
    assert found.per_user("precision@3") == pytest.approx([1 / 3, 0, 0, 2 / 3])
    assert found.per_user("map@3").tolist() == [0.5, 0.0, 0.0, 1.0]
    assert found.n_without_list == 2
    left = evaluate(lists_of(rows, 3, 4, 9), target_items, ["recall@3"], profile="recommenders")
    assert np.isnan(left.per_user("recall@3")).tolist() == [False, True, True, False]
    assert left["recall@3"] == 0.75
    assert left.n_users == 4


def test_an_item_listed_twice_counts_once():
    target_items = targets_of({0: {5: 0, 6: 0}}, ("last",), 1, 9)
    found = evaluate(lists_of({0: [5, 5, 5]}, 3, 1, 9), target_items, ["recall@3", "precision@3", "map@3"])
    assert found["recall@3"] == 0.5
    assert found["precision@3"] == pytest.approx(1 / 3)
    assert found["map@3"] == 0.5


def test_metrics_read_the_order_only():
    """A metric reads the order of the list and never the scores."""
    *_, topk, targets = random_case(3)
    flat = TopK(topk.user, topk.item, np.zeros_like(topk.score), topk.users, topk.items)
    for name in ALL:
        assert evaluate(flat, targets, ALL)[name] == evaluate(topk, targets, ALL)[name]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_rows_does_not_matter(seed: int):
    _lists, target_items, topk, targets = random_case(seed)
    if not any(target_items.values()):
        return
    shuffled = dict(sorted(target_items.items()))
    first = evaluate(topk, targets, ALL, seed=seed)
    reordered = evaluate(
        _reordered(topk, np.random.default_rng(seed).permutation(len(topk))),
        targets_of(shuffled, ("random", "last"), 40, 30),
        ALL,
        seed=seed,
    )
    assert first.users.tolist() == reordered.users.tolist()
    for name in ALL:
        np.testing.assert_array_equal(first.per_user(name), reordered.per_user(name))
        assert first[name] == reordered[name]
        assert first.interval(name) == reordered.interval(name)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_parts_add_up(seed: int):
    """Hits, precision and targets of the parts sum to the whole; each part equals its own evaluation."""
    lists, target_items, topk, targets = random_case(seed)
    row = np.arange(len(targets))
    place = np.full(40, -1)
    place[topk.user] = np.arange(len(topk))
    hit_table = find_hits(topk.item, place[targets.user], targets, row)
    whole, n_whole, _ = hit_table.cut(10, None)
    parts = [hit_table.cut(10, p) for p in (0, 1)]
    np.testing.assert_array_equal(sum(hits.astype(int) for hits, _, _ in parts), whole.astype(int))
    np.testing.assert_array_equal(sum(n for _, n, _ in parts), n_whole)
    for r, user in enumerate(targets.user.tolist()):
        for j, item in enumerate(lists.get(user, [])):
            assert hit_table.label[r, j] == target_items[user].get(item, -1)
    if not all(any(p in row.values() for row in target_items.values()) for p in (0, 1)):
        return
    found = evaluate(topk, targets, ALL)
    for part in targets.parts:
        single = evaluate(topk, targets.select_part(part), ALL)
        for name in ALL:
            assert found.part(part)[name] == pytest.approx(single[name], abs=1e-12)
            np.testing.assert_array_equal(found.part(part).per_user(name), single.per_user(name))
    total = sum(found.part(p)["precision@10"] * found.part(p).n_users for p in targets.parts)
    assert total == pytest.approx(found["precision@10"] * found.n_users)


def test_counts_of_a_part():
    lists = lists_of({0: [1], 1: [2]}, 1, 4, 4)
    target_items = targets_of({0: {1: 0}, 1: {2: 1}, 2: {3: 1}, 3: {}}, ("random", "last"), 4, 4)
    last = evaluate(lists, target_items, ["recall@1", "coverage@1"]).part("last")
    assert (last.n_users, last.n_without_targets, last.n_without_list) == (2, 2, 1)
    assert last.names == ("recall@1",)
    assert last["recall@1"] == 0.5


def test_the_frame():
    *_, topk, targets = random_case(1)
    found = evaluate(topk, targets, ["recall@10", "coverage@10", "ndcg@5"])
    frame = found.frame()
    assert frame.columns == ["metric", "part", "mean", "low", "high", "users"]
    assert frame.select("metric", "part").rows() == [
        ("recall@10", "all"),
        ("coverage@10", "all"),
        ("ndcg@5", "all"),
        *((m, p) for p in ("random", "last") for m in ("recall@10", "ndcg@5")),
    ]
    assert frame["low"].null_count() == frame["high"].null_count() == 1
    row = frame.row(5, named=True)
    assert row["mean"] == found.part("last")["recall@10"]
    assert (row["low"], row["high"]) == found.part("last").interval("recall@10")
    assert row["low"] < row["mean"] < row["high"]
    assert found.part("last").frame().height == 2


def test_one_part_is_not_reported_twice():
    target_items = targets_of({0: {1: 0}}, ("last",), 1, 4)
    found = evaluate(lists_of({0: [1]}, 1, 1, 4), target_items, ["recall@1"])
    assert found.frame().rows() == [("recall@1", "all", 1.0, 1.0, 1.0, 1)]
    assert found.part("last")["recall@1"] == 1.0


def test_a_part_without_targets():
    target_items = targets_of({0: {1: 0}}, ("random", "last"), 1, 4)
    last = evaluate(lists_of({0: [1]}, 1, 1, 4), target_items, ["recall@1"]).part("last")
    assert math.isnan(last["recall@1"])
    assert last.n_users == 0
    assert last.frame()["mean"].to_list() == [None]


def test_only_parts_with_targets_are_listed():
    parts = ("random", "last", "new")
    lists = lists_of({0: [1]}, 1, 1, 4)
    one = evaluate(lists, targets_of({0: {1: 0}}, parts, 1, 4), ["recall@1"])
    assert one.frame()["part"].to_list() == ["all"]
    two = evaluate(lists, targets_of({0: {1: 0, 2: 2}}, parts, 1, 4), ["recall@1"])
    assert two.frame()["part"].to_list() == ["all", "random", "new"]


def test_an_empty_set_of_lists():
    """An empty set of lists: all users have an empty list."""
    topk = lists_of({}, 3, 4, 4)
    found = evaluate(topk, targets_of({0: {1: 0}}, ("last",), 4, 4), ["recall@3", "coverage@3", "gini@3"])
    assert found["recall@3"] == 0.0
    assert found["coverage@3"] == 0.0
    assert math.isnan(found["gini@3"])
    assert found.n_without_list == 1


def test_the_catalogue_counts_every_list():
    *_, topk, targets = random_case(2)
    found = evaluate(topk, targets, ["coverage@10"])
    assert found["coverage@10"] == (count_exposure(topk.item, 10, 30) > 0).mean()
    assert all(map(math.isnan, found.interval("coverage@10")))
    with pytest.raises(SpecError, match="one number from all lists"):
        found.per_user("coverage@10")


def test_refusals():
    _, target_items, topk, targets = random_case(4)
    with pytest.raises(SpecError, match=r"recall@11 reads 11 items, the lists have 10.*Make lists of 11"):
        evaluate(topk, targets, ["recall@11"])
    with pytest.raises(SpecError, match="Make lists of 25"):
        check_metrics(["0.5*recall@25+0.5*ndcg@10"], "matinee", 10)
    with pytest.raises(UnknownNameError):
        evaluate(topk, targets, ["recall@10"])["ndcg@10"]
    with pytest.raises(UnknownNameError, match="did you mean 'last'"):
        evaluate(topk, targets, ["recall@10"]).part("lsat")
    for users, items, what in ((41, 30, "users"), (40, 31, "items")):
        with pytest.raises(DataError, match=f"encode {what} differently"):
            evaluate(topk, targets_of(target_items, ("random", "last"), users, items), ["recall@10"])
    with pytest.raises(DataError, match="user twice"):
        evaluate(_reordered(topk, np.array([0, 0])), targets, ["recall@10"])
    no_targets = Targets.from_rows(topk.users, topk.items, topk.user, *[np.zeros(0, dtype=np.int64)] * 3, ("last",))
    with pytest.raises(DataError, match="no user has a target"):
        evaluate(topk, no_targets, ["recall@10"])


def test_equal_vocabularies_need_not_be_one_object():
    *_, topk, targets = random_case(5)
    other = TopK(topk.user, topk.item, topk.score, vocabulary(40), vocabulary(30))
    assert evaluate(other, targets, ["recall@10"])["recall@10"] == evaluate(topk, targets, ["recall@10"])["recall@10"]


def test_a_repeated_or_single_name():
    *_, topk, targets = random_case(6)
    assert evaluate(topk, targets, ["recall@10", "Recall@10"]).names == ("recall@10",)
    assert evaluate(topk, targets, "recall@10").names == ("recall@10",)
