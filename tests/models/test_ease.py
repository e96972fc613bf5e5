"""EASE against its definition: every column is a ridge regression on the other columns."""

from __future__ import annotations

import numpy as np
import pytest

from matinee import models
from matinee.data import Histories
from matinee.models.ease import EASE
from matinee.storage import save
from matinee.topk import recommend
from tests.logs import random_log


def by_columns(X, penalty):
    """B (n, n) of least squares: each column on the others, `penalty` (n,) on their weights."""
    n = X.shape[1]
    B = np.zeros((n, n))
    for j in range(n):
        others = [i for i in range(n) if i != j]
        rows = np.vstack([X[:, others], np.diag(np.sqrt(penalty[others]))])
        wanted = np.concatenate([X[:, j], np.zeros(n - 1)])
        B[others, j] = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return B


@pytest.mark.parametrize("l2", [1.0, 30.0, 500.0])
def test_every_column_is_ridge_on_the_others(l2):
    log = random_log(seed=1)
    X = log.matrix.toarray().astype(np.float64)
    B = EASE(l2=l2).fit(log).weights
    np.testing.assert_allclose(B, by_columns(X, np.full(log.n_items, l2)), atol=2e-5)
    np.testing.assert_array_equal(np.diag(B), 0.0)


def test_infinite_ridge_leaves_co_occurrence():
    log = random_log(seed=2)
    X = log.matrix.toarray()
    G = X.T @ X
    np.fill_diagonal(G, 0.0)
    np.testing.assert_allclose(EASE(l2=1e5).fit(log).weights * 1e5, G, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_alpha_penalises_what_many_took(alpha):
    log = random_log(seed=3)
    X = log.matrix.toarray().astype(np.float64)
    count = np.maximum(X.sum(axis=0), 1)
    B = by_columns(X, 20.0 * (count / count.mean()) ** alpha)
    np.testing.assert_allclose(EASE(l2=20.0, alpha=alpha).fit(log).weights, B, atol=2e-5)


@pytest.mark.parametrize("fill", [0.05, 0.4, 0.9])
def test_fill_is_ridge_on_the_filled_matrix(fill):
    """Learnt from X + fill (1 − X), written out; asked with histories that are filled as well."""
    log = random_log(seed=4)
    X = log.matrix.toarray().astype(np.float64)
    B = by_columns(X + fill * (1 - X), np.full(log.n_items, 10.0))
    asked = Histories.of([[0, 3, 7], list(range(30)), [5]], log.items)
    x = asked.matrix.toarray()
    model = EASE(l2=10.0, unobserved_value=fill).fit(log)
    np.testing.assert_allclose(model.score(asked), (x + fill * (1 - x)) @ B, atol=1e-4)


def test_nearly_no_fill_is_no_fill():
    log = random_log(seed=4)
    some, none = (EASE(unobserved_value=fill).fit(log).score(log.histories()) for fill in (1e-6, 0.0))
    np.testing.assert_allclose(some, none, atol=1e-4)


def test_debias_divides_scores_by_popularity():
    log = random_log(seed=5)
    plain, other = (EASE(l2=9.0, popularity_debias=c).fit(log).score(log.histories()) for c in (0.0, 0.4))
    count = np.maximum(log.popularity, 1)
    np.testing.assert_allclose(other, plain / (count / count.mean()) ** 0.4, rtol=1e-4, atol=1e-6)


def test_the_shift_of_a_filled_log_is_kept_and_listed(tmp_path):
    log = random_log(seed=5)
    model = EASE(unobserved_value=0.2).fit(log)
    save(model, tmp_path / "model")
    again = models.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score(log.histories()), model.score(log.histories()))
    lists, scores = recommend(model, log, 4), model.score(log.histories())
    np.testing.assert_allclose(np.take_along_axis(scores, lists.item, axis=1), lists.score, rtol=1e-5)
