"""A change repeats only the stages it concerns."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from matinee.models.ease import EASE
from matinee.models.mult_dae import MultDAE
from matinee.runs import RunOptions, execute, prepare
from matinee.runs.experiment import read_experiment
from matinee.runs.job import ModelJob
from matinee.runs.keys import code_of, of_model
from matinee.runs.pipeline import run_experiment
from tests.observers import RecordingObserver
from tests.runs.test_execute import TABLES


def job(spec=None, **changes):
    prepared = prepare(read_experiment({**TABLES, **changes}, "exp.toml"))
    return ModelJob(prepared, spec or EASE(l2=20), 5, RunOptions(None))


def task(**changes):
    return {**TABLES["task"], **changes}


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"extra_metrics": ["hit@5"]}, "fit lists"),
        ({"extra_metrics": ["ndcg@5", "coverage@5"]}, "fit lists metrics"),
        ({"metric": "ndcg@5"}, "fit lists"),
        ({"profile": "rectools"}, "fit lists"),
        ({"k": 4}, "fit lists"),
        ({"stored_k": 30}, "fit"),
        ({"available": "train"}, "fit"),
        ({"seen": "include"}, ""),
    ],
)
def test_what_a_change_of_the_task_repeats(changes, same):
    """`seen` decides the split, too: which targets there are."""
    one, other = job().keys, job(task=task(**changes)).keys
    assert {name for name, key in one.model_dump().items() if getattr(other, name) == key} == set(same.split())


def test_a_fit_that_validates_depends_on_the_metric_it_validates_by():
    spec = MultDAE(epochs=2)
    assert job(spec).keys.fit != job(spec, task=task(metric="ndcg@5")).keys.fit
    assert job(spec).keys.fit == job(spec, task=task(extra_metrics=["hit@5"])).keys.fit


def test_another_metric_fits_and_searches_nothing(tmp_path, monkeypatch):
    tables = {**TABLES, "ensemble": {"kind": "fixed", "members": ["ease", "item_knn"], "depth": 20}}
    first = run_experiment(prepare(read_experiment(tables, "exp.toml")), RunOptions(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(EASE, "fit", lambda *a, **k: pytest.fail("fitted again"))
        patch.setattr("matinee.runs.job.recommend", lambda *a, **k: pytest.fail("listed again"))
        patch.setattr("matinee.runs.combine.search", lambda *a, **k: pytest.fail("searched again"))
        prepared = prepare(read_experiment({**tables, "task": task(extra_metrics=["hit@5", "map@5"])}, "exp.toml"))
        again = run_experiment(prepared, RunOptions(tmp_path))
    for one, other in zip(first, again, strict=True):
        assert one.name != other.name
        assert set(other.record.metrics) == {"recall@5", "hit@5", "map@5"}
        assert other.record.metrics["recall@5"] == one.record.metrics["recall@5"]
        assert (other.folder / "lists.parquet").read_bytes() == (one.folder / "lists.parquet").read_bytes()
        assert other.producer == one.producer
        other.verify()
    np.testing.assert_array_equal(again[2].model().weights, first[2].model().weights)


def test_a_damaged_run_gives_nothing_to_another(tmp_path):
    first = execute(prepare(read_experiment(TABLES, "exp.toml")), RunOptions(tmp_path))[-1]
    path = first.folder / "lists.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    observer = RecordingObserver()
    changed = prepare(read_experiment({**TABLES, "task": task(extra_metrics=["hit@5"])}, "exp.toml"))
    again = execute(changed, RunOptions(tmp_path, observer))[-1]
    assert not any(first.name in line and "same fit" in line for line in observer.messages)
    assert again.record.metrics["recall@5"] == first.record.metrics["recall@5"]


def test_deeper_lists_are_made_with_the_model_of_another_run(tmp_path, monkeypatch):
    execute(prepare(read_experiment(TABLES, "exp.toml")), RunOptions(tmp_path))
    monkeypatch.setattr(EASE, "fit", lambda *a, **k: pytest.fail("fitted again"))
    prepared = prepare(read_experiment({**TABLES, "task": task(stored_k=30)}, "exp.toml"))
    run = execute(prepared, RunOptions(tmp_path))[-1]
    assert run.lists(prepared.log.users, prepared.log.items).k == 30


def test_a_model_whose_source_changed_is_another_fit(tmp_path, monkeypatch):
    source = 'from matinee.models.ease import EASE\n\nclass Mine(EASE):\n    """Ours."""\n'
    path = tmp_path / "mine_for_keys.py"
    path.write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    from importlib import import_module

    mine = import_module("mine_for_keys").Mine
    entry = EntryPoint("mine", "mine_for_keys:Mine", "matinee.models")
    monkeypatch.setattr("matinee.spec.entry_points", lambda group=None: [entry] if group == "matinee.models" else [])
    monkeypatch.setattr(mine, "registered_as", "mine")
    before = of_model(mine(), 5, job().prepared.experiment.task)
    path.write_text(source + "# another formula\n")
    assert of_model(mine(), 5, job().prepared.experiment.task) != before
    sys.modules.pop("mine_for_keys")


def test_the_version_of_an_outside_package_counts(monkeypatch):
    class Dist:
        name, version = "theirs", "1.2"

    entry = EntryPoint("ease", "matinee.models.ease:EASE", "matinee.models")
    vars(entry).update(dist=Dist())
    monkeypatch.setattr("matinee.spec.entry_points", lambda group: [entry])
    before = code_of(EASE())
    assert before["version"] == "1.2"
    Dist.version = "1.3"
    assert code_of(EASE()) != before
