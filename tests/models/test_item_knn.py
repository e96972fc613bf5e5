"""ItemKNN against three lines of NumPy."""

from __future__ import annotations

import numpy as np

from matinee.models.item_knn import ItemKNN
from tests.logs import random_log


def test_all_neighbours_without_shrinking_is_the_cosine():
    log = random_log(seed=3)
    X = log.matrix.toarray().astype(np.float64)
    norm = np.linalg.norm(X, axis=0)
    cosine = (X.T @ X) / np.outer(norm, norm)
    np.fill_diagonal(cosine, 0.0)
    model = ItemKNN(neighbours=1000, shrink=0).fit(log)
    np.testing.assert_allclose(model.score(log.histories()), X @ cosine, rtol=1e-5)


def test_alpha_one_is_the_share_of_the_voters_people():
    log = random_log(seed=3)
    X = log.matrix.toarray().astype(np.float64)
    share = (X.T @ X) / X.sum(axis=0)[:, None]
    np.fill_diagonal(share, 0.0)
    model = ItemKNN(neighbours=1000, shrink=0, alpha=1).fit(log)
    np.testing.assert_allclose(model.weights.toarray(), share, rtol=1e-5)


def test_every_item_keeps_its_own_nearest():
    model = ItemKNN(neighbours=3).fit(random_log(seed=4))
    assert np.diff(model.weights.tocsc().indptr).max() == 3
