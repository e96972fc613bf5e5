"""Popularity by hand."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.errors import CannotDo
from matinee.models.popularity import Popularity
from tests.logs import log_of

DAY = 86_400


def test_people_are_counted_once():
    log = log_of([0, 0, 1, 2, 2], [0, 0, 1, 1, 2], 10**9 + np.arange(5))
    np.testing.assert_allclose(Popularity().fit(log).scores, [0.5, 1.0, 0.5])


def test_half_life_counts_the_last_take_of_each_person():
    end = 10**9
    log = log_of([0, 0, 1, 2], [0, 0, 1, 2], np.array([end - 40 * DAY, end - 10 * DAY, end - 20 * DAY, end]))
    np.testing.assert_allclose(Popularity(half_life=10).fit(log).scores, [0.5, 0.25, 1.0])


def test_repeats_of_the_person_are_added():
    log = log_of([0, 0, 0, 1, 1], [0, 0, 1, 1, 2], 10**9 + np.arange(5))
    scores = Popularity(repeat=2.0).fit(log).score(log.histories())
    plain = np.array([0.5, 1.0, 0.5])
    np.testing.assert_allclose(scores[0], plain + 2 * np.log1p([2, 1, 0]), rtol=1e-6)
    np.testing.assert_allclose(scores[1], plain + 2 * np.log1p([0, 1, 1]), rtol=1e-6)


def test_a_half_life_needs_times():
    with pytest.raises(CannotDo, match="without times"):
        Popularity(half_life=3).fit(log_of([0, 1], [0, 1]))
