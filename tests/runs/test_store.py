"""Several processes on one runs folder, kills at any moment, damaged files: the result is that of one quiet run."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

import matinee
from matinee.errors import RunError
from matinee.models.mult_dae import MultDAE
from matinee.observer import SILENT
from matinee.runs import RunOptions, execute, open_run, prepare, runs_in
from matinee.runs.experiment import Submission, read_experiment
from matinee.runs.lock import locked, locked_if_free
from matinee.runs.log import append_log, merged_lines, read_log
from matinee.runs.pipeline import run_experiment
from matinee.runs.refit import _refit_folder, experiment_of, submit_run
from matinee.runs.split_store import split_damage
from matinee.runs.store import discard
from tests.observers import RecordingObserver
from tests.runs.test_execute import TABLES

NETWORK = {"kind": "mult_dae", "factors": 8, "epochs": 2, "learning_rate": 0.01}
WITH_NETWORK = {**TABLES, "model": [{"kind": "ease", "l2": 20}, NETWORK]}
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(Path(matinee.__file__).parents[1]), str(Path(__file__).parents[2])]),
    "OMP_WAIT_POLICY": "passive",
}


def executed(tables, root, observer=SILENT):
    return run_experiment(prepare(read_experiment(tables, "exp.toml")), RunOptions(root, observer))


def content(run):
    """All that must be the same, whoever computed it: everything but times."""
    record = run.record.model_dump(mode="json", exclude={"created", "seconds", "files", "environment", "experiment"})
    return record, {name: one.sha256 for name, one in run.record.files.items() if name != "log.jsonl"}


def contents(root):
    return {run.name: content(run) for run in runs_in(root)}


def overlapping(n):
    """Experiments that share fits: some are the same, some report other metrics, some have other models."""
    tasks = [TABLES["task"], {**TABLES["task"], "extra_metrics": ["hit@5"]}]
    models = [
        [{"kind": "item_knn"}, {"kind": "ease", "l2": 20}],
        [{"kind": "ease", "l2": 20}, {"kind": "ease", "l2": 5}],
    ]
    return [{**TABLES, "task": tasks[i // 2 % 2], "model": models[i % 2]} for i in range(n)]


def start(tables, root, folder, n=0, often="seldom"):
    file = folder / f"{abs(hash((json.dumps(tables), n, str(root))))}.json"
    file.write_text(json.dumps(tables))
    words = [sys.executable, "-m", "tests.runs.killing", str(file), str(root), str(n), often]
    return subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def together(experiments, folder):
    """Exit codes and error output of processes on one folder, and what is in it afterwards."""
    processes = [start(tables, folder / "shared", folder) for tables in experiments]
    for process in processes:
        _, error = process.communicate(timeout=500)
        assert process.returncode == 0, error
    for tables in experiments:
        executed(tables, folder / "alone")
    assert not list((folder / "shared" / ".partial").iterdir())
    assert contents(folder / "shared") == contents(folder / "alone")


def test_four_processes_on_one_folder_end_like_one(tmp_path):
    together(overlapping(4), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(4))
def test_eight_processes_on_one_folder_end_like_one(tmp_path, trial):
    experiments = overlapping(8)
    for tables in experiments[::2]:
        tables["model"] = [*tables["model"], {**NETWORK, "epochs": 2 + trial}]
    together(experiments, tmp_path)


def test_a_lock_is_waited_for_and_given_up_by_a_process_that_dies(tmp_path):
    work = tmp_path / "work"
    code = f"""
import sys, time
from pathlib import Path
from matinee.observer import SILENT
from matinee.runs.lock import locked
with locked(Path({str(work)!r}), SILENT):
    print("held", flush=True)
    time.sleep(600)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with locked_if_free(work) as free:
        assert not free

    class Killing(RecordingObserver):
        def message(self, text):
            super().message(text)
            holder.kill()

    observer = Killing()
    with locked(work, observer):
        assert observer.messages == ["work: another process computes it, waiting for its end"]
    holder.wait()
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    return root, executed(WITH_NETWORK, root)


def killed_and_resumed(tables, root, folder, n, often="seldom"):
    """Whether a process that dies at its n-th write was killed; afterwards the experiment is run to its end."""
    process = start(tables, root, folder, n, often)
    _, error = process.communicate(timeout=500)
    assert process.returncode in (0, -9), error
    executed(tables, root)
    assert not list((root / ".partial").iterdir())
    return process.returncode == -9


@pytest.mark.parametrize("n", [55, 59, 118, 160])
def test_a_killed_run_ends_like_one_that_was_not(whole, tmp_path, n):
    assert killed_and_resumed(WITH_NETWORK, tmp_path / "runs", tmp_path, n, "often")
    assert contents(tmp_path / "runs") == contents(whole[0])


