"""GF-CF against dense NumPy and LAPACK."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.models.gf_cf import GFCF
from tests.logs import random_log

TOY = {"factors": 2}


def normalised(log):
    X = log.matrix.toarray().astype(np.float64)
    return X, X / np.sqrt(np.outer(X.sum(axis=1), X.sum(axis=0)))


@pytest.mark.parametrize(("low_pass", "factors"), [(0.0, 3), (0.3, 3), (2.0, 6)])
def test_weights_are_the_two_filters(low_pass, factors):
    log = random_log(seed=9)
    X, R = normalised(log)
    _, _, Vt = np.linalg.svd(R, full_matrices=False)
    d = np.sqrt(X.sum(axis=0))
    wanted = R.T @ R + low_pass * (Vt[:factors].T @ Vt[:factors]) / d[:, None] * d
    model = GFCF(low_pass=low_pass, factors=factors).fit(log)
    np.testing.assert_allclose(model.weights, wanted, atol=1e-5)
    np.testing.assert_allclose(model.score(log.histories()), X @ wanted, rtol=1e-4, atol=1e-5)


def test_all_directions_add_only_what_was_seen():
    """V V' = I: the low-pass part is then low_pass · x, which the mask bars anyway."""
    log = random_log(seed=10, items=15)
    without, with_all = (GFCF(low_pass=a, factors=15).fit(log).weights for a in (0.0, 0.7))
    np.testing.assert_allclose(with_all - without, 0.7 * np.eye(15), atol=1e-5)
