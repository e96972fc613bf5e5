"""ADMM-SLIM against its optimality conditions, and against coordinate descent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from matinee.contract import FitContext
from matinee.data import Histories, Interactions, Vocabulary
from matinee.errors import InsufficientMemoryError
from matinee.linear import sharing
from matinee.models import admm_slim
from matinee.models.admm_slim import ADMMSlim
from matinee.shared import SharedWork
from tests.logs import random_log
from tests.observers import RecordingObserver

EXACT = {"tolerance": 1e-6, "max_iter": 2000, "rho": 1.0}


def descend(G, penalty, l1, positive):
    """B (n, n) by coordinate descent on the Gram matrix, one weight at a time."""
    n = len(G)
    B = np.zeros((n, n))
    for j in range(n):
        for _ in range(400):
            for i in range(n):
                if i == j:
                    continue
                rest = G[i, j] - G[i] @ B[:, j] + G[i, i] * B[i, j]
                value = np.sign(rest) * max(abs(rest) - l1, 0.0) / (G[i, i] + penalty[i])
                B[i, j] = max(value, 0.0) if positive else value
    return B


def dense(model):
    return model.weights.toarray() if isinstance(model.weights, csr_array) else model.weights


@pytest.mark.parametrize(("positive", "centre", "alpha"), [(True, False, 0.0), (False, False, 0.7), (False, True, 0.0)])
def test_it_is_where_coordinate_descent_ends(positive, centre, alpha):
    log = random_log(seed=1, items=30, rows=600)
    X = log.matrix.toarray().astype(np.float64)
    count = np.maximum(X.sum(axis=0), 1)
    penalty = 5.0 * (count / count.mean()) ** alpha
    mean = X.mean(axis=0) if centre else np.zeros(30)
    G = (X - mean).T @ (X - mean)
    expected = descend(G, penalty, 2.0, positive)
    spec = ADMMSlim(l1=2.0, l2=5.0, alpha=alpha, non_negative=positive, center=centre, **EXACT)
    model = spec.fit(log)
    B = dense(model)[:30]
    np.testing.assert_allclose(B, expected, atol=1e-4)
    assert 0.05 < (B == 0).mean() - 1 / 30 < 0.95
    np.testing.assert_array_equal(np.diag(B), 0.0)
    asked = Histories.of([[0, 3, 7], list(range(20))], log.items)
    np.testing.assert_allclose(model.score(asked), (asked.matrix.toarray() - mean) @ expected + mean, atol=1e-3)


@pytest.mark.parametrize("positive", [True, False])
def test_optimality(positive):
    """Where a weight lives the gradient is l1 against its sign; where it is zero, the gradient is no larger than l1."""
    log = random_log(seed=2, items=30, rows=600)
    X = log.matrix.toarray().astype(np.float64)
    B = dense(ADMMSlim(l1=3.0, l2=7.0, non_negative=positive, **EXACT).fit(log))
    gradient = X.T @ (X - X @ B) - 7.0 * B
    off = ~np.eye(30, dtype=bool)
    assert np.abs(gradient - 3.0 * np.sign(B))[off & (B != 0)].max() < 5e-3
    assert (gradient if positive else np.abs(gradient))[off & (B == 0)].max() < 3.0 + 5e-3
    assert not positive or (B >= 0).all()


def test_without_l1_and_sign_it_is_ease():
    log = random_log(seed=3)
    X = log.matrix.toarray().astype(np.float64)
    P = np.linalg.inv(X.T @ X + 10.0 * np.eye(log.n_items))
    model = ADMMSlim(l1=0.0, l2=10.0, non_negative=False, **EXACT).fit(log)
    np.testing.assert_allclose(model.weights, np.eye(log.n_items) - P / np.diag(P), atol=1e-4)


def test_rho_changes_the_way_not_the_end():
    log = random_log(seed=4)
    one, two = (dense(ADMMSlim(l2=20.0, rho=rho, tolerance=1e-6, max_iter=3000).fit(log)) for rho in (0.5, 5.0))
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_few_weights_are_kept_sparse():
    log = random_log(seed=5)
    few, many = ADMMSlim(l1=8.0).fit(log), ADMMSlim(l1=0.0, non_negative=False).fit(log)
    assert isinstance(few.weights, csr_array)
    assert few.weights.nnz == np.count_nonzero(few.weights.toarray())
    assert isinstance(many.weights, np.ndarray)


GRID = [
    *(ADMMSlim(l1=a, l2=b, non_negative=p, **EXACT) for b in (5, 50) for p in (False, True) for a in (4.0, 2.0, 0.5)),
    ADMMSlim(l1=2.0, l2=50, alpha=0.8, **EXACT),
    ADMMSlim(l1=2.0, l2=50, alpha=0.8, **{**EXACT, "rho": 2.0}),
    *(ADMMSlim(l1=a, l2=50, center=True, **EXACT) for a in (2.0, 0.0)),
]


def test_shared_fits_agree_with_separate_ones():
    log, ctx = random_log(seed=6), FitContext(shared=SharedWork(10**7))
    together = [spec.fit(log, ctx) for spec in GRID]  # all are compared at the end: none may be written over
    assert [model.spec for model in together] == GRID
    for spec, model in zip(GRID, together, strict=True):
        np.testing.assert_allclose(dense(model), dense(spec.fit(log)), atol=1e-4)


def steps_of(fit):
    observer = RecordingObserver()
    fit(FitContext(observer=observer))
    return [done for _, _, done in observer.steps]


def test_a_grid_shares_the_gram_and_the_inverse_and_needs_fewer_steps(monkeypatch):
    calls = []
    for module, name in ((sharing, "gram"), (admm_slim, "invert")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda A, real=real, name=name: calls.append(name) or real(A))
    log = random_log(seed=7, users=300, items=120, rows=6000)
    specs = [ADMMSlim(l1=a, l2=b, tolerance=1e-3) for b in (20, 60) for a in (3.0, 2.5, 2.0)]
    shared = SharedWork(10**7)
    warm = steps_of(lambda ctx: [spec.fit(log, replace(ctx, shared=shared)) for spec in specs])
    assert calls == ["gram", "invert", "invert"]
    assert len({spec.shared_key() for spec in specs}) == 2
    cold = [steps_of(lambda ctx, spec=spec: spec.fit(log, ctx))[0] for spec in specs]
    assert [warm[0], warm[3]] == [cold[0], cold[3]]
    assert sum(warm) < 0.9 * sum(cold)


def test_without_memory_for_shared_work_a_fit_has_the_bits_of_a_separate_one():
    log, specs = random_log(), [ADMMSlim(l1=1.0), ADMMSlim(l1=2.0)]
    needed = specs[0].estimate_memory(log.n_users, log.n_items, len(log))
    ctx = FitContext(memory_limit=needed, shared=SharedWork(10**7))
    for spec in specs:
        np.testing.assert_array_equal(dense(spec.fit(log, ctx)), dense(spec.fit(log)))
    with pytest.raises(InsufficientMemoryError):
        specs[0].fit(log, replace(ctx, memory_limit=needed - 1))


def test_centred_scores_do_not_depend_on_people_without_a_row():
    log = random_log()
    wide = Interactions.of((Vocabulary.of(pl.Series(range(600))), log.items), 9 * log.user, log.item, log.time)
    one, other = (ADMMSlim(center=True).fit(data).score(log.histories()) for data in (log, wide))
    np.testing.assert_array_equal(one, other)
