"""P³α against the walk it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.models.p3alpha import P3Alpha
from tests.logs import random_log


def steps(log, alpha):
    """The two kinds of steps (items → people, people → items), every probability raised to alpha."""
    X = log.matrix.toarray().astype(np.float64)
    return (X / X.sum(axis=0)).T ** alpha, (X / X.sum(axis=1, keepdims=True)) ** alpha


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.7])
def test_the_whole_walk_is_a_product_of_steps(alpha):
    log = random_log(seed=1)
    there, back = steps(log, alpha)
    W = there @ back
    if alpha == 1.0:
        np.testing.assert_allclose(W.sum(axis=1), 1.0)  # a walk goes somewhere: before the diagonal is left out
    np.fill_diagonal(W, 0.0)
    model = P3Alpha(neighbours=1000, alpha=alpha, normalize=False).fit(log)
    np.testing.assert_allclose(model.weights.toarray(), W, rtol=1e-5)
    np.testing.assert_allclose(model.score(log.histories()), log.matrix @ W, rtol=1e-4)


def test_the_walk_is_where_random_walkers_end():
    """A hundred thousand walkers from one person, against the scores (α = 1), up to sampling noise."""
    log = random_log(seed=2, users=12, items=8, rows=60)
    rng = np.random.default_rng(0)
    X = log.matrix.toarray() > 0
    mine = np.flatnonzero(X[0])
    ends, walkers = np.zeros(log.n_items), 40_000
    for _ in range(walkers):
        i = rng.choice(mine)
        j = rng.choice(np.flatnonzero(X[rng.choice(np.flatnonzero(X[:, i]))]))
        ends[j] += i != j
    scores = P3Alpha(neighbours=1000, alpha=1.0, normalize=False).fit(log).score(log.histories())[0] / len(mine)
    np.testing.assert_allclose(ends / walkers, scores, atol=5 * 0.5 / np.sqrt(walkers))


@pytest.mark.parametrize("keep", ["columns", "rows"])
def test_the_cut_is_by_the_side_that_is_named(keep):
    log = random_log(seed=3)
    there, back = steps(log, 0.8)
    W = there @ back
    np.fill_diagonal(W, 0.0)
    side = W if keep == "rows" else W.T
    kept = np.zeros_like(side)
    for row, values in enumerate(side):
        best = np.argsort(-values, kind="stable")[:4]
        kept[row, best] = values[best]
    expected = kept if keep == "rows" else kept.T
    found = P3Alpha(neighbours=4, alpha=0.8, prune=keep, normalize=False).fit(log).weights.toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    rows = expected.sum(axis=1, keepdims=True)
    normalised = P3Alpha(neighbours=4, alpha=0.8, prune=keep, normalize=True).fit(log).weights.toarray()
    np.testing.assert_allclose(normalised, np.divide(expected, rows, where=rows > 0, out=np.zeros_like(W)), rtol=1e-5)
