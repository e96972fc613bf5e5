"""Directional ridge against its definition: stacked least squares, the own column held at zero."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.data import Histories
from matinee.errors import UnsupportedError
from matinee.models.directional import Directional
from matinee.models.ease import EASE
from tests.logs import log_of, random_log, ring


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_every_column_is_stacked_ridge_on_the_others(share):
    log = random_log(seed=1, users=30, items=15, rows=200)
    spec = Directional(set_weight=share, history_decay=4.0, target_decay=1.5, l2=3.0)
    B = spec.fit(log).weights
    was, comes, weight = [], [], []
    for a, b in zip(log.offsets, log.offsets[1:], strict=False):
        row, n = log.item[a:b], log.n_items
        whole = np.bincount(row, minlength=n).astype(float)
        was, comes, weight = [*was, whole], [*comes, whole], [*weight, share]
        for t in range(1, len(row)):
            was.append(np.bincount(row[:t], np.exp(-(t - 1 - np.arange(t)) / 4.0), minlength=n))
            comes.append(np.bincount(row[t:], np.exp(-np.arange(len(row) - t) / 1.5), minlength=n))
            weight.append(1 - share)
    root = np.sqrt(weight)[:, None]
    S, Y = root * np.array(was), root * np.array(comes)
    for j in range(log.n_items):
        others = np.delete(np.arange(log.n_items), j)
        padded = np.vstack([S[:, others], np.sqrt(3.0) * np.eye(len(others))])
        w = np.linalg.lstsq(padded, np.concatenate([Y[:, j], np.zeros(len(others))]), rcond=None)[0]
        np.testing.assert_allclose(B[others, j], w, atol=2e-5)
    np.testing.assert_array_equal(np.diag(B), 0)


def test_all_set_it_is_ease():
    log = random_log(seed=2)
    np.testing.assert_allclose(
        Directional(set_weight=1, l2=20).fit(log).weights, EASE(l2=20).fit(log).weights, atol=2e-6
    )


def test_the_newest_item_points_forward():
    log = ring()
    fitted = Directional().fit(log)
    scores = fitted.score(Histories.of([[3, 4, 5], [5, 4, 3]], log.items))
    assert scores[0, 6] == scores[0].max()
    assert scores[0, 6] > scores[0, 2]
    assert scores[1, 4] > scores[1, 2]


def test_older_items_fade_as_they_did_in_the_regression():
    log = random_log(seed=3)
    fitted = Directional(history_decay=5.0).fit(log)
    score = fitted.score(Histories.of([[7, 2]], log.items))[0]
    B = fitted.weights
    np.testing.assert_allclose(score, B[2] + np.float32(np.exp(-1 / 5)) * B[7], rtol=1e-5)


def test_a_log_without_order_is_refused():
    with pytest.raises(UnsupportedError, match="without order"):
        Directional().fit(log_of([0, 0, 1], [0, 1, 1]))
