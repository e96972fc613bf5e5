"""EASER against its definition: least squares on items and pairs, without those that hold the item itself."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from matinee.data import Histories
from matinee.models.easer import EASER
from tests.logs import random_log


def regressors(X, pairs):
    return np.hstack([X, *[X[:, [a]] * X[:, [b]] for a, b in pairs]])


@pytest.mark.parametrize("wanted", [5, 60])
def test_every_column_is_ridge_on_what_does_not_hold_it(wanted):
    log = random_log(seed=1)
    X, n = log.matrix.toarray().astype(np.float64), log.n_items
    model = EASER(pairs=wanted, l2=8.0, l2_pairs=40.0).fit(log)
    Y, penalty = regressors(X, model.query.pairs), np.repeat([8.0, 40.0], [n, len(model.query.pairs)])
    assert 0 < len(model.query.pairs) <= wanted
    assert model.weights.shape == (Y.shape[1], n)
    for j in range(n):
        barred = [j, *[n + r for r, pair in enumerate(model.query.pairs) if j in pair]]
        free = np.setdiff1d(np.arange(Y.shape[1]), barred)
        rows = np.vstack([Y[:, free], np.diag(np.sqrt(penalty[free]))])
        wanted_column = np.concatenate([X[:, j], np.zeros(len(free))])
        expected = np.linalg.lstsq(rows, wanted_column, rcond=None)[0]
        np.testing.assert_allclose(model.weights[free, j], expected, atol=3e-5)
        np.testing.assert_array_equal(model.weights[barred, j], 0.0)
        gradient = Y.T @ (X[:, j] - Y @ model.weights[:, j]) - penalty * model.weights[:, j]
        np.testing.assert_allclose(gradient[free], 0.0, atol=2e-3)


def test_pairs_are_those_most_people_took():
    log = random_log(seed=2)
    X = log.matrix.toarray()
    together = {(a, b): X[:, a] @ X[:, b] for a, b in combinations(range(log.n_items), 2)}
    chosen = [tuple(pair) for pair in EASER(pairs=25).fit(log).query.pairs.tolist()]
    assert chosen == sorted(chosen)
    rest = [count for pair, count in together.items() if pair not in chosen]
    assert min(together[pair] for pair in chosen) > max(rest)
    assert len(chosen) + rest.count(max(rest)) > 25


def test_scores_add_items_and_pairs():
    log = random_log(seed=3)
    model = EASER(pairs=30, l2=8.0, l2_pairs=40.0).fit(log)
    asked = Histories.of([[0, 3, 7], list(range(30)), [5]], log.items)
    Y = regressors(asked.matrix.toarray().astype(np.float64), model.query.pairs)
    np.testing.assert_allclose(model.score(asked), Y @ model.weights, atol=1e-5)


def test_without_pairs_it_is_ease():
    log = random_log(seed=4)
    X = log.matrix.toarray().astype(np.float64)
    P = np.linalg.inv(X.T @ X + 10.0 * np.eye(log.n_items))
    model = EASER(pairs=0, l2=10.0).fit(log)
    assert model.query.pairs.shape == (0, 2)
    np.testing.assert_allclose(model.weights, np.eye(log.n_items) - P / np.diag(P), atol=2e-5)
