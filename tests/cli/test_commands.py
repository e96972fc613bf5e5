"""Commands as a user types them: exit codes, one-line errors, no partial output files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matinee import models
from matinee.cli import commands
from tests.typing_words import typed

EXPERIMENT = """
seed = 5
[data]
kind = "simulate"
users = 120
items = 60
rows = 3000
[task]
k = 5
metric = "recall@5"
extra_metrics = ["ndcg@5"]
stored_k = 10
[split]
kind = "mixture"
n_random = 3
n_last = 2
[[model]]
kind = "ease"
l2 = 20
[submission]
path = "SUBMISSION"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp.toml").write_text(EXPERIMENT.replace("SUBMISSION", "out/submission.csv"))
    return tmp_path


def test_every_command_has_help(capsys):
    assert set(commands()) == {
        "leaderboard",
        "check",
        "data",
        "doctor",
        "ensemble",
        "explain",
        "import",
        "models",
        "run",
        "simulate",
        "submit",
    }
    assert typed("--help") == 0
    assert "submission" in capsys.readouterr().out
    for name in commands():
        assert typed(name, "--help") == 0


def test_help_imports_no_torch():
    code = (
        "import sys; from matinee.cli import build_app; build_app(['--help']); "
        "import matinee.models.ease; print('torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "False"


def test_from_a_file_to_a_checked_submission(here, capsys):
    assert typed("run", "exp.toml") == 0
    shown = capsys.readouterr()
    assert "best" in shown.out
    assert "checked: 600 rows, 120 users, 5 items each" in shown.out.replace("\n", " ")
    assert typed("run", "exp.toml") == 0
    assert "finished before" in capsys.readouterr().err
    assert typed("leaderboard", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["kind"] for row in rows} == {"ease", "popularity"}
    assert rows[0]["recall@5"]["low"] <= rows[0]["recall@5"]["mean"]
    assert typed("leaderboard", "--csv") == 0
    assert capsys.readouterr().out.startswith("run,kind,split")
    assert typed("submit", "best", "--to", "again.parquet") == 0
    assert pl.read_parquet("again.parquet").equals(pl.read_csv("out/submission.csv"))
    assert typed("check", "again.parquet", "exp.toml") == 0
    assert "no seen item" in capsys.readouterr().out.replace("\n", " ")


def test_check_evaluates_and_refuses(here, capsys):
    assert typed("run", "exp.toml") == 0
    frame = pl.read_csv("out/submission.csv")
    frame.head(40).write_csv("targets.csv")
    capsys.readouterr()
    assert typed("check", "out/submission.csv", "exp.toml", "--targets", "targets.csv") == 0
    assert "recall@5: 1.0000" in capsys.readouterr().out
    frame.tail(-1).write_csv("short.csv")
    assert typed("check", "short.csv", "exp.toml") == 2
    error = capsys.readouterr().err
    assert "users with fewer than 5 rows" in error
    assert error.count("\n") == 1


def test_users_of_a_sample_get_lists_in_their_order(here, capsys):
    assert typed("run", "exp.toml") == 0
    ids = pl.read_csv("out/submission.csv")["user"].unique(maintain_order=True).to_list()
    Path("sample.csv").write_text("user,item\n" + "".join(f"{u},0\n" for u in (ids[7], ids[3], ids[7])))
    assert typed("submit", "--users", "sample.csv", "--to", "some.csv") == 0
    assert pl.read_csv("some.csv")["user"].unique(maintain_order=True).to_list() == [ids[7], ids[3]]
    Path("sample.csv").write_text("user\n-5\n")
    assert typed("submit", "--users", "sample.csv", "--to", "none.csv") == 2
    assert "-5" in capsys.readouterr().err
    assert not Path("none.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "nowhere.toml"], "no such file"),
        (["run", "exp.toml", "--set", "model.ease.l3=1"], "did you mean 'l2'"),
        (["run", "exp.toml", "--set", "task.k=x"], "found 'x'"),
        (["leaderboard", "--runs", "nowhere"], "no finished runs"),
        (["models", "eas"], "did you mean 'ease'"),
        (["data", "get", "ml-100"], "did you mean 'ml-100k'"),
        (["data", "inspect", "nowhere.csv"], "nowhere.csv"),
        (["submit", "nowhere"], "no run.json"),
        (["check", "nowhere.csv", "exp.toml"], "nowhere.csv"),
        (["simulate", "out.csv", "--users", "-3"], "users"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(here, capsys, words, message):
    before = sorted(p.name for p in here.iterdir())
    assert typed(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert error.startswith("matinee: ")
    assert error.count("\n") == 1
    assert sorted(p.name for p in here.iterdir()) == before


def test_an_unknown_command_or_option_ends_with_2(capsys):
    assert typed("rum") == 2
    assert typed("leaderboard", "--no-such") == 2


def test_simulate_inspect_models_doctor(here, capsys):
    assert typed("simulate", "log.csv", "--users", "50", "--items", "40", "--rows", "900") == 0
    assert pl.read_csv("log.csv").height == 900
    capsys.readouterr()
    assert typed("data", "inspect", "log.csv", "--json") == 0
    assert json.loads(capsys.readouterr().out)["users"] == 50
    assert typed("data", "list", "--json") == 0
    assert "ml-100k" in {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert typed("models", "--json") == 0
    described = {row["kind"]: row for row in json.loads(capsys.readouterr().out)}
    assert described["ease"]["hyperparameters"][0]["name"] == "l2"
    assert described["ease"]["description"]
    assert typed("models", "ease") == 0
    assert "Ridge penalty" in capsys.readouterr().out
    assert typed("doctor", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert {"matinee", "cores", "BLAS and OpenMP", "memory free (GB)", "GPU", "torch threads"} <= facts.keys()
    assert "OMP_WAIT_POLICY=" in facts["waiting threads"]
    assert facts["numba threading layer"] in ("omp", "tbb", "workqueue")
    assert typed("run", "--schema") == 0
    assert "$schema" in json.loads(capsys.readouterr().out)


def test_a_killed_command_leaves_no_partial_files_and_can_be_repeated(here):
    """After SIGKILL the same command finishes; only complete runs are listed."""
    command = [sys.executable, "-m", "matinee", "run", "exp.toml"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if list(here.glob("runs/.partial/*/model")) or list(here.glob("runs/*/run.json")) or process.poll() is not None:
            break
        __import__("time").sleep(0.05)
    process.kill()
    process.wait()
    for folder in here.glob("runs/*/"):
        assert folder.name == ".partial" or list(folder.glob("run.json")) + list(folder.glob("split.json"))
    assert not (here / "out").exists() or not list((here / "out").glob(".*"))
    assert typed("run", "exp.toml") == 0
    assert len(list(here.glob("runs/*/run.json"))) == 2


BAD_LOGS = {
    "user,thing\n1,2\n": "no column for the item",
    "": "log.csv",
    "user,item,rating\n1,2,3\n1,3,abc\n": "line 3",
    "user,item\n1,2\n,3\n": "line 3",
    "user,item,time\n1,2,1600000000000\n1,3,1600000001000\n": "milliseconds",
    "user,item\n1,2\n1,3,4\n": "line 3",
}


@pytest.mark.parametrize(("text", "message"), BAD_LOGS.items(), ids=range(len(BAD_LOGS)))
def test_a_bad_log_is_one_line_and_exit_code_2(here, capsys, text, message):
    Path("log.csv").write_text(text)
    assert typed("data", "inspect", "log.csv") == 2
    error = capsys.readouterr().err
    assert error.startswith("matinee: log.csv")
    assert message in error
    assert error.count("\n") == 1


def bad_experiments():
    data = ["--set", 'data={kind = "delimited", path = "log.csv"}']
    return {
        "duplicates refused": ([*data, "--set", 'data.duplicates="error"'], "log.csv"),
        "k-core leaves no row": ([*data, "--set", "data.k_core=50"], "no row is left"),
        "k beyond the catalogue": ([*data, "--set", "task.k=4000"], "at most the"),
        "no training rows": ([*data, "--set", 'split.short_histories="error"'], "split"),
        "split key": (["--set", "split.n_randm=1"], "did you mean 'n_random'"),
        "metric": (["--set", 'task.metric="ndgc@10"'], "did you mean 'ndcg'"),
    }


@pytest.mark.parametrize("case", bad_experiments())
def test_a_bad_experiment_leaves_nothing_behind(here, capsys, case):
    changes, message = bad_experiments()[case]
    rows = [f"{u},{i},{10**9 + u * 100 + i}" for u in range(9) for i in range(u + 1)]
    Path("log.csv").write_text("\n".join(["user,item,time", *rows, "8,8,1000000900"]) + "\n")
    assert typed("run", "exp.toml", *changes) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("out").exists()
    assert not list(Path().glob("runs/*/run.json"))


def test_a_model_too_large_is_refused_before_anything_else(here, capsys, monkeypatch):
    monkeypatch.setattr(models.get("ease"), "estimate_memory", lambda self, n_users, n_items, n_rows: 10**15)
    assert typed("run", "exp.toml") == 2
    error = capsys.readouterr().err
    assert "nothing was allocated" in error
    assert "Use item_knn" in error


def test_a_refused_submission_keeps_the_older_file(here, capsys):
    assert typed("run", "exp.toml") == 0
    before = Path("out/submission.csv").read_bytes()
    Path("empty.csv").write_text("user\n")
    assert typed("submit", "best", "--to", "out/submission.csv", "--users", "empty.csv") == 2
    assert "has no user of the log" in capsys.readouterr().err
    assert Path("out/submission.csv").read_bytes() == before
    assert [path.name for path in Path("out").iterdir()] == ["submission.csv"]


def test_users_that_are_not_in_the_log_get_popular_items_or_no_list(here, capsys):
    assert typed("run", "exp.toml") == 0
    ids = pl.read_csv("out/submission.csv")["user"].unique(maintain_order=True).to_list()
    Path("some.csv").write_text(f"user\n{ids[7]}\n990001\n{ids[3]}\n990002\n990001\n")
    words = ["submit", "best", "--users", "some.csv", "--to", "s.csv"]
    assert typed(*words) == 2
    assert "--unknown popular" in capsys.readouterr().err
    assert typed(*words, "--unknown", "popular") == 0
    assert "2 users that are not in the log got the most popular items" in capsys.readouterr().out
    written = pl.read_csv("s.csv")
    assert written["user"].unique(maintain_order=True).to_list() == [ids[7], 990001, ids[3], 990002]
    lists = [written.filter(pl.col("user") == user)["item"].to_list() for user in (990001, 990002)]
    assert lists[0] == lists[1]
    assert len(lists[0]) == 5
    assert typed("check", "s.csv", "exp.toml", "--users", "some.csv", "--unknown", "popular") == 0
    assert typed(*words, "--unknown", "skip") == 0
    assert "2 users that are not in the log were skipped" in capsys.readouterr().out
    assert pl.read_csv("s.csv")["user"].unique(maintain_order=True).to_list() == [ids[7], ids[3]]
    assert typed(*words, "--unknown", "drop") == 2
    Path("some.csv").write_text("user\n990001\nabc\n")
    assert typed(*words, "--unknown", "popular") == 0
    assert pl.read_csv("s.csv").height == 10


def test_a_submission_reports_that_the_log_has_changed(here, capsys):
    rows = [f"{u},{(u * 7 + i * i) % 40}" for u in range(60) for i in range(12)]
    Path("log.csv").write_text("\n".join(["user,item", *rows]) + "\n")
    changes = ["--set", 'data={kind = "delimited", path = "log.csv"}', "--set", 'split={kind = "random", n = 2}']
    assert typed("run", "exp.toml", *changes) == 0
    assert typed("submit") == 0
    assert "differs from the one this run was evaluated on" not in capsys.readouterr().out
    Path("log.csv").write_text("\n".join(["user,item", *rows, "3,39"]) + "\n")
    assert typed("submit") == 0
    assert "the log differs from the one this run was evaluated on" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize("name", ["ensemble", "best", "outside", "ease"])
def test_reserved_names_are_refused_for_imported_lists(here, capsys, name):
    assert typed("run", "exp.toml") == 0
    assert typed("import", "out/submission.csv", "exp.toml", "--name", name) == 2
    assert "import --name" in capsys.readouterr().err


def test_items_seen_by_new_users_are_found(here, capsys):
    """New users have no row in the training set; their seen items are those of their query."""
    changes = ["--set", 'split={kind = "new_users", fraction = 0.3}']
    from matinee.runs import load_experiment, prepare

    experiment = load_experiment("exp.toml", (changes[1],))
    split = prepare(experiment).split
    assert typed("run", "exp.toml", *changes) == 0
    run = next(path for path in Path("runs").glob("ease-*"))
    seen = pl.DataFrame(
        {
            "user": split.target.users.decode(split.target.user.repeat(5)),
            "item": split.query.items.decode(
                np.concatenate([split.query.item[a : a + 5] for a in split.query.offsets[:-1]])
            ),
        }
    )
    seen.unique(maintain_order=True).write_csv("seen.csv")
    capsys.readouterr()
    assert typed("check", "seen.csv", str(run), "--held-out") == 2
    assert "seen item" in capsys.readouterr().err
