"""Features against their definitions, user by user."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import combinations, pairwise
from statistics import fmean, median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from matinee.candidates.user_features import ALL_FEATURES, DAY, FEATURES, TIME_FEATURES, UserFeatures, user_features
from matinee.data import Histories
from matinee.ensemble import CandidatePool
from matinee.errors import DataError, UnknownNameError
from tests.metrics.lists_and_targets import lists_of, vocabulary

N_ITEMS = 30


def query_of(rows, times):
    """Users 0, 1, … with these items at these seconds."""
    drawn = Histories.of(rows, vocabulary(N_ITEMS))
    flat = np.array([t for row in times for t in row], dtype=np.int64)
    return replace(drawn, user=np.arange(len(rows), dtype=np.int32), users=vocabulary(len(rows)), time=flat)


def band_of(item, popularity):
    """Tenth of all interactions that contains the middle interaction of items of this popularity."""
    below = sum(p for p in popularity if p < popularity[item])
    same = sum(p for p in popularity if p == popularity[item])
    return min(int(10 * (below + same / 2) / max(sum(popularity), 1)), 9)


def agreement(lists):
    found = []
    for a, b in combinations([set(one[:10]) for one in lists], 2):
        if a | b:
            found.append(len(a & b) / len(a | b))
    return fmean(found) if found else 1.0


def slow(row, time, lists, popularity):
    """Features of one user, by the definitions."""
    log = [math.log(1 + popularity[i]) for i in row]
    average = sum(p * math.log(1 + p) for p in popularity) / max(sum(popularity), 1)
    bands = Counter(band_of(i, popularity) for i in row)
    gaps = [(b - a) / 60 for a, b in pairwise(time)]
    return {
        "length": math.log(1 + len(row)),
        "repeats": sum(i in row[:p] for p, i in enumerate(row)) / len(row) if row else 0.0,
        "popularity": fmean(log) if row else average,
        "recent": fmean(log[-5:]) if row else average,
        "breadth": -sum(n / len(row) * math.log(n / len(row)) for n in bands.values()),
        "steps": fmean(abs(b - a) for a, b in pairwise(log)) if len(row) > 1 else 0.0,
        "agreement": agreement(lists),
        "candidates": math.log(1 + len(set().union(*lists))),
        "span": math.log(1 + (time[-1] - time[0]) / DAY) if row else 0.0,
        "last_day": fmean(time[-1] - t <= DAY for t in time) if row else 1.0,
        "gap": math.log(1 + median(gaps)) if gaps else 0.0,
    }


@st.composite
def cases(draw):
    """A few users, some with empty histories, with up to three lists each, some empty."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    m, members = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    size = [int(n) for n in rng.integers(0, 12, m)]
    rows = [rng.integers(0, N_ITEMS, n).tolist() for n in size]
    times = [sorted((10**9 + rng.integers(0, draw(st.sampled_from([100, 10 * DAY])), n)).tolist()) for n in size]
    lists = [[rng.permutation(N_ITEMS)[: rng.choice([0, 4, 14])].tolist() for _ in range(m)] for _ in range(members)]
    popularity = rng.integers(0, draw(st.sampled_from([1, 3, 200])), N_ITEMS)
    return rows, times, lists, popularity


def pool_of(lists):
    m = len(lists[0])
    return CandidatePool.of({str(a): lists_of(dict(enumerate(one)), 14, m, N_ITEMS) for a, one in enumerate(lists)})


@given(cases())
@settings(max_examples=100, deadline=None)
def test_every_feature_equals_its_twin(drawn):
    rows, times, lists, popularity = drawn
    found = user_features(query_of(rows, times), pool_of(lists), popularity, real_time=True)
    assert found.names == tuple(ALL_FEATURES)
    for u, (row, time) in enumerate(zip(rows, times, strict=True)):
        expected = slow(row, time, [one[u] for one in lists], popularity.tolist())
        for name, value in expected.items():
            assert found.of((name,))[u, 0] == pytest.approx(value, abs=1e-9), name


@given(cases())
@settings(max_examples=30, deadline=None)
def test_a_single_row_equals_the_row_in_a_batch(drawn):
    rows, times, lists, popularity = drawn
    query, pool = query_of(rows, times), pool_of(lists)
    all_users = user_features(query, pool, popularity, real_time=True)
    assert np.isfinite(all_users.values).all()
    for u in range(len(rows)):
        own = np.array([u])
        single = user_features(query.take(own), pool.select_rows(own), popularity, real_time=True)
        assert_array_equal(single.values, all_users.select_rows(own).values)


def test_without_real_times_times_are_ignored():
    query, pool = query_of([[1, 2, 3], []], [[0, 5, 10**9], []]), pool_of([[[1], [2]], [[3], [4]]])
    popularity = np.arange(N_ITEMS)
    found = user_features(query, pool, popularity, real_time=False)
    assert found.names == tuple(FEATURES)
    assert set(ALL_FEATURES) == set(FEATURES) | set(TIME_FEATURES)
    other = user_features(replace(query, time=np.arange(3)), pool, popularity, real_time=False)
    assert_array_equal(found.values, other.values)


def test_empty_histories_and_an_empty_log():
    found = user_features(query_of([[], []], [[], []]), pool_of([[[], []]]), np.zeros(N_ITEMS), real_time=True)
    expected = dict.fromkeys(ALL_FEATURES, 0.0) | {"agreement": 1.0, "last_day": 1.0}
    assert_allclose(found.values, np.tile([expected[name] for name in found.names], (2, 1)))


def test_other_users_are_refused():
    pool = pool_of([[[1], [2]]])
    with pytest.raises(DataError, match="1 histories and 2 lists"):
        user_features(query_of([[1]], [[0]]), pool, np.ones(N_ITEMS), real_time=True)
    turned = query_of([[1], [2]], [[0], [0]]).take(np.array([1, 0]))
    with pytest.raises(DataError, match="the same users in the same rows"):
        user_features(turned, pool, np.ones(N_ITEMS), real_time=True)


def test_columns_are_found_by_name():
    some = UserFeatures(("a", "b"), np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert_array_equal(some.of(("b", "a")), [[2.0, 1.0], [4.0, 3.0]])
    assert_array_equal(some.select_rows(np.array([False, True])).values, [[3.0, 4.0]])
    with pytest.raises(UnknownNameError, match="there is no user feature 'c'"):
        some.of(("c",))


def test_every_feature_has_a_definition():
    for name, sentence in ALL_FEATURES.items():
        assert sentence.endswith("."), name
        assert 20 < len(sentence) < 120, name
