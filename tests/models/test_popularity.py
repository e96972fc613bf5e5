"""Popularity by hand."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.errors import UnsupportedError
from matinee.models.popularity import Popularity
from tests.logs import log_of

DAY = 86_400
END = 10**9


def test_people_are_counted_once():
    log = log_of([0, 0, 1, 2, 2], [0, 0, 1, 1, 2], END + np.arange(5))
    np.testing.assert_allclose(Popularity().fit(log).scores, [0.5, 1.0, 0.5])


def test_half_life_counts_the_last_take_of_each_person():
    log = log_of([0, 0, 1, 2], [0, 0, 1, 2], END - DAY * np.array([40, 10, 20, 0]))
    np.testing.assert_allclose(Popularity(half_life_days=10).fit(log).scores, [0.5, 0.25, 1.0])


def test_a_window_forgets_what_is_older():
    log = log_of([0, 1, 2, 3, 0], [0, 0, 0, 1, 2], END - DAY * np.array([40, 31, 10, 30, 0]))
    np.testing.assert_allclose(Popularity(window_days=30).fit(log).scores, [1.0, 1.0, 1.0])
    np.testing.assert_allclose(Popularity(window_days=35).fit(log).scores, [1.0, 0.5, 0.5])


def test_a_trend_is_growth_and_not_size():
    """Item 0: 1 now, 3 before; item 1: 2 now, 1 before; item 2: 1 now, 0 before; item 3 long ago; item 4 never."""
    takes = [(0, 0, 1), (1, 0, 12), (2, 0, 15), (3, 0, 20), (0, 1, 0), (1, 1, 10), (2, 1, 11), (0, 2, 3), (1, 3, 21)]
    user, item, age = map(np.array, zip(*takes, strict=True))
    scores = Popularity(window_days=10, trend=True).fit(log_of(user, item, END - DAY * age, items=5)).scores
    growth = np.log([2 / 4, 3 / 2, 2 / 1, 1 / 1])
    expected = growth - growth.min() + 1e-3
    np.testing.assert_allclose(scores, np.append(expected, 0.0) / expected.max(), rtol=1e-6)


def test_one_vote_a_person():
    log = log_of([0, 0, 0, 1, 2, 2], [0, 1, 2, 2, 0, 1])
    by_hand = np.array([1 / 3 + 1 / 2, 1 / 3 + 1 / 2, 1 / 3 + 1])
    np.testing.assert_allclose(Popularity(normalize_users=True).fit(log).scores, by_hand / by_hand.max(), rtol=1e-6)
    timed = log_of([0, 0, 0, 1, 2, 2], [0, 1, 2, 2, 0, 1], END - DAY * np.array([0, 0, 0, 9, 0, 0]))
    recent = np.array([1 / 3 + 1 / 2, 1 / 3 + 1 / 2, 1 / 3 + 1 / 8])
    fitted = Popularity(normalize_users=True, half_life_days=3).fit(timed)
    np.testing.assert_allclose(fitted.scores, recent / recent.max(), rtol=1e-6)


def test_repeats_of_the_person_are_added():
    log = log_of([0, 0, 0, 1, 1], [0, 0, 1, 1, 2], END + np.arange(5))
    scores = Popularity(repeat_weight=2.0).fit(log).score(log.histories())
    plain = np.array([0.5, 1.0, 0.5])
    np.testing.assert_allclose(scores[0], plain + 2 * np.log1p([2, 1, 0]), rtol=1e-6)
    np.testing.assert_allclose(scores[1], plain + 2 * np.log1p([0, 1, 1]), rtol=1e-6)


@pytest.mark.parametrize("knob", ["half_life_days", "window_days"])
def test_age_needs_times(knob):
    with pytest.raises(UnsupportedError, match=f"use {knob} on a log without times"):
        Popularity(**{knob: 3}).fit(log_of([0, 1], [0, 1]))


def test_a_trend_needs_a_window():
    with pytest.raises(UnsupportedError, match="trend without a window"):
        Popularity(trend=True).fit(log_of([0, 1], [0, 1], END + np.arange(2)))
