"""ItemKNN against a few lines of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.models.item_knn import ItemKNN
from matinee.topk import StreamsTopK, recommend
from tests.logs import random_log


def dense(log):
    return log.matrix.toarray().astype(np.float64)


def weights(log, **knobs):
    return (
        ItemKNN(**{"neighbours": 1000, "shrink": 0.0, "alpha": 0.5, "weighting": "none", **knobs})
        .fit(log)
        .weights.toarray()
    )


def test_all_neighbours_without_shrinking_is_the_cosine():
    log = random_log(seed=3)
    X = dense(log)
    norm = np.linalg.norm(X, axis=0)
    cosine = (X.T @ X) / np.outer(norm, norm)
    np.fill_diagonal(cosine, 0.0)
    model = ItemKNN(neighbours=1000, shrink=0, alpha=0.5, weighting="none").fit(log)
    np.testing.assert_allclose(model.score(log.histories()), X @ cosine, rtol=1e-5)


def test_alpha_one_is_the_share_of_the_voters_people():
    log = random_log(seed=3)
    X = dense(log)
    share = (X.T @ X) / X.sum(axis=0)[:, None]
    np.fill_diagonal(share, 0.0)
    np.testing.assert_allclose(weights(log, alpha=1), share, rtol=1e-5)


@pytest.mark.parametrize("shrink", [0.0, 4.0])
def test_jaccard_and_dice_count_sets(shrink):
    log = random_log(seed=5)
    people = [set(np.flatnonzero(column)) for column in dense(log).T]
    jaccard, dice = np.zeros((2, log.n_items, log.n_items))
    for i, a in enumerate(people):
        for j, b in enumerate(people):
            if i != j:
                jaccard[i, j] = len(a & b) / (len(a | b) + shrink)
                dice[i, j] = len(a & b) / ((len(a) + len(b)) / 2 + shrink)
    np.testing.assert_allclose(weights(log, similarity="jaccard", shrink=shrink), jaccard, rtol=1e-5)
    np.testing.assert_allclose(weights(log, similarity="dice", shrink=shrink), dice, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_leaning_jaccard_is_tversky(alpha):
    """G / (G + 2α |i − j| + 2(1−α) |j − i|)."""
    log = random_log(seed=5)
    X = dense(log)
    G, n = X.T @ X, X.sum(axis=0)
    tversky = G / (G + 2 * alpha * (n[:, None] - G) + 2 * (1 - alpha) * (n[None, :] - G))
    np.fill_diagonal(tversky, 0.0)
    np.testing.assert_allclose(weights(log, similarity="jaccard", alpha=alpha), tversky, rtol=1e-5)


def test_weighting_is_the_cosine_of_the_weighted_log():
    """Weights written into the log, the cosine of that; a voting item's own factor stays in the score."""
    log = random_log(seed=6)
    X = dense(log)
    length, count = X.sum(axis=1, keepdims=True), X.sum(axis=0, keepdims=True)
    tfidf = X * np.log(1 + log.n_items / length)
    bm25 = tfidf * (2.0 + 1) / (1 + 2.0 * (1 - 0.6 + 0.6 * count / count.mean()))
    for name, weighted, vote in (("tfidf", tfidf, X), ("bm25", bm25, bm25 / tfidf.max(axis=1, keepdims=True))):
        norm = np.linalg.norm(weighted, axis=0)
        cosine = (weighted.T @ weighted) / np.outer(norm, norm)
        np.fill_diagonal(cosine, 0.0)
        model = ItemKNN(neighbours=1000, shrink=0, alpha=0.5, weighting=name, k1=2.0, b=0.6).fit(log)
        np.testing.assert_allclose(model.score(log.histories()), vote @ cosine, rtol=1e-5)


def test_bm25_without_k1_or_b_is_tfidf():
    log = random_log(seed=6)
    tfidf = weights(log, weighting="tfidf", neighbours=9)
    np.testing.assert_allclose(weights(log, weighting="bm25", k1=0, neighbours=9), tfidf, rtol=1e-6)
    np.testing.assert_allclose(weights(log, weighting="bm25", b=0, neighbours=9), tfidf, rtol=1e-6)


def test_every_item_keeps_its_own_nearest():
    model = ItemKNN(neighbours=3).fit(random_log(seed=4))
    assert np.diff(model.weights.tocsc().indptr).max() == 3


def test_fused_lists_are_those_of_the_scores():
    log = random_log(seed=4)
    model = ItemKNN(neighbours=30, similarity="jaccard", weighting="bm25").fit(log)
    assert isinstance(model, StreamsTopK)
    scores = np.where(dense(log) > 0, -np.inf, model.score(log.histories()))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    lists = recommend(model, log.histories(), 5)
    np.testing.assert_allclose(lists.score, np.take_along_axis(scores, best, axis=1), rtol=1e-5)
