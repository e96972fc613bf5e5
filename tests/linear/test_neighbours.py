"""Neighbours and weightings against NumPy, on sparse logs (what is met is remembered) and on dense ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from matinee.linear.neighbours import top_k_similar
from matinee.linear.weighting import bm25_length_norm, idf_weights
from matinee.topk.similarity import SimilarityRule, similarity_rule


@st.composite
def problems(draw):
    """A log, a weight a person, sizes, and how many to keep: small whole numbers, so that ties are real ties."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    m, n = draw(st.integers(1, 60)), draw(st.integers(1, 150))
    dense = (rng.random((m, n)) < draw(st.sampled_from([0.0, 0.01, 0.05, 0.5, 1.0]))).astype(np.float64)
    weight = rng.integers(1, 4, m).astype(np.float64) if draw(st.booleans()) else np.ones(m)
    size = rng.integers(3, 9, n).astype(np.float64)
    return dense, weight, size, draw(st.integers(1, 30))


def cut(W, k):
    """The k largest i of every column j, ties to the smaller code."""
    kept = np.zeros_like(W)
    for j in range(W.shape[1]):
        best = sorted((i for i in range(len(W)) if W[i, j] > 0), key=lambda i: (-W[i, j], i))[:k]
        kept[best, j] = W[best, j]
    return kept


@given(problems(), st.sampled_from([0.0, 0.5, 20.0]), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_nearest_of_any_rule(problem, shrink, product, by_row):
    dense, weight, size, k = problem
    G = dense.T @ (dense * weight[:, None])
    if product:
        rule, below = SimilarityRule(2.0, 1.0, shrink), np.outer(size**2, size) + shrink
    else:  # sizes large enough to stay above what is shared
        size = size + G.max(initial=0)
        rule = SimilarityRule(2.0, 1.0, shrink, False, 1.0)
        below = 2 * size[:, None] + size[None, :] - G + shrink
    W = (G / below).astype(np.float32)
    np.fill_diagonal(W, 0.0)
    expected = cut(W.T, k).T if by_row else cut(W, k)
    found = top_k_similar(csr_array(dense.astype(np.float32)), weight, size, rule, k, by_row=by_row)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
    assert found.has_sorted_indices


def test_a_wide_sparse_log_takes_the_remembering_path():
    """3,000 items, 5 a person: no column meets as many as there are items; sums must not leak into the next column."""
    rng = np.random.default_rng(1)
    dense = np.zeros((400, 3000))
    for row in dense:
        row[rng.choice(3000, 5, replace=False) % 600] = 1
    G = dense.T @ dense
    np.fill_diagonal(G, 0.0)
    ones = np.ones(3000)
    found = top_k_similar(csr_array(dense.astype(np.float32)), np.ones(400), ones, SimilarityRule(1.0, 1.0), 4)
    np.testing.assert_array_equal(found.toarray(), cut(G, 4))


@pytest.mark.parametrize("name", ["cosine", "jaccard", "dice"])
def test_a_measure_of_equals_is_one_and_leans_as_told(name):
    size = np.array([9.0, 4.0])
    same = similarity_rule(name, 0.5, 0.0)
    source, target = same.source_side(size), same.target_side(size)
    below = source * target if same.product else source + target - same.twice * size
    np.testing.assert_allclose(size / below, 1.0)
    leaning = similarity_rule(name, 1.0, 0.0)
    factor = 2.0 if name == "jaccard" else 1.0
    np.testing.assert_allclose(leaning.source_side(size), factor * size)
    np.testing.assert_allclose(leaning.target_side(size), 1.0 if name == "cosine" else 0.0)


def test_words_average_one_and_fall_with_length():
    X = csr_array(np.tril(np.ones((6, 6), dtype=np.float32)))
    a = idf_weights("tfidf", X)
    assert (np.diff(a) < 0).all()
    assert a @ np.arange(1, 7) == pytest.approx(21)
    np.testing.assert_allclose(a / a[0], (np.log1p(6 / np.arange(1, 7)) / np.log(7)) ** 2)
    np.testing.assert_array_equal(idf_weights("none", X), 1.0)


def test_documents_fall_with_length_by_b():
    count = np.array([1.0, 2.0, 6.0])
    np.testing.assert_allclose(bm25_length_norm("bm25", count, 1.2, 0.5), 2.2 / (1 + 1.2 * (0.5 + 0.5 * count / 3)))
    np.testing.assert_array_equal(bm25_length_norm("tfidf", count, 1.2, 0.5), 1.0)
