"""RDLAE against a numerical minimiser with bounds."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.models.rdlae import RDLAE
from tests.logs import random_log
from tests.models.test_rlae import bounded


@pytest.mark.parametrize(("dropout", "xi"), [(0.0, 0.3), (0.4, 0.0), (0.4, 0.3), (0.7, 0.2), (0.7, 1.0)])
def test_it_is_the_bounded_minimum(dropout, xi):
    log = random_log(seed=1, items=12, rows=250)
    X = log.matrix.toarray().astype(np.float64)
    penalty = 4.0 + dropout / (1 - dropout) * X.sum(axis=0)
    B = RDLAE(l2=4.0, dropout=dropout, xi=xi).fit(log).weights
    np.testing.assert_allclose(B, bounded(X, penalty, xi), atol=5e-5)
    assert (np.diag(B) <= xi).all()
