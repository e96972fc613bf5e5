"""The sparse random field against ridge regressions by hand, and against EASE."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.linear import local
from matinee.linear.local import counts, local_ridge
from matinee.models.ease import EASE
from matinee.models.mrf import MRF
from tests.logs import random_log


@pytest.mark.parametrize("l2", [1.0, 30.0, 500.0])
def test_with_all_other_items_it_is_ease(l2):
    log = random_log(seed=1)
    W = MRF(neighbours=39, l2=l2).fit(log).weights
    X = log.matrix.toarray()
    assert (X.T @ X == 0).any(), "pairs never taken together must be among them"
    np.testing.assert_allclose(W.toarray(), EASE(l2=l2).fit(log).weights, atol=3e-6)


@pytest.mark.parametrize("head", [0, 1, 7, 40])
def test_every_column_is_ridge_on_its_neighbours(head):
    log = random_log(seed=2)
    X = log.matrix.toarray().astype(np.float64)
    support = MRF(neighbours=6).fit(log).weights
    W = local_ridge(counts(log.matrix, head), support, 4.0).toarray()
    for j in range(log.n_items):
        S = support.tocsc().indices[slice(*support.tocsc().indptr[j : j + 2])]
        w = np.linalg.solve(X[:, S].T @ X[:, S] + 4.0 * np.eye(len(S)), X[:, S].T @ X[:, j])
        np.testing.assert_allclose(W[S, j], w, rtol=1e-5, atol=1e-7)
        assert np.count_nonzero(W[:, j]) <= len(S) <= 6


def test_stretches_of_columns_do_not_matter(monkeypatch):
    log = random_log(seed=3)
    whole = MRF(neighbours=8).fit(log).weights.toarray()
    monkeypatch.setattr(local, "COLUMNS", 7)
    np.testing.assert_array_equal(MRF(neighbours=8).fit(log).weights.toarray(), whole)


def test_negative_weights_are_allowed():
    assert MRF(neighbours=20, l2=1.0).fit(random_log(seed=4)).weights.data.min() < -0.01
