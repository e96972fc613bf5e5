"""EASE against its definition: every column is a ridge regression on the other columns."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.models.ease import EASE
from tests.logs import random_log


@pytest.mark.parametrize("l2", [1.0, 30.0, 500.0])
def test_every_column_is_ridge_on_the_others(l2):
    log = random_log(seed=1)
    X = log.matrix.toarray().astype(np.float64)
    B = EASE(l2=l2).fit(log).weights
    for j in range(log.n_items):
        others = [i for i in range(log.n_items) if i != j]
        A = X[:, others].T @ X[:, others] + l2 * np.eye(len(others))
        np.testing.assert_allclose(B[others, j], np.linalg.solve(A, X[:, others].T @ X[:, j]), atol=2e-5)
    np.testing.assert_array_equal(np.diag(B), 0.0)


def test_infinite_ridge_leaves_co_occurrence():
    log = random_log(seed=2)
    X = log.matrix.toarray()
    G = X.T @ X
    np.fill_diagonal(G, 0.0)
    np.testing.assert_allclose(EASE(l2=1e5).fit(log).weights * 1e5, G, rtol=0.02, atol=0.02)
