"""Turbo-CF against dense NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.models.turbo_cf import TurboCF
from tests.logs import random_log

POLYNOMIAL = {
    "linear": lambda P: P,
    "quadratic": lambda P: 2 * P - P @ P,
    "cubic": lambda P: P + 0.01 * (-P @ P @ P + 10 * P @ P - 29 * P),
}


@pytest.mark.parametrize("name", POLYNOMIAL)
@pytest.mark.parametrize(("alpha", "power"), [(0.6, 0.7), (0.5, 1.0), (0.2, 1.4)])
def test_weights_are_the_polynomial_of_the_item_graph(name, alpha, power):
    log = random_log(seed=11)
    X = log.matrix.toarray().astype(np.float64)
    R = X * X.sum(axis=1, keepdims=True) ** -alpha * X.sum(axis=0) ** (alpha - 1)
    P = (R.T @ R) ** power
    if name != "linear":
        P /= max(1.0, float(np.linalg.eigvalsh(P).max()))
    wanted = POLYNOMIAL[name](P)
    model = TurboCF(alpha=alpha, power=power, filter=name).fit(log)
    np.testing.assert_allclose(model.weights, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["quadratic", "cubic"])
def test_flattened_edges_do_not_turn_the_lists_round(name):
    """Unscaled, the largest eigenvalue is far above 2 here and the quadratic filter ranks backwards."""
    log = random_log(seed=11)
    flat, plain = (TurboCF(power=0.3, filter=one).fit(log).score(log.histories()) for one in (name, "linear"))
    agree = [np.corrcoef(a, b)[0, 1] for a, b in zip(flat, plain, strict=True)]
    assert np.median(agree) == pytest.approx(1.0, abs=0.1)
