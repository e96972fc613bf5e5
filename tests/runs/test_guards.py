"""Guards fire on what they are about, and say what to do next."""

from __future__ import annotations

import pytest

from matinee.runs import execute, prepare
from matinee.runs.execute import Stage, noted
from matinee.runs.experiment import read
from matinee.runs.guards import learnt


@pytest.mark.parametrize(
    ("losses", "metrics", "wanted"),
    [
        ([2.0, 1.5, 1.6], [(1, 0.1), (2, 0.3), (3, 0.2)], []),
        ([2.0, 2.0, 2.5], [], ["never fell below the 2 of the first epoch: lower its learning_rate"]),
        ([2.0, 1.5], [(1, 0.1), (2, 0.3)], ["best on the stop fold after the last of 2 epochs: give it more"]),
        ([2.0, 1.5], [(0, 0.3), (1, 0.3), (2, 0.3)], []),
        ([2.0], [], []),
        ([], [(0, 0.3)], []),
    ],
)
def test_a_network_that_does_not_learn_or_is_not_done(losses, metrics, wanted):
    found = learnt([{"losses": losses, "metrics": metrics}])
    assert len(found) == len(wanted)
    assert all(part in whole for part, whole in zip(wanted, found, strict=True))


def test_a_run_keeps_how_its_network_learnt_and_warns_of_it(tmp_path):
    """Two epochs are too few: the second is the better one."""
    tables = {
        "seed": 5,
        "data": {"kind": "simulate", "users": 120, "items": 60, "rows": 3000},
        "task": {"k": 5, "metric": "recall@5", "also": [], "depth": 20},
        "split": {"kind": "mixture", "random": 3, "tail": 2},
        "model": [{"kind": "mult_dae", "factors": 8, "epochs": 2, "learning_rate": 0.01}],
    }
    heard = []
    *_, run = execute(prepare(read(tables, "exp.toml")), Stage(tmp_path, say=heard.append))
    stop, learn = noted(run.folder, "training")
    assert (stop["fold"], learn["fold"]) == ("stop", "learn")
    assert len(stop["losses"]) == len(stop["metrics"]) == len(learn["losses"]) == run.said["refit"]["epochs"] == 2
    assert learn["metrics"] == []
    assert stop["losses"][1] < stop["losses"][0]
    warning = run.said["warnings"][0]
    assert "after the last of 2 epochs" in warning
    assert any(warning in line for line in heard)
