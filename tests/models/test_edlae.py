"""EDLAE against what dropout does in the mean, taken over every way to drop."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from matinee.models.edlae import EDLAE
from tests.logs import log_of, random_log


@pytest.mark.parametrize("dropout", [0.2, 0.6])
def test_columns_are_ridge_under_every_dropout_mask(dropout):
    """Each column by least squares over all 2^5 masks of the 5 inputs, each row weighted by how likely its mask is."""
    rng = np.random.default_rng(3)
    user, item = np.nonzero(rng.random((25, 6)) < 0.5)
    X = np.zeros((25, 6))
    X[user, item] = 1
    B = EDLAE(l2=2.0, dropout=dropout).fit(log_of(user, item, users=25, items=6)).weights
    for j in range(6):
        others = [i for i in range(6) if i != j]
        rows, wanted = [np.sqrt(2.0) * (1 - dropout) * np.eye(5)], [np.zeros(5)]
        for mask in product([0, 1], repeat=5):
            likely = np.sqrt((1 - dropout) ** sum(mask) * dropout ** (5 - sum(mask)))
            rows.append(likely * X[:, others] * np.array(mask))
            wanted.append(likely * X[:, j])
        expected = np.linalg.lstsq(np.vstack(rows), np.concatenate(wanted), rcond=None)[0]
        np.testing.assert_allclose(B[others, j], (1 - dropout) * expected, atol=2e-5)  # w weighs inputs half hidden
    np.testing.assert_array_equal(np.diag(B), 0.0)


def test_no_dropout_is_ease_and_much_is_small():
    log = random_log(seed=1)
    X = log.matrix.toarray().astype(np.float64)
    none, much = (EDLAE(l2=20.0, dropout=p).fit(log).weights for p in (0.0, 0.8))
    others = np.arange(1, log.n_items)
    A = X[:, others].T @ X[:, others] + 20.0 * np.eye(len(others))
    np.testing.assert_allclose(none[1:, 0], np.linalg.solve(A, X[:, others].T @ X[:, 0]), atol=2e-5)
    assert np.abs(much).sum() < 0.7 * np.abs(none).sum()
