"""Users added and removed against a fit from scratch."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.errors import TrainingError, UnsupportedError
from matinee.linear.woodbury import add_users, remove_users, updatable
from matinee.models.ease import EASE
from matinee.models.item_knn import ItemKNN
from matinee.models.slim import SLIM
from tests.logs import random_log


@pytest.fixture
def log():
    return random_log(seed=6, users=80, rows=1200)


def parts(log, first):
    """The log of the first users and the log of all others."""
    early = log.user < first
    return log.filter(early), log.filter(~early)


def test_diag_of_the_inverse_is_recovered(log):
    X = log.matrix.toarray().astype(np.float64)
    P = np.linalg.inv(X.T @ X + 20.0 * np.eye(log.n_items))
    np.testing.assert_allclose(updatable(EASE(l2=20.0).fit(log), log).d, np.diag(P), rtol=1e-5)


@pytest.mark.parametrize("first", [79, 60, 20])
def test_added_users_are_as_if_fitted(log, first):
    early, late = parts(log, first)
    users = late.histories(np.arange(first, 80))
    spec, all_of_them = EASE(l2=20.0), EASE(l2=20.0).fit(log)
    grown = add_users(updatable(spec.fit(early), early), users)
    np.testing.assert_allclose(grown.model.weights, all_of_them.weights, atol=2e-5)
    np.testing.assert_array_equal(grown.model.popularity, all_of_them.popularity)
    np.testing.assert_allclose(grown.d, updatable(all_of_them, log).d, rtol=1e-4)


def test_removed_users_are_as_if_never_fitted(log):
    early, late = parts(log, 60)
    users = late.histories(np.arange(60, 80))
    shrunk = remove_users(updatable(EASE(l2=20.0).fit(log), log), users)
    never = EASE(l2=20.0).fit(early)
    np.testing.assert_allclose(shrunk.model.weights, never.weights, atol=2e-5)
    again = add_users(shrunk, users)
    np.testing.assert_allclose(again.model.weights, EASE(l2=20.0).fit(log).weights, atol=2e-5)
    np.testing.assert_array_equal(shrunk.model.popularity, never.popularity)


def test_the_model_given_is_not_changed(log):
    early, late = parts(log, 60)
    model = EASE(l2=20.0).fit(early)
    before = model.weights.copy()
    add_users(updatable(model, early), late.histories(np.arange(60, 80)))
    np.testing.assert_array_equal(model.weights, before)


def test_variants_and_other_models_are_refused(log):
    with pytest.raises(UnsupportedError, match="variant of EASE"):
        updatable(EASE(unobserved_value=0.1).fit(log), log)
    for other in (ItemKNN(), SLIM()):
        with pytest.raises(UnsupportedError, match="other than EASE"):
            updatable(other.fit(log), log)
    early, late = parts(log, 10)
    with pytest.raises(TrainingError, match="cannot be removed; expected whole histories of users of the training set"):
        remove_users(updatable(EASE(l2=0.1).fit(early), early), late.histories(np.arange(10, 80)))
