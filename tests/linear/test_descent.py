"""Coordinate descent against scikit-learn, against EASE, and against the optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from matinee.linear.descent import ElasticNetConfig, coordinate_descent
from matinee.linear.gram import gram
from matinee.models.ease import EASE
from tests.logs import random_log


@pytest.mark.parametrize(("l1", "l2", "non_negative"), [(1.0, 5.0, True), (0.5, 20.0, False), (0.1, 1.0, True)])
def test_columns_are_those_of_scikit_learn(l1, l2, non_negative):
    linear_model = pytest.importorskip("sklearn.linear_model")
    log = random_log(seed=1)
    X = log.matrix.toarray().astype(np.float64)
    W = coordinate_descent(gram(log.matrix), ElasticNetConfig(l1, l2, non_negative, 1000, 1e-8, 2000)).toarray()
    net = linear_model.ElasticNet(
        alpha=(l1 + l2) / len(X),
        l1_ratio=l1 / (l1 + l2),
        positive=non_negative,
        fit_intercept=False,
        max_iter=100_000,
        tol=1e-12,
    )
    for j in range(log.n_items):
        others = X.copy()
        others[:, j] = 0.0
        np.testing.assert_allclose(W[:, j], net.fit(others, X[:, j]).coef_, atol=2e-6)


def test_without_lasso_and_bounds_it_is_ease():
    log = random_log(seed=2)
    W = coordinate_descent(gram(log.matrix), ElasticNetConfig(0.0, 5.0, False, 1000, 1e-9, 5000)).toarray()
    np.testing.assert_allclose(W, EASE(l2=5.0).fit(log).weights, atol=5e-6)


@pytest.mark.parametrize("non_negative", [True, False])
@pytest.mark.parametrize("items", [40, 300])
def test_optimality_conditions(non_negative, items):
    """On the support the gradient is −l1 · sign(w); off it, at most l1 in size (from below only, if w ≥ 0)."""
    l1, l2 = 0.7, 3.0
    log = random_log(seed=3, users=150, items=items, rows=4000)
    G = gram(log.matrix).astype(np.float64)
    W = (
        coordinate_descent(gram(log.matrix), ElasticNetConfig(l1, l2, non_negative, 1000, 1e-7, 5000))
        .toarray()
        .astype(np.float64)
    )
    gradient = G @ W - G + l2 * W
    slack = 1e-4
    on = W != 0
    assert on.any()
    assert not np.diag(on).any()
    np.testing.assert_allclose(gradient[on], -l1 * np.sign(W[on]), atol=slack)
    off = ~on & ~np.eye(log.n_items, dtype=bool)
    assert (gradient[off] >= -l1 - slack).all()
    if non_negative:
        assert (W >= 0).all()
    else:
        assert (gradient[off] <= l1 + slack).all()
        assert (W < 0).any()


@pytest.mark.parametrize("items", [40, 150])
def test_a_few_sweeps_are_enough_and_more_are_not_taken(items):
    """Gradients off by any part of theirs are never small: few sweeps, so that it is told in seconds."""
    log = random_log(seed=9, users=150, items=items, rows=3000)
    W = (
        coordinate_descent(gram(log.matrix), ElasticNetConfig(0.7, 30.0, False, 1000, 1e-5, 300))
        .toarray()
        .astype(np.float64)
    )
    G = gram(log.matrix).astype(np.float64)
    gradient = G @ W - G + 30.0 * W
    on = W != 0
    np.testing.assert_allclose(gradient[on], -0.7 * np.sign(W[on]), atol=0.01)
    assert np.abs(gradient[~on & ~np.eye(items, dtype=bool)]).max() <= 0.71


def test_it_ends_where_it_does_from_anywhere():
    log = random_log(seed=6, users=150, items=150, rows=3000)
    G, rule = gram(log.matrix), ElasticNetConfig(0.7, 3.0, True, 100, 1e-7, 5000)
    rng = np.random.default_rng(0)
    start = csr_array(np.where(rng.random(G.shape) < 0.3, rng.normal(size=G.shape), 0.0).astype(np.float32))
    ended = coordinate_descent(G, rule, start=start)
    assert ended.data.min() > 0
    np.testing.assert_array_equal(ended.diagonal(), 0.0)
    np.testing.assert_allclose(ended.toarray(), coordinate_descent(G, rule).toarray(), atol=1e-5)


def test_from_the_answer_nothing_is_left_to_do():
    """One sweep is all that is allowed: a column that began at another's weights, or at none, would not be there."""
    log = random_log(seed=6, users=150, items=150, rows=3000)
    G, rule = gram(log.matrix), ElasticNetConfig(0.7, 3.0, True, 100, 1e-4, 5000)
    answer = coordinate_descent(G, rule)
    np.testing.assert_allclose(
        coordinate_descent(G, rule._replace(passes=1), start=answer).toarray(), answer.toarray(), atol=1e-4
    )
    assert abs(coordinate_descent(G, rule._replace(passes=1)) - answer).max() > 1e-2


def test_candidates_are_those_of_largest_cosine():
    log = random_log(seed=4)
    G = gram(log.matrix)
    W = coordinate_descent(G, ElasticNetConfig(0.0, 1.0, False, 5, 1e-6, 1000)).toarray()
    norm = np.sqrt(np.maximum(np.diag(G), 1))
    cosine = G / np.outer(norm, norm)
    np.fill_diagonal(cosine, -1)
    for j in range(log.n_items):
        best = np.argsort(-cosine[:, j], kind="stable")[:5]
        assert set(np.flatnonzero(W[:, j])) <= set(best.tolist())
        inner = G[np.ix_(best, best)] + np.eye(5)
        np.testing.assert_allclose(W[best, j], np.linalg.solve(inner, G[best, j]), atol=1e-4)
