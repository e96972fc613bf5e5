"""Candidates and ranks against sets and lists, matching of users, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.ensemble import CandidatePool
from matinee.errors import DataError, InsufficientMemoryError, SpecError
from tests.ensemble.pools import pool_of, random_lists, some_of, topk


def plain(pool: CandidatePool) -> list[dict[int, list[int]]]:
    """Item → its rank with every member, user by user."""
    return [
        {int(pool.item[c]): pool.rank[:, c].tolist() for c in range(pool.offsets[r], pool.offsets[r + 1])}
        for r in range(len(pool))
    ]


def slow(members, depth=None) -> list[dict[int, list[int]]]:
    found = []
    for r in range(len(members[0])):
        rows = [[i for i, _ in member[r]][:depth] for member in members]
        everything = sorted({i for row in rows for i in row})
        found.append({i: [row.index(i) + 1 if i in row else 0 for row in rows] for i in everything})
    return found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n_users=st.integers(1, 90), depth=st.sampled_from([None, 1, 3, 50]))
def test_candidates_are_the_union_of_the_lists(seed, n_users, depth):
    members = random_lists(seed, members=1 + seed % 4, n_users=n_users)
    pool = CandidatePool.of({f"m{a}": topk(one, 6, 12) for a, one in enumerate(members)}, depth)
    assert plain(pool) == slow(members, depth)
    assert all(list(row) == sorted(row) for row in plain(pool))
    assert pool.names == tuple(f"m{a}" for a in range(len(members)))
    assert pool.row.tolist() == [r for r, row in enumerate(plain(pool)) for _ in row]


def test_an_item_listed_twice_counts_at_its_first_place():
    pool = pool_of([[[(3, 9.0), (5, 8.0), (3, 7.0), (4, 6.0)]]])
    assert plain(pool) == [{3: [1], 4: [4], 5: [2]}]


def test_lists_of_different_depth():
    pool = CandidatePool.of({"a": topk([[(1, 1.0)]], 1, 9), "b": topk([[(2, 2.0), (1, 1.0), (8, 0.0)]], 3, 9)}, 2)
    assert plain(pool) == [{1: [1, 2], 2: [0, 1]}]


def test_users_are_matched_by_code_and_may_be_missing():
    first = topk([[(1, 1.0)], [(2, 1.0)], [(3, 1.0)]], 2, 9, user=[4, 0, 2], n_users=6)
    other = topk([[(7, 1.0)], [(8, 2.0), (3, 1.0)]], 2, 9, user=[5, 2], n_users=6)
    pool = CandidatePool.of({"first": first, "other": other})
    assert pool.user.tolist() == [4, 0, 2]
    assert plain(pool) == [{1: [1, 0]}, {2: [1, 0]}, {3: [1, 2], 8: [0, 1]}]
    assert np.isneginf(pool.lists[1].score[:2]).all()
    assert pool.lists[1].score[2].tolist() == [2.0, 1.0]


def test_new_users_are_matched_by_position():
    one = topk([[(1, 1.0)], [(2, 1.0)]], 1, 9, user=[-1, 3], n_users=4)
    other = topk([[(5, 1.0)], [(6, 1.0)]], 1, 9, user=[-1, 3], n_users=4)
    assert plain(CandidatePool.of({"a": one, "b": other})) == [{1: [1, 0], 5: [0, 1]}, {2: [1, 0], 6: [0, 1]}]
    turned = topk([[(6, 1.0)], [(5, 1.0)]], 1, 9, user=[3, -1], n_users=4)
    with pytest.raises(DataError, match="'b' lists other rows, some of them of new users"):
        CandidatePool.of({"a": one, "b": turned})


def test_refusals(monkeypatch):
    one = topk([[(1, 1.0)]], 1, 9)
    with pytest.raises(SpecError, match="no members"):
        CandidatePool.of({})
    for other in (topk([[(1, 1.0)]], 1, 10), topk([[(1, 1.0)]], 1, 9, n_users=2)):
        with pytest.raises(DataError, match="the lists of 'b' encode users or items differently"):
            CandidatePool.of({"a": one, "b": other})
    monkeypatch.setattr("matinee.candidates.pool.free_memory", lambda: 10)
    with pytest.raises(InsufficientMemoryError, match="1 members and 1 candidates"):
        CandidatePool.of({"a": one})


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_some_users_and_some_members(seed):
    members = random_lists(seed)
    pool, rng = pool_of(members), np.random.default_rng(seed)
    which = np.flatnonzero(rng.random(len(pool)) < 0.5)
    selected = pool.select_rows(which)
    assert plain(selected) == [slow(members)[r] for r in which]
    assert selected.user.tolist() == which.tolist()
    for one, whole in zip(selected.lists, pool.lists, strict=True):
        np.testing.assert_array_equal(one.item, whole.item[which])
        np.testing.assert_array_equal(one.score, whole.score[which])
    assert plain(some_of(pool, [2, 0])) == slow([members[2], members[0]])
    assert some_of(pool, [2, 0]).names == ("m2", "m0")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_is_listed_and_filter(seed):
    members = random_lists(seed)
    pool, rng = pool_of(members), np.random.default_rng(seed)
    weights = (rng.random((len(pool), 3)) < 0.5).astype(float)
    for given_weights in (weights[0], weights):
        listed = pool.is_listed(given_weights)
        rows = np.broadcast_to(given_weights, weights.shape)
        expected = [
            {i for member, w in zip(members, rows[r], strict=True) if w for i, _ in member[r]} for r in range(len(pool))
        ]
        found = [set(pool.item[listed & (pool.row == r)].tolist()) for r in range(len(pool))]
        assert found == expected
        filtered = plain(pool.filter(listed))
        assert filtered == [
            {i: ranks for i, ranks in row.items() if i in expected[r]} for r, row in enumerate(slow(members))
        ]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 14))
def test_the_best_candidates_are_a_sort(seed, k):
    pool, rng = pool_of(random_lists(seed)), np.random.default_rng(seed)
    score = rng.integers(-2, 3, len(pool.item)).astype(float)
    score[rng.random(len(score)) < 0.2] = -np.inf
    lists = pool.top(score, k)
    for r in range(len(pool)):
        own = range(pool.offsets[r], pool.offsets[r + 1])
        expected = sorted((-score[c], int(pool.item[c])) for c in own if score[c] > -np.inf)[:k]
        assert lists.item[r].tolist() == [i for _, i in expected] + [-1] * (k - len(expected))
        assert lists.score[r].tolist() == [-s for s, _ in expected] + [-np.inf] * (k - len(expected))


def test_scatter_puts_values_by_rank():
    pool = pool_of([[[(5, 2.0), (1, 1.0)], []], [[(1, 2.0)], [(7, 1.0)]]])
    value = np.array([[10, 20, 30, 40, 50, 60]] * 2, dtype=np.float32)
    assert pool.scatter(0, value, np.array([-1, -2], dtype=np.float32)).tolist() == [20, 10, -2]


def test_a_pool_cannot_be_changed():
    pool = pool_of(random_lists(0))
    with pytest.raises(ValueError, match="read-only"):
        pool.rank[0, 0] = 9
