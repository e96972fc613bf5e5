"""RLAE against a numerical minimiser with bounds, and against what must hold at the minimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from matinee.models.rlae import RLAE
from tests.logs import random_log


def bounded(X, penalty, xi):
    """B (n, n): least squares with a ridge, the diagonal held at or below xi, by L-BFGS-B column by column."""
    n = X.shape[1]
    G, B = X.T @ X, np.zeros((n, n))
    A = G + np.diag(penalty)
    for j in range(n):
        limits = [(None, xi if i == j else None) for i in range(n)]
        found = minimize(
            lambda w, j=j: 0.5 * w @ A @ w - G[j] @ w,
            np.zeros(n),
            jac=lambda w, j=j: A @ w - G[j],
            bounds=limits,
            method="L-BFGS-B",
            options={"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-9},
        )
        B[:, j] = found.x
    return B


@pytest.mark.parametrize("xi", [0.0, 0.2, 0.6, 1.0])
def test_it_is_the_bounded_minimum(xi):
    log = random_log(seed=1, items=12, rows=250)
    X = log.matrix.toarray().astype(np.float64)
    B = RLAE(l2=6.0, xi=xi).fit(log).weights
    np.testing.assert_allclose(B, bounded(X, np.full(12, 6.0), xi), atol=5e-5)


@pytest.mark.parametrize("xi", [0.0, 0.3, 0.7])
def test_the_diagonal_is_bound_or_free(xi):
    """Off the diagonal the gradient is 0; on it, it is 0 below the bound and pushes upwards at the bound."""
    log = random_log(seed=2)
    X = log.matrix.toarray().astype(np.float64)
    B = RLAE(l2=25.0, xi=xi).fit(log).weights.astype(np.float64)
    gradient = X.T @ (X - X @ B) - 25.0 * B
    at = np.diag(B) > xi - 1e-6
    assert (np.diag(B) <= xi + 1e-6).all()
    np.testing.assert_allclose(gradient[~np.eye(len(B), dtype=bool)], 0.0, atol=2e-3)
    np.testing.assert_allclose(np.diag(gradient)[~at], 0.0, atol=2e-3)
    assert (np.diag(gradient)[at] > -2e-3).all()
    if xi == 0.3:
        assert 0 < at.sum() < len(at)
