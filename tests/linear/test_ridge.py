"""A path of specs gives what fitting each gives, in order, and does the work once."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from matinee.contract import FitContext
from matinee.errors import InsufficientMemoryError
from matinee.linear import ridge
from matinee.models.ease import EASE
from matinee.models.edlae import EDLAE
from matinee.models.item_knn import ItemKNN
from matinee.models.rdlae import RDLAE
from matinee.models.rlae import RLAE
from tests.logs import random_log

PATHS = [
    [EASE(l2=a, popularity_debias=c, unobserved_value=f) for a, f, c in product((5, 50), (0.0, 0.1), (0.0, 0.3))],
    [EASE(l2=9, alpha=a) for a in (0.0, 1.0)],
    [EDLAE(l2=a, dropout=p) for a, p in product((5, 50), (0.0, 0.5))],
    [RLAE(l2=a, xi=x) for x, a in product((0.0, 0.4), (5, 50))],
    [RDLAE(l2=a, dropout=p, xi=x) for a, p, x in product((5, 50), (0.1, 0.5), (0.0, 0.4, 1.0))],
    [ItemKNN(neighbours=k) for k in (3, 9)],
    [],
]


@pytest.mark.parametrize("specs", PATHS, ids=lambda specs: specs[0].kind if specs else "none")
def test_a_path_is_one_fit_after_another(specs):
    log = random_log(seed=1)
    kind = type(specs[0]) if specs else EASE
    together = list(kind.fit_path(specs, log))  # all are kept: none may be written over
    assert [model.spec for model in together] == specs
    for spec, model in zip(specs, together, strict=True):
        np.testing.assert_array_equal(model.score(log.histories()), spec.fit(log).score(log.histories()))


def test_a_path_counts_once_and_inverts_once_for_all_xi(monkeypatch):
    calls = []
    for name in ("gram", "invert"):
        real = getattr(ridge, name)
        monkeypatch.setattr(ridge, name, lambda A, real=real, name=name: calls.append(name) or real(A))
    list(RLAE.fit_path([RLAE(l2=a, xi=x) for a, x in product((5, 50), (0.0, 0.3, 0.6))], random_log()))
    assert calls == ["gram", "invert", "invert"]


def test_a_path_takes_less_memory_where_there_is_less():
    log, specs = random_log(), [RLAE(xi=0.1), RLAE(xi=0.2)]
    needed = specs[0].estimate_memory(log.n_users, log.n_items, len(log))
    tight = list(RLAE.fit_path(specs, log, FitContext(memory_limit=needed)))
    for one, two in zip(tight, RLAE.fit_path(specs, log), strict=True):
        np.testing.assert_array_equal(one.weights, two.weights)
    with pytest.raises(InsufficientMemoryError):
        list(RLAE.fit_path(specs, log, FitContext(memory_limit=needed - 1)))


def test_items_nobody_took_count_as_one():
    count = np.array([0, 1, 7], dtype=np.float32)
    np.testing.assert_allclose(ridge.popularity_power(count, 0.5), np.sqrt(np.array([1, 1, 7]) / 3))
