"""From an experiment to run folders, the board and the submission."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from matinee import models
from matinee.ensemble.weight_searches import WEIGHT_SEARCHES
from matinee.errors import InsufficientMemoryError, RunError, SpecError, UnknownNameError, UnsupportedError
from matinee.models.ease import EASE
from matinee.runs import RunOptions, execute, leaderboard, open_run, prepare, runs_in
from matinee.runs.experiment import read_experiment, schema
from matinee.runs.folder import catalogue_frame
from matinee.runs.refit import experiment_of, submit_experiment
from matinee.runs.text import warnings
from tests.observers import RecordingObserver

TABLES = {
    "seed": 5,
    "data": {"kind": "simulate", "users": 120, "items": 60, "rows": 3000},
    "task": {"k": 5, "metric": "recall@5", "extra_metrics": ["ndcg@5", "coverage@5"], "stored_k": 20},
    "split": {"kind": "mixture", "n_random": 3, "n_last": 2},
    "model": [{"kind": "item_knn"}, {"kind": "ease", "l2": 20}],
}


def with_(**changes):
    return {**TABLES, **changes}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    prepared = prepare(read_experiment(TABLES, "exp.toml"))
    return prepared, root, execute(prepared, RunOptions(root))


def test_a_run_folder_holds_everything(done):
    _, root, runs = done
    assert [run.kind for run in runs] == ["popularity", "item_knn", "ease"]
    for run in runs:
        names = {path.name for path in run.folder.iterdir()}
        assert names == {
            "run.json",
            "run.sha256",
            "catalogue.parquet",
            "lists.parquet",
            "metrics.parquet",
            "log.jsonl",
            "model",
        }
        stages = [json.loads(line)["event"] for line in (run.folder / "log.jsonl").read_text().splitlines()]
        assert stages == ["fit", "lists", "evaluate"]
    assert not list((root / ".partial").iterdir())


def test_numbers_read_back_are_those_written(done):
    prepared, _, runs = done
    for run in runs:
        evaluation = run.evaluation
        said = run.record.metrics
        assert set(said) == {"recall@5", "ndcg@5", "coverage@5"}
        assert evaluation["recall@5"] == pytest.approx(said["recall@5"].mean)
        assert evaluation.interval("ndcg@5") == pytest.approx((said["ndcg@5"].low, said["ndcg@5"].high))
        assert evaluation.part("last")["recall@5"] == pytest.approx(said["recall@5"].parts["last"].mean)
        lists = run.lists(prepared.log.users, prepared.log.items)
        assert lists.item.shape == (len(prepared.split.query), 20)
        assert (np.diff(lists.score, axis=1) <= 0).all()


def test_the_catalogue_and_the_split_are_kept(done):
    prepared, root, runs = done
    train, query, target = prepared.split.train, prepared.split.query, prepared.split.target
    catalogue = runs[0].catalogue()
    assert catalogue["item"].to_list() == train.items.ids.to_list()
    assert catalogue["title"].to_list() == train.titles.to_list()
    assert catalogue["available"].all()
    assert catalogue["popularity"].to_list() == train.popularity.tolist()
    (folder,) = root.glob("split-*")
    assert json.loads((folder / "split.json").read_text())["fingerprint"] == prepared.split.fingerprint
    users, items = (pl.read_parquet(folder / f"{name}.parquet") for name in ("users", "items"))
    assert users["user"].to_list() == target.users.decode(target.user).to_list()
    assert users["history_length"].to_list() == np.diff(query.offsets).tolist()
    assert users["n_targets"].to_list() == target.count.tolist()
    assert users["last_time"][0] == query.time[query.offsets[1] - 1]
    assert items["n_train_users"].to_list() == train.popularity.tolist()
    assert items["first_time"].min() == train.time.min()
    assert items["last_time"].max() == train.time.max()


def test_an_item_without_a_title_has_none_in_the_catalogue(done):
    prepared = done[0]
    train = prepared.split.train
    untitled = replace(train, item_attributes=None)
    assert untitled.titles is None
    frame = catalogue_frame(untitled, None)
    assert frame["title"].dtype == pl.String
    assert frame["title"].null_count() == train.n_items


def test_the_catalogue_says_what_is_available(tmp_path):
    tables = with_(task={**TABLES["task"], "available": "train"}, data={**TABLES["data"], "items": 300, "rows": 900})
    prepared = prepare(read_experiment(tables, "exp.toml"))
    run = execute(prepared, RunOptions(tmp_path))[0]
    allowed = prepared.experiment.task.available_items(prepared.split.train)
    assert not allowed.all()
    assert run.catalogue()["available"].to_list() == allowed.tolist()


def test_the_kept_model_gives_the_kept_lists(done):
    from matinee.runs.validation import task_mask
    from matinee.topk import recommend

    prepared, _, runs = done
    for run in runs:
        again = recommend(run.model(), prepared.split.query, 20, task_mask(prepared.experiment.task, prepared.split))
        np.testing.assert_array_equal(again.item, run.lists(prepared.log.users, prepared.log.items).item)


def test_running_again_computes_nothing(done, monkeypatch):
    prepared, root, runs = done
    monkeypatch.setattr(EASE, "fit", lambda *a, **k: pytest.fail("fitted again"))
    observer = RecordingObserver()
    again = execute(prepared, RunOptions(root, observer))
    assert [run.name for run in again] == [run.name for run in runs]
    assert all("finished before" in line for line in observer.messages)


def test_any_change_is_another_run(done, tmp_path):
    _, _, runs = done
    names = {run.name for run in runs}
    for changes in ({"seed": 6}, {"task": {**TABLES["task"], "k": 4}}, {"split": {"kind": "last_n", "n": 2}}):
        other = execute(prepare(read_experiment(with_(**changes), "exp.toml")), RunOptions(tmp_path))
        assert not names & {run.name for run in other}
        names |= {run.name for run in other}


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    prepared = prepare(read_experiment(TABLES, "exp.toml"))
    from matinee.runs import draft

    evaluate_lists = draft.evaluate_lists
    monkeypatch.setattr(draft, "evaluate_lists", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        execute(prepared, RunOptions(tmp_path))
    assert not runs_in(tmp_path)
    monkeypatch.setattr(draft, "evaluate_lists", evaluate_lists)
    fits = []
    real = models.get("popularity").fit
    monkeypatch.setattr(models.get("popularity"), "fit", lambda self, *a: fits.append(1) or real(self, *a))
    observer = RecordingObserver()
    runs = execute(prepared, RunOptions(tmp_path, observer))
    assert len(runs) == 3
    assert not fits
    assert any("resumed after its fit" in line for line in observer.messages)


def test_a_half_written_model_is_fitted_anew(tmp_path):
    prepared = prepare(read_experiment(TABLES, "exp.toml"))
    from matinee.runs.job import ModelJob

    job = ModelJob(prepared, prepared.experiment.model[0], 5, RunOptions(tmp_path))
    half = job.work / "model.half"
    half.mkdir(parents=True)
    (half / "model.json").write_text("{")
    assert len(execute(prepared, RunOptions(tmp_path))) == 3


def test_the_board_ranks_with_intervals_and_gaps(done):
    _, root, _ = done
    board = leaderboard(runs_in(root))
    rows = board.rows()
    means = [row["recall@5"]["mean"] for row in rows]
    assert means == sorted(means, reverse=True)
    for row in rows:
        assert {"run", "kind", "params", "split", "fit_seconds", "score_seconds", "recall@5"} <= row.keys()
        assert row["recall@5"]["low"] <= row["recall@5"]["mean"] <= row["recall@5"]["high"]
    assert rows[0]["behind"] is None
    assert rows[-1]["behind"]["mean"] == pytest.approx(means[0] - means[-1])
    assert board.frame().height == 3
    assert leaderboard(runs_in(root), "ndcg@5").metric == "ndcg@5"
    with pytest.raises(RunError, match="did not compute map@5"):
        leaderboard(runs_in(root), "map@5")


def test_a_blend_may_be_written_with_spaces(tmp_path):
    task = {"k": 5, "metric": "0.75*recall@5 + 0.25 * ndcg@5", "extra_metrics": ["recall@5"]}
    board = leaderboard(execute(prepare(read_experiment(with_(task=task), "exp.toml")), RunOptions(tmp_path)))
    assert board.metric == "0.75*recall@5+0.25*ndcg@5"
    assert len(board.differences) == 2


def test_the_board_refuses_to_mix_splits_and_rules(done, tmp_path):
    _, _, runs = done
    other = execute(prepare(read_experiment(with_(seed=6), "exp.toml")), RunOptions(tmp_path))
    with pytest.raises(RunError, match=r"2 different splits.*mixture.*--split"):
        leaderboard([*runs, *other])
    ruled = execute(prepare(read_experiment(with_(task={**TABLES["task"], "k": 4}), "exp.toml")), RunOptions(tmp_path))
    with pytest.raises(RunError, match="different rules"):
        leaderboard([*runs, *ruled])
    with pytest.raises(RunError, match="no finished runs"):
        leaderboard([])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "run.json").write_text("{"), "damaged"),
        (lambda f: (f / "run.json").write_text(json.dumps({"format": 99})), "format 99, this version reads format 4"),
        (lambda f: (f / "run.json").write_text(json.dumps({"format": 4})), "damaged .*required"),
        (lambda f: (f / "lists.parquet").unlink(), "lists.parquet missing"),
        (lambda f: (f / "run.json").unlink(), "no run.json"),
    ],
)
def test_a_damaged_folder_is_refused(done, tmp_path, harm, message):
    _, _, runs = done
    shutil.copytree(runs[0].folder, tmp_path / "run")
    harm(tmp_path / "run")
    with pytest.raises(RunError, match=message):
        open_run(tmp_path / "run")


@pytest.mark.parametrize("file", ["metrics.parquet", "lists.parquet", "model/arrays.safetensors", "model/model.json"])
def test_damaged_content_is_refused_when_read(done, tmp_path, file):
    prepared, _, runs = done
    shutil.copytree(runs[-1].folder, tmp_path / "run")
    (tmp_path / "run" / file).write_bytes(b"no such thing")
    run = open_run(tmp_path / "run")
    with pytest.raises(RunError, match="is damaged"):
        _ = run.evaluation, run.lists(prepared.log.users, prepared.log.items), run.model()


def test_a_guard_warns_when_a_model_does_not_beat_popularity(tmp_path, monkeypatch):
    real = EASE.fit

    def broken(self, data, ctx):
        fitted = real(self, data, ctx)
        return type(fitted)(fitted.spec, fitted.items, -fitted.weights, fitted.popularity)

    monkeypatch.setattr(EASE, "fit", broken)
    runs = execute(prepare(read_experiment(TABLES, "exp.toml")), RunOptions(tmp_path))
    ranked = leaderboard(runs)
    assert any("not significantly better than popularity" in text for text in warnings(ranked.findings(runs[-1])))
    assert not ranked.findings(runs[0])
    assert not runs[-1].record.findings


def test_the_submission_is_refitted_written_and_checked(done, tmp_path):
    prepared, _, runs = done
    board = leaderboard(runs)
    from matinee.runs.experiment import Submission

    path = tmp_path / "new" / "submission.csv"
    said = submit_experiment(prepared, board, Submission(path=str(path), model="ease"), RunOptions(tmp_path))
    assert "checked" in said
    frame = pl.read_csv(path)
    assert frame.columns == ["user", "item"]
    assert len(frame) == 5 * prepared.log.n_users
    assert frame["user"].unique(maintain_order=True).to_list() == prepared.log.users.ids.to_list()
    seen = prepared.log.frame().select("user", "item")
    assert frame.join(seen, on=["user", "item"]).height == 0
    assert [p.name for p in path.parent.iterdir()] == ["submission.csv"]


def test_what_a_run_keeps_is_the_experiment(done):
    prepared, _, runs = done
    assert experiment_of(runs[1]) == prepared.experiment


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": [{"kind": "easy"}]}, UnknownNameError, r"exp.toml: model 1: .*'easy'; did you mean 'ease'"),
        (
            {"model": [{"kind": "ease", "l3": 1}]},
            UnknownNameError,
            r"model 1 \(ease\): .*hyperparameter 'l3'; did you mean 'l2'",
        ),
        (
            {"model": [{"kind": "ease", "l2": -1}]},
            SpecError,
            r"model 1 \(ease\).l2: found -1; expected .*greater than 0",
        ),
        ({"model": [{"kind": "ease", "l2": "abc"}]}, SpecError, r"l2: found 'abc'"),
        ({"model": []}, SpecError, "no model is listed"),
        ({"split": {"kind": "mixture", "randm": 1}}, UnknownNameError, "did you mean 'n_random'"),
        ({"split": {"kind": "mixtur"}}, UnknownNameError, "did you mean 'mixture'"),
        ({"split": {}}, SpecError, "found no kind"),
        ({"task": {"metric": "recal@10"}}, UnknownNameError, "did you mean 'recall'"),
        ({"task": {"k": 0}}, SpecError, r"exp.toml: task.k: found 0"),
        ({"task": {"profile": "rectool"}}, UnknownNameError, "did you mean 'rectools'"),
        ({"task": {"metric": "recall@500"}}, SpecError, "500"),
        ({"task": {"metric": "coverage@10"}}, SpecError, "Put it under task.extra_metrics"),
        ({"data": {"kind": "ml-100"}}, UnknownNameError, "did you mean 'ml-100k'"),
        ({"data": 3}, SpecError, "expected a table"),
        ({"modle": 1}, UnknownNameError, "did you mean 'model'"),
        ({"submission": {"path": "x.csv", "model": "eas"}}, UnknownNameError, "did you mean 'ease'"),
    ],
)
def test_a_wrong_file_is_refused_when_it_is_read(changes, error, message):
    with pytest.raises(error, match=message):
        read_experiment(with_(**changes), "exp.toml")


def test_a_missing_table_is_named():
    with pytest.raises(SpecError, match=r"no table \[split\]"):
        read_experiment({k: v for k, v in TABLES.items() if k != "split"}, "exp.toml")


def test_set_changes_values():
    experiment = read_experiment(TABLES, "exp.toml", ("model.ease.l2=7", "task.k=4", "seed=9", "split.n_last=1"))
    assert (experiment.model[-1].l2, experiment.task.k, experiment.seed, experiment.split.n_last) == (7, 4, 9, 1)
    assert experiment.split.seed == 9
    with pytest.raises(UnknownNameError, match="did you mean 'ease'"):
        read_experiment(TABLES, "exp.toml", ("model.eas.l2=7",))
    with pytest.raises(SpecError, match="path=value"):
        read_experiment(TABLES, "exp.toml", ("model.ease.l2",))


def test_what_cannot_be_done_is_refused_before_any_fit(monkeypatch, tmp_path):
    with pytest.raises(SpecError, match=r"at most the 6. items"):
        prepare(
            read_experiment(
                with_(task={"k": 500, "stored_k": 500, "metric": "recall@500", "extra_metrics": []}), "exp.toml"
            )
        )
    monkeypatch.setattr("matinee.contract.free_memory", lambda: 1000)
    with pytest.raises(InsufficientMemoryError, match=r"nothing was allocated"):
        prepare(read_experiment(TABLES, "exp.toml"))
    monkeypatch.undo()
    path = tmp_path / "log.csv"
    pl.DataFrame({"user": [1, 1, 2, 2], "item": [1, 2, 1, 3]}).write_csv(path)
    tables = with_(
        data={"path": str(path)}, model=[{"kind": "popularity", "half_life_days": 3}], split={"kind": "random", "n": 1}
    )
    with pytest.raises((UnsupportedError, SpecError), match=r"half_life|at most"):
        prepare(read_experiment({**tables, "task": {"k": 1, "metric": "recall@1", "extra_metrics": []}}, "exp.toml"))


def test_the_schema_knows_every_kind_and_knob():
    said = schema()
    kinds = {one["properties"]["kind"]["const"] for one in said["properties"]["model"]["items"]["oneOf"]}
    assert kinds == set(models.kinds())
    text = json.dumps(said)
    assert "Ridge penalty" in text
    assert "ml-100k" in text
    found = {one["properties"]["kind"]["const"]: one["properties"] for one in said["properties"]["ensemble"]["oneOf"]}
    assert set(found) == set(WEIGHT_SEARCHES.names())
    assert {"steps", "bags", "members", "rule", "rules", "depth", "folds", "gate"} <= set(found["greedy"])
    assert "rrf" in text


@pytest.mark.parametrize(
    "split",
    [
        {"kind": "random", "n": 2},
        {"kind": "last_n", "n": 2},
        {"kind": "temporal", "fraction": 0.2},
        {"kind": "new_users", "users": 20},
    ],
    ids=lambda split: split["kind"],
)
@pytest.mark.parametrize("seen", ["exclude", "include"])
def test_every_protocol_goes_from_log_to_board(tmp_path, split, seen):
    data = {**TABLES["data"], "repeat_rate": 0.2 if seen == "include" else 0.0}
    tables = with_(split=split, data=data, task={**TABLES["task"], "seen": seen, "available": "train"})
    prepared = prepare(read_experiment(tables, "exp.toml"))
    board = leaderboard(execute(prepared, RunOptions(tmp_path)))
    assert len(board.runs) == 3
    assert board.differences
    frame = board.runs[0].lists(prepared.log.users, prepared.log.items)
    np.testing.assert_array_equal(frame.user, prepared.split.target.user)


def test_given_files_go_from_log_to_board(tmp_path):
    rng = np.random.default_rng(0)
    rows = pl.DataFrame(
        {"user": np.repeat(np.arange(30), 8), "item": [i for _ in range(30) for i in rng.permutation(20)[:8]]}
    )
    held = pl.int_range(pl.len()).over("user") >= 6
    rows.filter(~held).write_csv(tmp_path / "train.csv")
    rows.filter(held).write_csv(tmp_path / "test.csv")
    tables = with_(
        data={"path": str(tmp_path / "train.csv")}, split={"kind": "predefined", "targets": str(tmp_path / "test.csv")}
    )
    runs = execute(prepare(read_experiment(tables, "exp.toml")), RunOptions(tmp_path / "runs"))
    assert experiment_of(runs[0]).split.targets == tmp_path / "test.csv"
    assert leaderboard(runs).runs
