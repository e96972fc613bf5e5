"""An experiment with a model that validates: epochs from the stop fold, the judged model from the whole learn part."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count

import numpy as np
import polars as pl
import pytest

from matinee.contract import FitContext
from matinee.data.simulation.spec import Simulate
from matinee.metrics import compare, evaluate
from matinee.models.ease import EASE
from matinee.models.mult_dae import MultDAE
from matinee.runs import RunOptions, execute, leaderboard, prepare
from matinee.runs.experiment import Submission, read_experiment
from matinee.runs.refit import submit_experiment
from matinee.runs.validation import fit_early_stopped, validate
from matinee.split import new_users
from matinee.topk import recommend
from tests.observers import RecordingObserver

TABLES = {
    "seed": 5,
    "data": {"kind": "simulate", "users": 120, "items": 60, "rows": 3000},
    "task": {"k": 5, "metric": "recall@5", "extra_metrics": ["ndcg@5"], "stored_k": 20},
    "split": {"kind": "mixture", "n_random": 3, "n_last": 2},
    "model": [{"kind": "mult_dae", "factors": 8, "epochs": 8, "learning_rate": 0.01}],
}


@pytest.fixture
def prepared():
    return prepare(read_experiment(TABLES, "exp.toml"))


def watched(monkeypatch):
    """Every fit: the rows it learnt from, its context, its spec."""
    fits, real = [], MultDAE.fit

    def fit(self, data, ctx):
        fits.append((data, ctx, self))
        return real(self, data, ctx)

    monkeypatch.setattr(MultDAE, "fit", fit)
    return fits


def test_epochs_are_found_on_the_stop_fold_and_the_model_learns_from_everything(prepared, tmp_path, monkeypatch):
    fits = watched(monkeypatch)
    run = execute(prepared, RunOptions(tmp_path))[-1]
    (stop_data, stop_ctx, _), (data, ctx, settled) = fits
    stop = prepared.split.validation_split()
    assert stop_data.fingerprint == stop.train.fingerprint != data.fingerprint == prepared.split.train.fingerprint
    assert stop_ctx.validate is not None
    assert ctx.validate is None
    stopped = prepared.experiment.model[-1].fit(stop_data, FitContext(seed=5, validate=stop_ctx.validate))
    assert settled == stopped.spec
    assert run.producer.refit.epochs == settled.epochs
    assert run.producer.spec.epochs == 8
    assert not list(tmp_path.rglob("*checkpoint*"))
    lists = recommend(stopped, stop.query, 5)
    by_hand = evaluate(lists, stop.target, ["recall@5"])["recall@5"]
    assert stop_ctx.validate(stopped) == pytest.approx(by_hand)
    assert by_hand > 0


def test_the_stop_fold_knows_no_answer(prepared):
    """No pair that the run is judged by is learnt from or validated on before."""
    split = prepared.split
    row = np.repeat(split.target.user, split.target.count)
    answers = set(zip(row.tolist(), split.target.item.tolist(), strict=True))
    stop = split.validation_split()
    held = np.repeat(stop.target.user, stop.target.count)
    for user, item in ((stop.train.user, stop.train.item), (held, stop.target.item)):
        assert not answers & set(zip(user.tolist(), item.tolist(), strict=True))


def test_a_network_is_validated_with_its_history(prepared):
    spec, split, task = prepared.experiment.model[-1], prepared.split, prepared.experiment.task
    observer = RecordingObserver()
    validation = validate(spec, split, task, FitContext(seed=5, observer=observer))
    stopped = fit_early_stopped(spec, split, task, FitContext(seed=5))
    assert validation.spec == stopped.spec
    metrics = [one.metric for one in validation.history]
    assert [one.epoch for one in validation.history] == list(range(1, 9))
    assert validation.metric == max(metrics) == metrics[validation.spec.epochs - 1]
    assert all(one.loss > 0 for one in validation.history)
    assert validation.seconds > 0
    assert [values["metric"] for _, values in observer.of("epoch")] == metrics


def test_a_model_without_epochs_is_validated_by_one_fit(prepared):
    spec, task = EASE(l2=20), prepared.experiment.task
    validation = validate(spec, prepared.split, task)
    inner = prepared.split.validation_split().drop_seen_targets()
    lists = recommend(spec.fit(inner.train), inner.query, 5)
    assert validation.metric == evaluate(lists, inner.target, ["recall@5"])["recall@5"] > 0
    assert validation.spec is spec
    assert validation.history == ()


@pytest.mark.parametrize("die_in", ["stop", "fit", "between"])
def test_a_killed_run_ends_like_one_that_was_not(prepared, tmp_path, monkeypatch, die_in):
    whole = execute(prepared, RunOptions(tmp_path / "whole"))[-1]
    from matinee.nn import train

    monkeypatch.setattr(train, "monotonic", count(0, 100).__next__)  # every epoch takes long
    fits, loss, begun = watched(monkeypatch), MultDAE.reconstruction_loss, []

    def noting(self, net, batch, moment):
        begun.append(moment.epoch)
        return loss(self, net, batch, moment)

    def dying(self, net, batch, moment):
        at_fit = len(fits) == (1 if die_in == "stop" else 2)
        if at_fit and moment.epoch >= (0.0 if die_in == "between" else 1.5):
            raise KeyboardInterrupt
        return loss(self, net, batch, moment)

    with monkeypatch.context() as patch:
        patch.setattr(MultDAE, "reconstruction_loss", dying)
        with pytest.raises(KeyboardInterrupt):
            execute(prepared, RunOptions(tmp_path / "killed"))
    before = len(fits)
    monkeypatch.setattr(MultDAE, "reconstruction_loss", noting)
    again = execute(prepared, RunOptions(tmp_path / "killed"))[-1]
    assert len(fits) - before == (2 if die_in == "stop" else 1)
    assert begun[0] == (0.0 if die_in == "between" else 1.0)
    assert again.record.metrics == whole.record.metrics
    assert again.producer == whole.producer
    one, other = (run.model().state for run in (whole, again))
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])
    assert not list((tmp_path / "killed").rglob("checkpoint*"))
    assert json.loads((again.folder / "run.json").read_text())["producer"]["spec"]["kind"] == "mult_dae"


def test_a_killed_submission_goes_on_where_it_was(prepared, tmp_path, monkeypatch):
    stage = RunOptions(tmp_path / "runs", device="cpu")
    board, to = leaderboard(execute(prepared, stage)), Submission(path=str(tmp_path / "s.csv"), model="mult_dae")
    submit_experiment(prepared, board, to, stage)
    whole = (tmp_path / "s.csv").read_bytes()
    assert not list((tmp_path / "runs").rglob("checkpoint*"))
    (tmp_path / "s.csv").unlink()
    from matinee.nn import train

    monkeypatch.setattr(train, "monotonic", count(0, 100).__next__)
    fits, loss, begun = watched(monkeypatch), MultDAE.reconstruction_loss, []
    dies = [True]

    def noting(self, net, batch, moment):
        if dies[0] and moment.epoch >= 1.0:
            raise KeyboardInterrupt
        begun.append(moment.epoch)
        return loss(self, net, batch, moment)

    monkeypatch.setattr(MultDAE, "reconstruction_loss", noting)
    with pytest.raises(KeyboardInterrupt):
        submit_experiment(prepared, board, to, stage)
    assert not (tmp_path / "s.csv").exists()
    dies[0], stopped = False, len(begun)
    submit_experiment(prepared, board, to, stage)
    assert begun[stopped] == 1.0
    assert (tmp_path / "s.csv").read_bytes() == whole
    assert len(fits) == 2
    assert all(data.fingerprint == prepared.log.fingerprint for data, _, _ in fits)


def test_a_log_too_small_for_a_stop_fold_is_learnt_as_long_as_the_knobs_say(tmp_path):
    """Two rows a person: one is the answer, the other cannot be cut again."""
    rows = [{"user": u, "item": (u + i) % 9, "time": 10**9 + 100 * u + i} for u in range(30) for i in range(2)]
    path = tmp_path / "log.csv"
    pl.DataFrame(rows).write_csv(path)
    tables = {**TABLES, "data": {"kind": "delimited", "path": str(path)}, "split": {"kind": "last_n", "n": 1}}
    observer = RecordingObserver()
    runs = execute(prepare(read_experiment(tables, "exp.toml")), RunOptions(tmp_path / "runs", observer))
    assert runs[-1].producer.refit.epochs == 8
    assert any("warning: the log is too small for a validation split" in line for line in observer.messages)


def test_the_refit_does_not_lose_against_the_stopped_model_on_people_held_out():
    """200 people neither model knows: what the stop fold held back is worth about what it decided costs.

    A refit that did not learn for as long as was found loses twenty times as much as the band allows.
    """
    log = Simulate(users=700, items=120, rows=21_000, seed=3).read()
    split = new_users(log, users=200, seed=3)

    def judged(model):
        return evaluate(replace(recommend(model, split.query, 10), user=split.target.user), split.target, ["recall@10"])

    gains, losses = [], []
    for seed in range(2):
        before = fit_early_stopped(MultDAE(factors=32, learning_rate=3e-3), split, ctx=FitContext(seed=seed))
        assert 10 < before.spec.epochs < 100
        spec = before.spec
        short = spec.model_copy(update={"epochs": before.spec.epochs // 10})
        for one, found in ((spec, gains), (short, losses)):
            found.append(compare(judged(one.fit(split.train, FitContext(seed=seed))), judged(before), "recall@10").mean)
    assert -0.01 < np.mean(gains) < 0.04
    assert np.mean(losses) < -0.03
