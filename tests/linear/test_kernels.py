"""Gram and inverse against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from matinee.errors import TrainingError
from matinee.linear.gram import gram, mirror
from matinee.linear.spd import gauss_jordan, invert


@st.composite
def matrices(draw):
    m, n = draw(st.integers(1, 60)), draw(st.integers(1, 150))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return csr_array((rng.random((m, n)) < draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))).astype(np.float32))


@given(matrices())
@settings(max_examples=60, deadline=None)
def test_gram_counts_exactly(X):
    dense = X.toarray().astype(np.int64)
    np.testing.assert_array_equal(gram(X), dense.T @ dense)


@given(st.integers(1, 300), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_mirror_copies_the_upper_triangle(n, seed):
    A = np.random.default_rng(seed).normal(size=(n, n)).astype(np.float32)
    expected = np.triu(A) + np.triu(A, 1).T
    mirror(A)
    np.testing.assert_array_equal(A, expected)


def spd(n: int, seed: int = 0):
    X = (np.random.default_rng(seed).random((3 * n, n)) < 0.2).astype(np.float32)
    return (X.T @ X + 5 * np.eye(n, dtype=np.float32)).astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 200])
def test_inverse_is_the_inverse(n):
    A = spd(n)
    upper = np.triu(A) + np.tril(np.full_like(A, 7.0), -1)
    np.testing.assert_allclose(invert(upper), np.linalg.inv(A.astype(np.float64)), atol=2e-5)


@pytest.mark.parametrize(("n", "block"), [(1, 4), (7, 7), (50, 16), (50, 50), (130, 32), (96, 32)])
def test_sweep_is_the_inverse(n, block):
    A = spd(n, seed=n)
    upper = np.triu(A) + np.tril(np.full_like(A, 7.0), -1)
    np.testing.assert_allclose(gauss_jordan(upper, block), np.linalg.inv(A.astype(np.float64)), atol=2e-5)


def test_singular_is_refused():
    with pytest.raises(TrainingError, match=r"^matrix to invert: it is singular at row 1; .*Raise l2"):
        invert(np.zeros((4, 4), dtype=np.float32))
    with pytest.raises(TrainingError, match="Raise l2"):
        gauss_jordan(np.zeros((4, 4), dtype=np.float32), 2)