@pytest.mark.slow
def test_a_run_killed_at_any_write_ends_like_one_that_was_not(whole, tmp_path):
    for n in count(1):
        root = tmp_path / f"runs{n}"
        if not killed_and_resumed(WITH_NETWORK, root, tmp_path, n, "often"):
            break
        assert contents(root) == contents(whole[0]), n
        shutil.rmtree(root)
    assert n > 100


def flipped(path, at, bit):
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.unlink()  # other runs may share the file
    path.write_bytes(data)


def test_every_flipped_bit_is_seen(whole, tmp_path):
    run, rng = whole[1][-1], random.Random(0)
    names = [path.relative_to(run.folder) for path in sorted(run.folder.rglob("*")) if path.is_file()]
    assert len(names) == 9
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    for n in range(200):
        path = copy / names[n % len(names)]
        before = path.read_bytes()
        flipped(path, rng.randrange(len(before)), rng.randrange(8))
        with pytest.raises(RunError, match="damaged"):
            open_run(copy).verify()
        path.write_bytes(before)
    open_run(copy).verify()


@pytest.mark.parametrize(
    "name", ["lists.parquet", "metrics.parquet", "model/arrays.safetensors", "model/items.parquet"]
)
def test_a_damaged_file_is_refused_when_it_is_read(whole, tmp_path, name):
    _, runs = whole
    shutil.copytree(runs[1].folder, tmp_path / "run")
    flipped(tmp_path / "run" / name, 60, 3)
    run = open_run(tmp_path / "run")
    log = prepare(read_experiment(TABLES, "exp.toml")).log
    with pytest.raises(RunError, match="damaged"):
        _ = run.evaluation, run.lists(log.users, log.items), run.model()


def test_a_damaged_run_is_moved_away_and_computed_again(whole, tmp_path):
    root, runs = whole
    shutil.copytree(root, tmp_path / "runs")
    damaged = tmp_path / "runs" / runs[1].name
    flipped(damaged / "lists.parquet", 100, 0)
    observer = RecordingObserver()
    executed(WITH_NETWORK, tmp_path / "runs", observer)
    (warning,) = [line for line in observer.messages if "damaged" in line]
    assert f"{damaged.name}: warning: " in warning
    assert "computed again" in warning
    assert contents(tmp_path / "runs") == contents(root)
    assert [path.name for path in (tmp_path / "runs" / ".damaged").iterdir()] == [f"{damaged.name}-1"]


def test_a_folder_that_cannot_be_read_is_skipped_with_a_warning(whole, tmp_path):
    root, runs = whole
    shutil.copytree(root, tmp_path / "runs")
    old = tmp_path / "runs" / runs[0].name / "run.json"
    old.write_text(json.dumps({"format": 2, "model": {"kind": "popularity"}}))
    observer = RecordingObserver()
    assert {run.name for run in runs_in(tmp_path / "runs", observer)} == {run.name for run in runs[1:]}
    (line,) = observer.messages
    assert line.startswith("warning: ")
    assert runs[0].name in line
    assert "format 2" in line


def stopped_before_evaluation(tables, root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            sys.modules["matinee.runs.draft"], "evaluate_lists", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            executed(tables, root)
    (work,) = [path for path in (root / ".partial").iterdir() if path.is_dir()]
    return work


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("fit.json", lambda path: path.write_text("")),
        ("fit.json", lambda path: path.write_bytes(path.read_bytes()[:-9])),
        ("fit.json", lambda path: path.write_text(path.read_text().replace("seconds", "sekunden"))),
        ("model/arrays.safetensors", lambda path: flipped(path, -3, 1)),
        ("model/items.parquet", lambda path: flipped(path, 40, 1)),
        ("model/model.json", lambda path: path.unlink()),
        ("log.jsonl", lambda path: path.write_bytes(path.read_bytes()[:-9])),
        ("log.jsonl", lambda path: path.write_bytes(b"\xff\n[1]\n")),
    ],
)
def test_damaged_leftovers_of_a_killed_run_are_thrown_away(whole, tmp_path, monkeypatch, name, harm):
    work = stopped_before_evaluation(TABLES, tmp_path, monkeypatch)
    harm(work / name)
    popularity = executed(TABLES, tmp_path)[0]
    assert content(popularity) == content(whole[1][0])
    for line in (popularity.folder / "log.jsonl").read_text().splitlines():
        json.loads(line)


