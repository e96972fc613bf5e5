"""UserKNN against its definition, person by person; and its kernel on both of its paths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.data import Histories
from matinee.models.user_knn import UserKNN
from tests.logs import log_of, random_log

TOY = {"neighbours": 100}
"""More than there are people: which of two equally near ones comes last in is a matter of codes."""


def by_hand(X, asked, similarity, k, *, alpha=0.5, shrink=0.0, weight=None):
    """Scores (m, n_items) in float64: everybody compared with everybody, the k best by (similarity, code)."""
    weight = np.ones(X.shape[1]) if weight is None else weight
    size, own = X @ weight, asked @ weight
    shared = (asked * weight) @ X.T
    if similarity == "cosine":
        below = size[None, :] ** alpha * own[:, None] ** (1 - alpha)
    elif similarity == "jaccard":
        below = shared + 2 * alpha * (size[None, :] - shared) + 2 * (1 - alpha) * (own[:, None] - shared)
    else:
        below = alpha * size[None, :] + (1 - alpha) * own[:, None]
    close = np.divide(shared, below + shrink, where=shared > 0, out=np.zeros_like(shared))
    out = np.zeros(asked.shape)
    for r, row in enumerate(close.round(7)):
        for v in np.argsort(-row, kind="stable")[:k]:
            out[r] += close[r, v] * X[v]
    return out


@pytest.mark.parametrize("similarity", ["cosine", "jaccard", "dice"])
@pytest.mark.parametrize(("alpha", "shrink"), [(0.5, 0.0), (0.2, 5.0), (1.0, 1.0)])
def test_everybody_votes_by_their_similarity(similarity, alpha, shrink):
    log = random_log(seed=3)
    X = log.matrix.toarray().astype(np.float64)
    model = UserKNN(neighbours=1000, similarity=similarity, alpha=alpha, shrink=shrink).fit(log)
    expected = by_hand(X, X, similarity, 1000, alpha=alpha, shrink=shrink)
    np.testing.assert_allclose(model.score(log.histories()), expected, rtol=1e-4)


def test_tfidf_counts_rare_items_more():
    log = random_log(seed=4)
    X = log.matrix.toarray().astype(np.float64)
    idf = np.log(1 + log.n_users / np.maximum(X.sum(axis=0), 1)) ** 2
    idf *= X.sum() / (X.sum(axis=0) @ idf)
    model = UserKNN(neighbours=1000, shrink=2, weighting="tfidf").fit(log)
    expected = by_hand(X, X, "cosine", 1000, shrink=2, weight=idf)
    np.testing.assert_allclose(model.score(log.histories()), expected, rtol=1e-4)


@given(st.integers(0, 10_000), st.integers(1, 30), st.sampled_from([0.02, 0.1, 0.5]), st.sampled_from([0.0, 7.0]))
@settings(max_examples=60, deadline=None)
def test_the_nearest_people_on_both_paths(seed, k, density, shrink):
    """Sparse logs remember whom they met, dense ones look at everybody; k may be more than there are people."""
    rng = np.random.default_rng(seed)
    X = (rng.random((rng.integers(2, 30), rng.integers(2, 40))) < density).astype(np.float64)
    X[0, 0] = 1
    user, item = np.nonzero(X)
    log = log_of(user, item, users=X.shape[0], items=X.shape[1])
    asked = (rng.random((9, X.shape[1])) < 0.3).astype(np.float64)
    asked[:, 1] = 1
    histories = Histories.of([np.flatnonzero(row).tolist() for row in asked], log.items)
    model = UserKNN(neighbours=k, shrink=shrink, similarity="jaccard").fit(log)
    expected = by_hand(X, asked, "jaccard", k, shrink=shrink)
    expected[asked @ X.sum(axis=0) == 0] = X.sum(axis=0)  # nobody took anything of it: what is popular
    np.testing.assert_allclose(model.score(histories), expected, rtol=1e-4, atol=1e-7)


def test_somebody_learned_from_is_their_own_neighbour():
    """One neighbour, oneself: only what was seen gets a score. With two, the nearest other person speaks."""
    log = log_of([0, 0, 0, 1, 1, 1, 2, 2], [0, 1, 2, 0, 1, 3, 3, 4])
    alone = UserKNN(neighbours=1, shrink=0).fit(log).score(log.histories())
    np.testing.assert_allclose(alone, log.matrix.toarray(), rtol=1e-6)
    two = UserKNN(neighbours=2, shrink=0).fit(log).score(log.histories())
    np.testing.assert_allclose(two[0], [1 + 2 / 3, 1 + 2 / 3, 1, 2 / 3, 0], rtol=1e-6)
