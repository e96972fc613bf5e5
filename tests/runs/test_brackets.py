"""A runs folder whose path has brackets: paths are names, never patterns."""

import numpy as np

from matinee.runs import RunOptions, execute, prepare
from matinee.runs.experiment import read_experiment

TABLES = {
    "data": {"kind": "simulate", "users": 60, "items": 30, "rows": 900},
    "task": {"k": 3, "metric": "recall@3"},
    "split": {"kind": "mixture", "n_random": 2, "n_last": 1},
    "model": [{"kind": "item_knn"}],
}


def test_everything_in_it_is_read_again(tmp_path):
    prepared = prepare(read_experiment(TABLES, "exp.toml"))
    runs = execute(prepared, RunOptions(tmp_path / "proj[1]" / "runs[a-z]"))
    for run in runs:
        assert np.isfinite(run.evaluation["recall@3"])
        assert len(run.lists(prepared.log.users, prepared.log.items)) == len(prepared.split.query)
        assert run.model().items == prepared.log.items
