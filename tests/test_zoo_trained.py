"""One contract for every model that is trained step by step, with no registration: when it stops, and after a kill."""

from __future__ import annotations

from itertools import count

import numpy as np
import polars as pl
import pytest

from matinee import models
from matinee.contract import FitContext
from matinee.data import Histories, Interactions, Vocabulary
from matinee.errors import UnsupportedError
from matinee.nn import train
from tests.logs import random_log
from tests.test_zoo import toy

KINDS = [kind for kind in models.kinds() if models.get(kind).uses_validation]
FEW = 8


@pytest.fixture(params=KINDS)
def spec(request):
    return toy(request.param)


def dying(monkeypatch, at):
    """Keeps a checkpoint after every epoch, and raises at update number `at`; gives the moments of all updates."""
    moments, descend = [], train._optimizer_step

    def counted(loss, optimiser, plan, now):
        moments.append(now)
        if len(moments) == at:
            raise KeyboardInterrupt
        descend(loss, optimiser, plan, now)

    monkeypatch.setattr(train, "monotonic", count(0, 100).__next__)  # every epoch takes long
    monkeypatch.setattr(train, "_optimizer_step", counted)
    return moments


def test_there_are_some():
    assert {"mult_vae", "rec_vae"} <= set(KINDS)


def test_the_best_look_decides_and_is_frozen(spec):
    """The third look is best; training goes on while there is patience, and a fit of that length gives the same."""
    log, looks = random_log(), []

    def validate(model):
        looks.append(model.score(log.histories()))
        return -abs(len(looks) - 3)

    model = spec.model_copy(update={"epochs": 60}).fit(log, FitContext(seed=4, validate=validate))
    settled = model.spec
    assert settled.epochs in (2, 3)  # 2 where it is looked at before it learns, too
    assert len(looks) == 3 + train.TrainConfig(1, 1.0).patience
    assert not np.allclose(looks[0], looks[2])
    np.testing.assert_array_equal(model.score(log.histories()), looks[2])
    again = settled.fit(log, FitContext(seed=4))
    np.testing.assert_array_equal(again.score(log.histories()), looks[2])
    assert again.spec == settled


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_killed_fit_goes_on_to_the_same_model(spec, share, tmp_path, monkeypatch):
    log = random_log()
    spec = spec.model_copy(update={"epochs": FEW})
    with monkeypatch.context() as patch:
        moments = dying(patch, 0)
        whole = spec.fit(log, FitContext(seed=2)).score(log.histories())
    at = int(share * len(moments))
    ctx = FitContext(seed=2, checkpoint_dir=tmp_path)
    again = dying(monkeypatch, at)
    with pytest.raises(KeyboardInterrupt):
        spec.fit(log, ctx)
    np.testing.assert_array_equal(spec.fit(log, ctx).score(log.histories()), whole)
    assert again[:at] == moments[:at]
    assert again[at] == int(again[at - 1])  # from the start of the epoch it died in, not from that of the fit
    assert again[at:] == moments[len(moments) - len(again[at:]) :]


def test_the_checkpoint_of_another_fit_is_not_taken_up(spec, tmp_path, monkeypatch):
    spec = spec.model_copy(update={"epochs": 3})
    with monkeypatch.context() as patch:
        moments = dying(patch, 0)
        spec.fit(random_log(), FitContext(seed=2, checkpoint_dir=tmp_path))
        first = len(moments)
        spec.fit(random_log(seed=8), FitContext(seed=2, checkpoint_dir=tmp_path))
        spec.fit(random_log(seed=8), FitContext(seed=3, checkpoint_dir=tmp_path))
    assert moments[first] == 0.0
    assert sum(moment == 0.0 for moment in moments) == 3


def test_another_seed_is_another_model(spec):
    log = random_log()
    spec = spec.model_copy(update={"epochs": 2})
    one, other = (spec.fit(log, FitContext(seed=seed)).score(log.histories()) for seed in (1, 2))
    assert not np.allclose(one, other, rtol=1e-6, atol=1e-9)


def test_the_checkpoint_of_a_validated_fit_is_not_taken_up_by_one_that_is_not(spec, tmp_path, monkeypatch):
    """The first look is best, so that what the first fit keeps as best is not what the second has to end with."""
    log, spec, looks = random_log(), spec.model_copy(update={"epochs": 3}), iter(range(99))
    dying(monkeypatch, 0)
    alone = spec.fit(log, FitContext(seed=2))
    spec.fit(log, FitContext(seed=2, checkpoint_dir=tmp_path, validate=lambda model: -next(looks)))
    again = spec.fit(log, FitContext(seed=2, checkpoint_dir=tmp_path))
    assert again.spec == alone.spec
    np.testing.assert_array_equal(again.score(log.histories()), alone.score(log.histories()))


def test_items_nobody_took_are_not_shown(spec):
    """Their weights are what they started as: in a history they must not count."""
    log = random_log()
    wide = Interactions.of((log.users, Vocabulary.of(pl.Series([*log.items.ids, 8000]))), log.user, log.item, log.time)
    fitted = spec.fit(wide)
    one, other = (fitted.score(Histories.of([row], wide.items)) for row in ([3, 5], [3, 40, 5]))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_log_without_rows_is_refused(spec):
    log = random_log()
    nothing = Interactions.of((log.users, log.items), log.user[:0], log.item[:0], log.time[:0])
    with pytest.raises(UnsupportedError, match="cannot learn from a log without rows"):
        spec.fit(nothing)
