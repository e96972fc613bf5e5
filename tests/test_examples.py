"""Every example file is valid, and runs on a small log."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from matinee.data.simulation.spec import Simulate
from matinee.data.write import write_log
from matinee.errors import DownloadError
from matinee.runs import RunOptions, load_experiment, prepare
from matinee.runs.demo import DEMO, prepare_demo
from matinee.runs.experiment import read_experiment
from matinee.runs.pipeline import run_experiment
from tests.observers import RecordingObserver

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the log that `own_log.toml` names."""
    monkeypatch.chdir(tmp_path)
    write_log(Simulate(users=150, items=120, rows=6000).read(), Path("ratings.csv"))
    return tmp_path


def test_the_examples_of_the_readme_exist():
    names = {path.stem for path in EXAMPLES.glob("*.toml")}
    assert names == {"competition", "movies-100k", "own_log", "videos"}
    assert (EXAMPLES / "movies-100k.toml").read_text(encoding="utf-8") == DEMO.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_an_example_is_valid_and_runs(path, here):
    load_experiment(path)
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    if "kind" in tables["data"]:
        tables["data"] = {"kind": "simulate", "users": 150, "items": 120, "rows": 6000}
    runs = run_experiment(prepare(read_experiment(tables, str(path))), RunOptions(here / "runs"))
    kinds = {"popularity"} | {table["kind"] for table in tables["model"]} | ({"ensemble"} & tables.keys())
    assert {run.kind for run in runs} == kinds
    metric = tables["task"]["metric"]
    means = {run.kind: run.record.metrics[metric].mean for run in runs}
    assert max(means.values()) > means["popularity"]


def test_every_option_that_own_log_mentions_is_valid(here):
    """Lines with a comment sign before a `key = value` become options, except those that name columns."""
    lines = (EXAMPLES / "own_log.toml").read_text(encoding="utf-8").splitlines()
    columns = ("# user", "# item", "# time")
    text = "\n".join(
        line.removeprefix("# ") if line.startswith(("# [[", "# k", "# m", "# d")) else line
        for line in lines
        if not line.startswith(columns)
    )
    tables = tomllib.loads(text)
    assert {"kind", "min_weight", "k_core", "duplicates"} <= tables["data"].keys()
    experiment = read_experiment(tables, "own_log.toml")
    assert [spec.kind for spec in experiment.model] == ["popularity", "item_knn", "ease", "mult_dae"]


def test_the_demo_runs_on_a_simulated_log_where_downloads_fail(monkeypatch):
    def unreachable(self):
        raise DownloadError("ml-100k", "no server could be reached", "Check the network.")

    monkeypatch.setattr("matinee.data.datasets.Dataset.read", unreachable)
    observer = RecordingObserver()
    ready = prepare_demo(load_experiment(DEMO), observer)
    assert (ready.log.n_users, len(ready.log)) == (943, 100_000)
    assert any("SIMULATED" in line for line in observer.messages)
    assert any("no server could be reached" in line for line in observer.messages)
    with pytest.raises(DownloadError):
        prepare(load_experiment(DEMO))
