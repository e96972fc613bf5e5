"""Moments of what was and what comes, against vectors listed position by position."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.errors import DataError
from matinee.linear import gram, transitions
from matinee.linear.transitions import max_terms, transition_moments


def listed(rows: list[list[int]], n: int, past: float, coming: float):
    S, T = np.zeros((n, n)), np.zeros((n, n))
    for row in rows:
        for t in range(1, len(row)):
            was, comes = np.zeros(n), np.zeros(n)
            for p in range(t):
                was[row[p]] += np.exp(-(t - 1 - p) / past)
            for q in range(t, len(row)):
                comes[row[q]] += np.exp(-(q - t) / coming)
            S += np.outer(was, was)
            T += np.outer(was, comes)
    return S, T


def of_rows(rows: list[list[int]], n: int, past: float, coming: float):
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    item = np.array([i for row in rows for i in row], dtype=np.int32)
    return transition_moments(offsets, item, n, past, coming)


def agree(rows, n, past, coming):
    S, T = of_rows(rows, n, past, coming)
    slow_s, slow_t = listed(rows, n, past, coming)
    np.testing.assert_allclose(np.triu(S), np.triu(slow_s), rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(T, slow_t, rtol=2e-5, atol=1e-5)


@given(
    st.lists(st.permutations(range(8)).flatmap(lambda p: st.integers(0, 8).map(lambda k: p[:k])), max_size=6),
    st.floats(0.3, 100),
    st.floats(0.3, 100),
)
@settings(max_examples=60, deadline=None)
def test_against_the_list(rows, past, coming):
    agree(rows, 8, past, coming)


def test_repeats_are_counted_each():
    agree([[0, 1, 0, 0, 2], [1, 1]], 3, 2.0, 1.0)


@pytest.mark.parametrize("rows", [[], [[]], [[3]], [[1], [], [2]]])
def test_without_two_takes_there_is_nothing(rows):
    S, T = of_rows(rows, 5, 3.0, 3.0)
    assert not S.any()
    assert not T.any()


def test_direction():
    _, T = of_rows([[0, 1, 2]], 3, 1.0, 1.0)
    assert T[0, 1] > T[0, 2] * 0.9 > 0 == T[1, 0] == T[2, 0]


def test_sums_of_too_many_terms_are_refused(monkeypatch):
    rows = [[0, 1, 0], [0, 2], [0]]
    offsets, item = np.array([0, 3, 5, 6]), np.array([0, 1, 0, 0, 2, 0], dtype=np.int32)
    assert max_terms(offsets, item, 5) == 6  # item 0: twice in a history with a repeat of 2, and in two others
    monkeypatch.setattr(gram, "EXACT", 6)
    of_rows(rows, 5, 2.0, 2.0)
    monkeypatch.setattr(gram, "EXACT", 5)
    with pytest.raises(DataError, match=r"transitions: found a sum of up to 6 terms.*at most 5"):
        of_rows(rows, 5, 2.0, 2.0)
    assert transitions.max_terms(np.array([0]), item[:0], 5) == 0
