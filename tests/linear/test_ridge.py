"""The EASE family with shared work: the same bits, computed once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest

from matinee.contract import FitContext
from matinee.errors import InsufficientMemoryError
from matinee.linear import ridge, sharing
from matinee.models.directional import Directional
from matinee.models.ease import EASE
from matinee.models.easer import EASER
from matinee.models.edlae import EDLAE
from matinee.models.gf_cf import GFCF
from matinee.models.rdlae import RDLAE
from matinee.models.rlae import RLAE
from matinee.models.turbo_cf import TurboCF
from matinee.shared import SharedWork
from tests.logs import random_log

GRIDS = [
    [EASE(l2=a, popularity_debias=c, unobserved_value=f) for a, f, c in product((5, 50), (0.0, 0.1), (0.0, 0.3))],
    [EASE(l2=9, alpha=a) for a in (0.0, 1.0)],
    [EDLAE(l2=a, dropout=p) for a, p in product((5, 50), (0.0, 0.5))],
    [RLAE(l2=a, xi=x) for x, a in product((0.0, 0.4), (5, 50))],
    [RDLAE(l2=a, dropout=p, xi=x) for a, p, x in product((5, 50), (0.1, 0.5), (0.0, 0.4, 1.0))],
    [Directional(set_weight=w, l2=a) for w, a in product((0.2, 0.7), (5, 50))],
    [EASER(pairs=p, l2=5) for p in (5, 20)],
    [TurboCF(filter=f) for f in ("linear", "quadratic", "cubic", "linear")] + [GFCF(low_pass=w) for w in (0.0, 0.5)],
]
BYTES = 10**7


@pytest.fixture
def calls(monkeypatch):
    """The Gram matrices and inverses that are computed, in order."""
    names = []
    for module, name in ((sharing, "gram"), (ridge, "invert"), (sharing, "weighted_gram")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *A, real=real, name=name: names.append(name) or real(*A))
    return names


@pytest.mark.parametrize("limit", [BYTES, 2 * 4 * 40**2, 4 * 40**2, 0])
@pytest.mark.parametrize("specs", GRIDS, ids=lambda specs: specs[0].kind)
def test_a_shared_fit_has_the_bits_of_a_separate_one(specs, limit):
    log = random_log(seed=1)
    ctx = FitContext(shared=SharedWork(limit))
    together = [spec.fit(log, ctx) for spec in specs]  # all are compared at the end: none may be written over
    assert [model.spec for model in together] == specs
    for spec, model in zip(specs, together, strict=True):
        np.testing.assert_array_equal(model.score(log.histories()), spec.fit(log).score(log.histories()))


def test_a_grid_computes_one_gram_and_one_inverse_per_key(calls):
    log, ctx = random_log(), FitContext(shared=SharedWork(BYTES))
    specs = [RLAE(l2=a, xi=x) for x, a in product((0.0, 0.3, 0.6), (5, 50))]
    for spec in specs:
        spec.fit(log, ctx)
    assert calls == ["gram", "invert", "invert"]
    EASE(l2=5, popularity_debias=0.2).fit(log, ctx)  # the same inverse in another model
    assert calls == ["gram", "invert", "invert"]
    assert len({spec.shared_key() for spec in [*specs, EASE(l2=5, popularity_debias=0.2)]}) == 2
    EASE(l2=5).fit(random_log(seed=3), ctx)  # another log
    assert calls[3:] == ["gram", "invert"]


def test_a_filter_grid_computes_one_weighted_gram(calls):
    log, ctx = random_log(), FitContext(shared=SharedWork(BYTES))
    specs = [TurboCF(filter="linear"), TurboCF(filter="cubic"), GFCF(), GFCF(low_pass=0.1)]
    for spec in specs:
        spec.fit(log, ctx)
    assert calls == ["weighted_gram"]
    assert len({spec.shared_key() for spec in specs}) == 1


def test_two_threads_compute_once(calls):
    log, ctx = random_log(users=200, items=150, rows=6000), FitContext(shared=SharedWork(BYTES))
    specs = [RLAE(xi=x) for x in (0.0, 0.2, 0.4, 0.6)]
    with ThreadPoolExecutor(2) as pool:
        models = list(pool.map(lambda spec: spec.fit(log, ctx), specs))
    assert calls == ["gram", "invert"]
    for spec, model in zip(specs, models, strict=True):
        np.testing.assert_array_equal(model.weights, spec.fit(log).weights)


def test_a_fit_takes_the_memory_of_shared_work_where_it_needs_it(calls):
    log, specs = random_log(), [RLAE(xi=0.1), RLAE(xi=0.2)]
    needed = specs[0].estimate_memory(log.n_users, log.n_items, len(log))
    one = 4 * log.n_items**2
    for extra, expected in ((2 * one, ["gram", "invert"]), (one, ["gram", "invert"]), (0, ["gram", "invert"] * 2)):
        calls.clear()
        ctx = FitContext(memory_limit=needed + extra, shared=SharedWork(BYTES))
        for spec in specs:
            np.testing.assert_array_equal(spec.fit(log, ctx).weights, spec.fit(log).weights)
            assert ctx.shared.n_bytes <= extra
        separate = ["gram", "invert"] * len(specs)
        assert len(calls) - len(separate) == len(expected)
    with pytest.raises(InsufficientMemoryError):
        specs[0].fit(log, FitContext(memory_limit=needed - 1, shared=SharedWork(BYTES)))


def test_items_without_users_count_as_one():
    count = np.array([0, 1, 7], dtype=np.float32)
    np.testing.assert_allclose(ridge.popularity_power(count, 0.5), np.sqrt(np.array([1, 1, 7]) / 3))
