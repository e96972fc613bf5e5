"""PureSVD against LAPACK's decomposition of the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.data import Histories
from matinee.models.pure_svd import PureSVD
from tests.logs import random_log

TOY = {"factors": 2}


@pytest.mark.parametrize("factors", [1, 3, 8])
def test_scores_are_the_projection_on_right_singular_vectors(factors):
    log = random_log(seed=5)
    X = log.matrix.toarray().astype(np.float64)
    _, _, Vt = np.linalg.svd(X, full_matrices=False)
    wanted = X @ Vt[:factors].T @ Vt[:factors]
    model = PureSVD(factors=factors, scaling=0).fit(log)
    np.testing.assert_allclose(model.score(log.histories()), wanted, atol=1e-5)


@pytest.mark.parametrize("scaling", [0.3, 0.5])
def test_scaling_divides_by_popularity_and_gives_it_back(scaling):
    log = random_log(seed=6)
    X = log.matrix.toarray().astype(np.float64)
    d = X.sum(axis=0) ** scaling
    _, _, Vt = np.linalg.svd(X / d, full_matrices=False)
    model = PureSVD(factors=4, scaling=scaling).fit(log)
    np.testing.assert_allclose(model.score(log.histories()), (X / d) @ Vt[:4].T @ Vt[:4] * d, atol=1e-5)


def test_all_directions_give_the_history_back():
    log = random_log(seed=7, items=15)
    scores = PureSVD(factors=15).fit(log).score(log.histories())
    np.testing.assert_allclose(scores, log.matrix.toarray(), atol=1e-5)


def test_somebody_who_took_one_item_gets_its_row():
    log = random_log(seed=8)
    model = PureSVD(factors=3).fit(log)
    row = model.score(Histories.of([[11]], log.items))[0]
    np.testing.assert_allclose(row, model.query.left[11] @ model.item_factors.T, rtol=1e-5, atol=1e-7)
