"""Every example file is validated as it stands, and run small."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from matinee.errors import DownloadError
from matinee.runs import RunOptions, load_experiment, prepare
from matinee.runs.demo import DEMO, prepare_demo
from matinee.runs.experiment import read_experiment
from matinee.runs.pipeline import run_experiment
from tests.observers import RecordingObserver

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_runs(path, tmp_path):
    load_experiment(path)
    tables = tomllib.loads(path.read_text())
    tables["data"] = {"kind": "simulate", "users": 150, "items": 120, "rows": 6000}
    runs = run_experiment(prepare(read_experiment(tables, str(path))), RunOptions(tmp_path))
    assert len(runs) >= 2
    best = max(run.record.metrics[tables["task"]["metric"]].mean for run in runs)
    assert best > runs[0].record.metrics[tables["task"]["metric"]].mean - 1e-12


def test_the_demo_falls_back_to_a_simulated_log_and_says_so(monkeypatch):
    def unreachable(self):
        raise DownloadError("ml-100k", "nothing could be reached", "Look at the network.")

    monkeypatch.setattr("matinee.data.datasets.Dataset.read", unreachable)
    observer = RecordingObserver()
    ready = prepare_demo(load_experiment(DEMO), observer)
    assert (ready.log.n_users, len(ready.log)) == (943, 100_000)
    assert any("SIMULATED" in line for line in observer.messages)
    assert any("nothing could be reached" in line for line in observer.messages)
    with pytest.raises(DownloadError):
        prepare(load_experiment(DEMO))
