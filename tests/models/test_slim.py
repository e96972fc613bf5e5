"""SLIM's spec: what its knobs do to the weights. The descent itself: tests/linear/test_descent.py."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from matinee.contract import FitContext
from matinee.errors import InsufficientMemoryError
from matinee.models import slim
from matinee.models.ease import EASE
from matinee.models.slim import SLIM
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


def test_a_path_is_one_fit_after_another():
    log = random_log(seed=9)
    fine = {"tolerance": 1e-7, "max_iter": 5000}
    specs = [SLIM(l1=a, l2=b, non_negative=p, **fine) for b, p, a in product((2, 40), (False, True), (3.0, 1.0, 0.2))]
    specs.append(SLIM(l1=0.2, l2=40, neighbours=4, **fine))
    together = list(SLIM.fit_path(specs, log))  # all are kept: none may be written over
    assert [model.spec for model in together] == specs
    for spec, model in zip(specs, together, strict=True):
        np.testing.assert_allclose(model.weights.toarray(), spec.fit(log).weights.toarray(), atol=1e-5)
    assert list(SLIM.fit_path([], log)) == []


def test_a_path_counts_once_and_takes_less_memory_where_there_is_less(monkeypatch):
    log, specs = random_log(), [SLIM(l1=1.0), SLIM(l1=0.5)]
    calls = []
    real = slim.gram
    monkeypatch.setattr(slim, "gram", lambda X: calls.append(1) or real(X))
    list(SLIM.fit_path(specs, log))
    assert len(calls) == 1
    needed = specs[0].estimate_memory(log.n_users, log.n_items, len(log))
    tight = list(SLIM.fit_path(specs, log, FitContext(memory_limit=needed)))
    assert len(calls) == 3
    for spec, model in zip(specs, tight, strict=True):
        np.testing.assert_array_equal(model.weights.toarray(), spec.fit(log).weights.toarray())
    with pytest.raises(InsufficientMemoryError):
        list(SLIM.fit_path(specs, log, FitContext(memory_limit=needed - 1)))
