"""SLIM's spec: what its knobs do to the weights. The descent itself: tests/linear/test_descent.py."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from matinee.contract import FitContext
from matinee.errors import InsufficientMemoryError
from matinee.linear import sharing
from matinee.models import slim
from matinee.models.ease import EASE
from matinee.models.slim import SLIM
from matinee.shared import SharedWork
from tests.logs import random_log

TOY = {"l1": 0.5, "l2": 2.0, "tolerance": 1e-5}


def test_freed_of_all_its_knobs_it_is_ease():
    log = random_log(seed=5)
    free = SLIM(l1=0, l2=7, non_negative=False, tolerance=1e-8, max_iter=5000).fit(log)
    np.testing.assert_allclose(free.weights.toarray(), EASE(l2=7).fit(log).weights, atol=5e-6)


def test_weights_are_sparse_non_negative_and_never_own():
    W = SLIM(**TOY).fit(random_log(seed=6)).weights
    assert 0 < W.nnz < 0.6 * 40 * 40
    assert W.data.min() > 0
    np.testing.assert_array_equal(W.diagonal(), 0)


def test_a_larger_lasso_leaves_fewer_weights():
    log = random_log(seed=7)
    kept = [SLIM(l1=l1, l2=2).fit(log).weights.nnz for l1 in (0.1, 1.0, 3.0, 1000.0)]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > 2 * kept[2] > 0 == kept[3]


def test_no_more_neighbours_than_asked():
    W = SLIM(l1=0, l2=1, neighbours=4).fit(random_log(seed=8)).weights
    assert np.diff(W.tocsc().indptr).max() == 4


def test_shared_fits_agree_with_separate_ones(monkeypatch):
    calls = []
    real = sharing.gram
    monkeypatch.setattr(sharing, "gram", lambda X: calls.append(1) or real(X))
    log, ctx = random_log(seed=9), FitContext(shared=SharedWork(10**7))
    fine = {"tolerance": 1e-7, "max_iter": 5000}
    specs = [SLIM(l1=a, l2=b, non_negative=p, **fine) for b, p, a in product((2, 40), (False, True), (3.0, 1.0, 0.2))]
    specs.append(SLIM(l1=0.2, l2=40, neighbours=4, **fine))
    together = [spec.fit(log, ctx) for spec in specs]  # all are compared at the end: none may be written over
    assert [model.spec for model in together] == specs
    assert len(calls) == 1
    assert len({spec.shared_key() for spec in specs}) == 5
    for spec, model in zip(specs, together, strict=True):
        np.testing.assert_allclose(model.weights.toarray(), spec.fit(log).weights.toarray(), atol=1e-5)


def test_a_shared_fit_starts_from_the_previous_weights(monkeypatch):
    starts = []
    real = slim.coordinate_descent
    monkeypatch.setattr(slim, "coordinate_descent", lambda *a: starts.append(a[3]) or real(*a))
    log, ctx = random_log(), FitContext(shared=SharedWork(10**7))
    first = SLIM(l1=1.0).fit(log, ctx)
    SLIM(l1=0.5).fit(log, ctx)
    SLIM(l1=0.5).fit(random_log(seed=1), ctx)  # another log
    assert starts[0] is None
    assert starts[2] is None
    np.testing.assert_array_equal(starts[1].toarray(), first.weights.toarray())
    assert first.weights.data.flags.writeable


def test_without_memory_for_shared_work_a_fit_has_the_bits_of_a_separate_one():
    log, specs = random_log(), [SLIM(l1=1.0), SLIM(l1=0.5)]
    needed = specs[0].estimate_memory(log.n_users, log.n_items, len(log))
    ctx = FitContext(memory_limit=needed, shared=SharedWork(10**7))
    for spec in specs:
        np.testing.assert_array_equal(spec.fit(log, ctx).weights.toarray(), spec.fit(log).weights.toarray())
    with pytest.raises(InsufficientMemoryError):
        specs[0].fit(log, replace(ctx, memory_limit=needed - 1))