def stopped_while_learning(root, monkeypatch):
    """The state of a network's run that was stopped in the last epoch of its second fit."""
    from matinee.nn import train

    fits, fit, loss = [], MultDAE.fit, MultDAE.reconstruction_loss

    def dying(self, net, batch, moment):
        if len(fits) == 2 and moment.epoch >= 1.0:
            raise KeyboardInterrupt
        return loss(self, net, batch, moment)

    with monkeypatch.context() as patch:
        patch.setattr(train, "monotonic", count(0, 100).__next__)
        patch.setattr(MultDAE, "fit", lambda self, *a: fits.append(1) or fit(self, *a))
        patch.setattr(MultDAE, "reconstruction_loss", dying)
        with pytest.raises(KeyboardInterrupt):
            executed(WITH_NETWORK, root)
    (work,) = [path for path in (root / ".partial").iterdir() if path.is_dir()]
    return work / "checkpoint"


@pytest.mark.parametrize(
    ("name", "harm", "fits"),
    [
        ("resolved.json", lambda path: None, 1),
        ("resolved.json", lambda path: path.write_text("{"), 2),
        ("resolved.json", lambda path: path.write_text(path.read_text().replace('"epochs": 2', '"epochs": 1')), 2),
        ("fit/checkpoint.safetensors", lambda path: flipped(path, -5, 6), 1),
        ("fit/checkpoint.safetensors", lambda path: flipped(path, 60, 1), 1),
        ("fit/checkpoint.safetensors", lambda path: path.write_bytes(path.read_bytes()[:100]), 1),
    ],
)
def test_damaged_state_of_a_training_is_thrown_away(whole, tmp_path, monkeypatch, name, harm, fits):
    kept = stopped_while_learning(tmp_path, monkeypatch)
    harm(kept / name)
    seen, fit = [], MultDAE.fit
    monkeypatch.setattr(MultDAE, "fit", lambda self, *a: seen.append(1) or fit(self, *a))
    executed(WITH_NETWORK, tmp_path)
    assert len(seen) == fits
    assert contents(tmp_path) == contents(whole[0])


def test_a_submission_leaves_the_work_of_others_alone(whole, tmp_path):
    root, runs = whole
    shutil.copytree(root, tmp_path / "runs")
    log, stage = prepare(read_experiment(TABLES, "exp.toml")).log, RunOptions(tmp_path / "runs")
    busy, killed = _refit_folder(runs[1].producer, 5, stage), stage.root / ".partial" / "refit-slim-1"
    for folder in (busy, killed):
        folder.mkdir(parents=True)
    own = _refit_folder(runs[0].producer, 5, stage)
    with locked(busy, SILENT):
        to = Submission(path=str(tmp_path / "s.csv"))
        submit_run(runs[0], experiment_of(runs[0]), log, to, stage)
        discard(busy)
        assert busy.is_dir()
    assert killed.is_dir()
    assert not own.exists()


def test_the_last_line_of_a_stage_counts(tmp_path):
    for value in (1, 2):
        append_log(tmp_path, "epoch", split="validation", step=1, loss=value, **({"seconds": 7} if value == 1 else {}))
        append_log(tmp_path, "epoch", split="train", step=value, loss=value)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"event": "epoch", "split": "va')
    lines = read_log(tmp_path, "epoch")
    assert [(line["split"], line["step"], line["loss"]) for line in lines] == [
        ("train", 1, 1),
        ("validation", 1, 2),
        ("train", 2, 2),
    ]
    assert lines[1]["seconds"] == 7
    append_log(tmp_path, "fit", seconds=1)
    assert [line["event"] for line in merged_lines(tmp_path)] == ["epoch", "epoch", "epoch", "fit"]


def test_a_damaged_split_folder_is_moved_away_and_written_again(whole, tmp_path):
    root, _ = whole
    shutil.copytree(root, tmp_path / "runs")
    (folder,) = (tmp_path / "runs").glob("split-*")
    assert split_damage(folder) is None
    for name in ("users.parquet", "items.parquet", "split.json", "split.sha256"):
        flipped(folder / name, 40, 1)
        assert split_damage(folder) is not None
        observer = RecordingObserver()
        executed(WITH_NETWORK, tmp_path / "runs", observer)
        assert any("split-" in line and "warning" in line for line in observer.messages)
        assert split_damage(folder) is None


@pytest.mark.parametrize("limit", [300, 3_000, 9_000])
def test_a_full_disk_is_one_line_and_the_run_goes_on_afterwards(whole, tmp_path, limit):
    """A limit on the size of files stands for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    prepared = prepare(read_experiment(WITH_NETWORK, "exp.toml"))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        with pytest.raises(RunError, match="cannot be") as error:
            execute(prepared, RunOptions(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(error.value)
    assert all(content(run) == contents(whole[0])[run.name] for run in runs_in(tmp_path))
    executed(WITH_NETWORK, tmp_path)
    assert contents(tmp_path) == contents(whole[0])
