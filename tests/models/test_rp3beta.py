"""RP³β against dense products."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.models.p3alpha import P3Alpha
from matinee.models.rp3beta import RP3Beta
from tests.logs import random_log


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.0, 0.6), (0.6, 1.0)])
def test_the_whole_walk_with_popularity_divided_out(alpha, beta):
    log = random_log(seed=1)
    X = log.matrix.toarray().astype(np.float64)
    n, length = X.sum(axis=0), X.sum(axis=1, keepdims=True)
    W = ((X / n) ** alpha).T @ (X / length) ** alpha / n**beta
    np.fill_diagonal(W, 0.0)
    model = RP3Beta(neighbours=1000, alpha=alpha, beta=beta, normalize=False).fit(log)
    np.testing.assert_allclose(model.weights.toarray(), W, rtol=1e-5)


@pytest.mark.parametrize("keep", ["columns", "rows"])
@pytest.mark.parametrize("normalise", [False, True])
def test_beta_comes_before_the_cut_and_the_rows_after(keep, normalise):
    log = random_log(seed=2)
    X = log.matrix.toarray().astype(np.float64)
    W = (X / X.sum(axis=0)).T @ (X / X.sum(axis=1, keepdims=True)) / X.sum(axis=0) ** 0.7
    np.fill_diagonal(W, 0.0)
    side = W if keep == "rows" else W.T
    kept = np.zeros_like(side)
    for row, values in enumerate(side):
        best = np.argsort(-values, kind="stable")[:5]
        kept[row, best] = values[best]
    expected = kept if keep == "rows" else kept.T
    if normalise:
        rows = expected.sum(axis=1, keepdims=True)
        expected = np.divide(expected, rows, where=rows > 0, out=np.zeros_like(W))
    found = RP3Beta(neighbours=5, alpha=1.0, beta=0.7, prune=keep, normalize=normalise).fit(log).weights.toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_beta_zero_is_p3alpha():
    log = random_log(seed=4)
    walk = P3Alpha(neighbours=6, alpha=0.9, normalize=True).fit(log).weights.toarray()
    np.testing.assert_array_equal(RP3Beta(neighbours=6, alpha=0.9, beta=0).fit(log).weights.toarray(), walk)
