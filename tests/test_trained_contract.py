"""A contract for every model that is trained step by step: early stopping, and resuming after a kill."""

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
from tests.toys import toy

KINDS = [kind for kind in models.kinds() if models.get(kind).uses_validation]
FEW_EPOCHS = 8


@pytest.fixture(params=KINDS)
def spec(request):
    return toy(request.param)


def interrupt_at(monkeypatch, at):
    """Write a checkpoint after every epoch, raise at update `at`; the times of all updates in epochs."""
    times, step = [], train._optimizer_step

    def counted(loss, optimiser, plan, now):
        times.append(now)
        if len(times) == at:
            raise KeyboardInterrupt
        step(loss, optimiser, plan, now)

    monkeypatch.setattr(train, "monotonic", count(0, 100).__next__)  # every epoch takes long
    monkeypatch.setattr(train, "_optimizer_step", counted)
    return times


def test_there_are_trained_models():
    assert {"mult_vae", "rec_vae"} <= set(KINDS)


def test_the_best_evaluation_determines_the_epochs(spec):
    """The third evaluation is best: training ends after `patience` more, and a fit of that length is the same."""
    log, scores = random_log(), []

    def validate(model):
        scores.append(model.score(log.histories()))
        return -abs(len(scores) - 3)

    model = spec.model_copy(update={"epochs": 60}).fit(log, FitContext(seed=4, validate=validate))
    resolved = model.spec
    assert resolved.epochs in (2, 3)  # 2 where it is also evaluated before the first epoch
    assert len(scores) == 3 + train.TrainConfig(1, 1.0).patience
    assert not np.allclose(scores[0], scores[2])
    np.testing.assert_array_equal(model.score(log.histories()), scores[2])
    again = resolved.fit(log, FitContext(seed=4))
    np.testing.assert_array_equal(again.score(log.histories()), scores[2])
    assert again.spec == resolved


@pytest.mark.parametrize("fraction", [0.3, 0.7])
def test_a_killed_fit_resumes_to_the_same_model(spec, fraction, tmp_path, monkeypatch):
    log = random_log()
    spec = spec.model_copy(update={"epochs": FEW_EPOCHS})
    with monkeypatch.context() as patch:
        times = interrupt_at(patch, 0)
        whole = spec.fit(log, FitContext(seed=2)).score(log.histories())
    at = int(fraction * len(times))
    ctx = FitContext(seed=2, checkpoint_dir=tmp_path)
    again = interrupt_at(monkeypatch, at)
    with pytest.raises(KeyboardInterrupt):
        spec.fit(log, ctx)
    np.testing.assert_array_equal(spec.fit(log, ctx).score(log.histories()), whole)
    assert again[:at] == times[:at]
    assert again[at] == int(again[at - 1])  # the start of the interrupted epoch, not of the fit
    assert again[at:] == times[len(times) - len(again[at:]) :]


def test_the_checkpoint_of_another_fit_is_not_used(spec, tmp_path, monkeypatch):
    spec = spec.model_copy(update={"epochs": 3})
    with monkeypatch.context() as patch:
        times = interrupt_at(patch, 0)
        spec.fit(random_log(), FitContext(seed=2, checkpoint_dir=tmp_path))
        first = len(times)
        spec.fit(random_log(seed=8), FitContext(seed=2, checkpoint_dir=tmp_path))
        spec.fit(random_log(seed=8), FitContext(seed=3, checkpoint_dir=tmp_path))
    assert times[first] == 0.0
    assert sum(time == 0.0 for time in times) == 3


def test_another_seed_gives_another_model(spec):
    log = random_log()
    spec = spec.model_copy(update={"epochs": 2})
    first, second = (spec.fit(log, FitContext(seed=seed)).score(log.histories()) for seed in (1, 2))
    assert not np.allclose(first, second, rtol=1e-6, atol=1e-9)


def test_the_checkpoint_of_a_validated_fit_is_not_used_without_validation(spec, tmp_path, monkeypatch):
    """The first evaluation is best, so the best weights of the first fit differ from the last of the second."""
    log, spec, falling = random_log(), spec.model_copy(update={"epochs": 3}), iter(range(0, -99, -1))
    interrupt_at(monkeypatch, 0)
    alone = spec.fit(log, FitContext(seed=2))
    spec.fit(log, FitContext(seed=2, checkpoint_dir=tmp_path, validate=lambda model: next(falling)))
    again = spec.fit(log, FitContext(seed=2, checkpoint_dir=tmp_path))
    assert again.spec == alone.spec
    np.testing.assert_array_equal(again.score(log.histories()), alone.score(log.histories()))


def test_items_without_interactions_are_no_input(spec):
    """They have their initial weights, which must not affect scores."""
    log = random_log()
    wide = Interactions.of((log.users, Vocabulary.of(pl.Series([*log.items.ids, 8000]))), log.user, log.item, log.time)
    fitted = spec.fit(wide)
    first, second = (fitted.score(Histories.of([row], wide.items)) for row in ([3, 5], [3, 40, 5]))
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


def test_a_log_without_rows_is_refused(spec):
    log = random_log()
    empty = Interactions.of((log.users, log.items), log.user[:0], log.item[:0], log.time[:0])
    with pytest.raises(UnsupportedError, match="cannot learn from a log without rows"):
        spec.fit(empty)
