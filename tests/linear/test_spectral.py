"""Leading directions against LAPACK, and the weighted Gram matrix against dense NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from matinee.linear import spectral
from matinee.linear.weighted_gram import inverse_power, weighted_gram


def taste(m=500, n=330, rank=9, seed=0):
    """X (m, n) 0/1 with `rank` groups of items and noise; column 3 is empty."""
    rng = np.random.default_rng(seed)
    like = rng.gamma(0.3, size=(m, rank)) @ rng.gamma(0.3, size=(rank, n))
    X = (rng.random((m, n)) < np.minimum(0.9, 0.25 * like / like.mean())).astype(np.float32)
    X[:, 3] = 0
    return X, csr_array(X)


def scales(X, a, b):
    return inverse_power(X.sum(axis=1).astype(int), a), inverse_power(X.sum(axis=0).astype(int), b)


@pytest.mark.parametrize(("dense_pays", "small"), [(16, 10_000), (10**6, 10), (0, 10)], ids=["all", "gram", "sparse"])
@pytest.mark.parametrize(("a", "b"), [(0.0, 0.0), (0.5, 0.5), (0.2, 0.7)])
def test_directions_are_those_of_the_singular_value_decomposition(monkeypatch, dense_pays, small, a, b):
    monkeypatch.setattr(spectral, "DENSE_COST", dense_pays)
    monkeypatch.setattr(spectral, "SMALL", small)
    monkeypatch.setattr(spectral, "TOLERANCE", 1e-4)
    X, matrix = taste()
    user, item = scales(X, a, b)
    _, s, Vt = np.linalg.svd(user[:, None] * X.astype(np.float64) * item, full_matrices=False)
    k = int(np.argmax(s[5:15] / s[6:16])) + 6  # cut where the gap is widest, so that the subspace is well defined
    values, V = spectral.top_singular_vectors(matrix, user, item, k, np.random.default_rng(1))
    np.testing.assert_allclose(values, s[:k], rtol=1e-4)
    np.testing.assert_allclose(V @ V.T, Vt[:k].T @ Vt[:k], atol=2e-3)
    np.testing.assert_allclose(V.T @ V, np.eye(k), atol=1e-5)
    assert (V[np.abs(V).argmax(axis=0), np.arange(k)] > 0).all()
    np.testing.assert_allclose(V[3], 0.0, atol=2e-5)


def test_the_same_seed_gives_the_same_directions(monkeypatch):
    monkeypatch.setattr(spectral, "SMALL", 10)
    X, matrix = taste(seed=2)
    user, item = scales(X, 0.0, 0.5)
    one, two = (spectral.top_singular_vectors(matrix, user, item, 7, np.random.default_rng(5))[1] for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_directions_that_carry_nothing_are_left_out():
    X = np.tile(np.eye(4, 12, dtype=np.float32), (5, 1))
    values, V = spectral.top_singular_vectors(csr_array(X), np.ones(20), np.ones(12), 8, np.random.default_rng(0))
    assert V.shape == (12, 4)
    np.testing.assert_allclose(values, np.sqrt(5.0))


@pytest.mark.parametrize("power", [1.0, 0.7, 1.5])
def test_weighted_gram_against_numpy(power):
    X, matrix = taste(300, 210, seed=3)
    rng = np.random.default_rng(4)
    user, item = rng.random(300), rng.random(210)
    wanted = (item[:, None] * (X.T * user.astype(np.float64) @ X) * item) ** power
    P = weighted_gram(matrix, user, item, power)
    np.testing.assert_allclose(P, wanted, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(P, P.T)


def test_nothing_is_divided_by_a_degree_of_zero():
    np.testing.assert_allclose(inverse_power(np.array([0, 4, 1]), 0.5), [0.0, 0.5, 1.0])
    np.testing.assert_allclose(inverse_power(np.array([0, 4]), 0.0), [0.0, 1.0])
