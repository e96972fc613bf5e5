"""Ensembles as runs: on the board, refitted, submitted, with lists from elsewhere."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matinee import models
from matinee.contract import FitContext
from matinee.ensemble.ensemble_spec import read_ensemble
from matinee.errors import RunError, SpecError, SubmissionError, UnknownNameError
from matinee.runs import RunOptions, leaderboard, open_run, prepare
from matinee.runs.combine import chosen_members, combine
from matinee.runs.experiment import read_experiment
from matinee.runs.imported import import_lists
from matinee.runs.pipeline import run_experiment
from matinee.runs.refit import experiment_of, refit_lists, submit_experiment
from matinee.runs.text import ensemble_lines as lines
from matinee.topk import recommend
from tests.runs.test_execute import TABLES

GREEDY = {"kind": "greedy", "bags": 2, "folds": 2, "depth": 20}


def tables(**changes):
    return {**TABLES, "ensemble": GREEDY, **changes}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    prepared = prepare(read_experiment(tables(), "exp.toml"))
    return prepared, root, run_experiment(prepared, RunOptions(root))


def test_the_ensemble_is_a_run_on_the_board(done):
    prepared, _, runs = done
    run = runs[-1]
    assert run.kind == "ensemble"
    assert open_run(run.folder).record == run.record
    assert run in leaderboard(runs).runs
    report = run.record.ensemble
    assert report.out_of_fold == pytest.approx(run.record.metrics["recall@5"].mean)
    assert report.optimism == pytest.approx(report.in_sample - report.out_of_fold)
    assert set(report.single_model) == {"popularity", "item_knn", "ease"}
    assert run.evaluation["recall@5"] == pytest.approx(report.out_of_fold)
    text = "\n".join(lines(run))
    assert "out of fold" in text
    assert "in sample (optimism " in text
    assert "gain over the best member" in text
    assert "rbo" in text
    assert lines(runs[0]) == []
    assert experiment_of(run) == prepared.experiment


def test_running_again_searches_nothing(done, monkeypatch):
    prepared, root, runs = done
    monkeypatch.setattr("matinee.runs.combine.search", lambda *a, **k: pytest.fail("searched again"))
    assert [run.name for run in run_experiment(prepared, RunOptions(root))] == [run.name for run in runs]


def test_it_is_delivered_by_refitting_its_members_with_the_weights_kept(done, tmp_path):
    prepared, _, runs = done
    experiment = read_experiment(tables(submission={"path": str(tmp_path / "s.csv"), "model": "ensemble"}), "exp.toml")
    said = submit_experiment(prepared, leaderboard(runs), experiment.submission, RunOptions(tmp_path))
    assert "ensemble refitted" in said
    assert "no seen item" in said
    recipe = runs[-1].producer.recipe
    log, users = prepared.log, np.arange(prepared.log.n_users, dtype=np.int32)
    total = np.zeros((log.n_users, log.n_items))
    for name, weight in zip(recipe.members, recipe.weight, strict=True):
        model = models.get(name)(**({"l2": 20} if name == "ease" else {})).fit(log, FitContext(seed=5))
        lists = recommend(model, log.histories(users), 20)
        for p in range(20):
            total[users, lists.item[:, p]] += weight / np.log2(p + 2)
    again = refit_lists(runs[-1], log, users, prepared.experiment.task, {}, RunOptions(tmp_path))
    kept = np.take_along_axis(total, again.item.astype(np.int64), 1)
    np.testing.assert_allclose(kept, -np.sort(-total, axis=1)[:, :5], rtol=1e-5)


def test_members_are_named_by_kind_or_by_run(done):
    prepared, root, runs = done
    plan = read_experiment(tables(ensemble={**GREEDY, "members": ["ease", runs[1].name]}), "exp.toml").ensemble
    assert list(chosen_members(runs, plan)) == ["ease", "item_knn"]
    made = combine(prepared, runs, plan, RunOptions(root))
    assert made.params["members"] == [runs[2].name, runs[1].name]
    unknown = read_ensemble({**GREEDY, "members": ["eas"]}, "ensemble")
    with pytest.raises(UnknownNameError, match="did you mean 'ease'"):
        combine(prepared, runs, unknown, RunOptions(root))


def test_several_seeds_of_a_model_are_one_line(tmp_path):
    model = [{"kind": "pure_svd", "factors": 5, "seeds": 3}, {"kind": "ease"}]
    experiment = read_experiment({**TABLES, "model": model}, "exp.toml")
    assert read_experiment(experiment.to_dict(), "run.json") == experiment
    runs = run_experiment(prepare(experiment), RunOptions(tmp_path))
    assert [run.kind for run in runs] == ["popularity", "pure_svd", "pure_svd", "pure_svd", "ease", "ensemble"]
    assert [run.record.seed for run in runs[1:4]] == [5, 6, 7]
    assert runs[-1].record.ensemble.recipe.weight == pytest.approx([1 / 3] * 3)
    with pytest.raises(SpecError, match="seeds"):
        read_experiment({**TABLES, "model": [{"kind": "ease", "seeds": 0}]}, "exp.toml")


def written(lists, path, depth=None):
    frame = lists.frame().select("user", "item", "rank")
    frame.filter(pl.col("rank") <= (depth or lists.k)).select("user", "item").write_csv(path)


def test_lists_from_elsewhere_join_as_a_member(done, tmp_path):
    prepared, root, runs = done
    elsewhere = tmp_path / "theirs.csv"
    written(runs[2].lists(prepared.log.users, prepared.log.items), elsewhere)
    theirs = import_lists(elsewhere, "theirs", prepared, RunOptions(root))
    assert theirs.kind == "theirs"
    assert theirs.record.metrics["recall@5"] == runs[2].record.metrics["recall@5"]
    plan = read_ensemble({"kind": "fixed", "members": ["theirs", "item_knn"], "depth": 20}, "ensemble")
    made = combine(prepared, [*runs, theirs], plan, RunOptions(root))
    log, users = prepared.log, np.arange(prepared.log.n_users, dtype=np.int32)
    task = prepared.experiment.task
    with pytest.raises(RunError, match="--lists theirs=FILE"):
        refit_lists(made, log, users, task, {}, RunOptions(root))
    model = models.get("ease")(l2=20).fit(log, FitContext(seed=5))
    whole = tmp_path / "whole.csv"
    written(recommend(model, log.histories(users), 20), whole)
    again = refit_lists(made, log, users, task, {"theirs": whole}, RunOptions(root))
    assert (again.length == 5).all()
    alone = refit_lists(theirs, log, users, task, {"theirs": whole}, RunOptions(root))
    np.testing.assert_array_equal(alone.item[:, :5], recommend(model, log.histories(users), 5).item)
    with pytest.raises(UnknownNameError, match="did you mean 'theirs'"):
        refit_lists(made, log, users, task, {"their": whole}, RunOptions(root))


@pytest.mark.parametrize(
    ("name", "spoil", "complaint"),
    [
        ("ease", lambda f: f, "no kind of a model"),
        ("a b", lambda f: f, "no kind of a model"),
        ("x", lambda f: f.vstack(f.head(1)), "repeats an item"),
        ("x", lambda f: f.with_columns(item=pl.lit(10**6)), "unknown item"),
        ("x", lambda f: f.group_by("user", maintain_order=True).head(3), "longest list has 3"),
    ],
)
def test_files_that_cannot_join(done, tmp_path, name, spoil, complaint):
    prepared, root, runs = done
    path = tmp_path / "x.csv"
    written(runs[2].lists(prepared.log.users, prepared.log.items), path)
    spoil(pl.read_csv(path)).write_csv(path)
    from matinee.errors import MatineeError

    with pytest.raises(MatineeError, match=complaint):
        import_lists(path, name, prepared, RunOptions(root))
    assert not list((root / ".partial").iterdir())


def test_a_seen_item_cannot_join(done, tmp_path):
    prepared, root, _ = done
    log = prepared.split.train
    frame = pl.DataFrame({"user": log.users.decode(log.user[:1]), "item": log.items.decode(log.item[:1])})
    frame.write_csv(tmp_path / "seen.csv")
    with pytest.raises(SubmissionError, match="seen item"):
        import_lists(tmp_path / "seen.csv", "seen", prepared, RunOptions(root))


@pytest.mark.parametrize("gate", ["segments", "logit"])
def test_a_gate_that_finds_nothing_leaves_everybody_alone(done, gate):
    prepared, root, runs = done
    plan = read_experiment(tables(ensemble={**GREEDY, "gate": gate}), "exp.toml").ensemble
    made = combine(prepared, runs, plan, RunOptions(root))
    assert made.record.ensemble.recipe.gate is None


def test_weights_for_each_person_are_kept_and_delivered(done):
    """`max_p_value = 1` uses the gate in any case."""
    prepared, root, runs = done
    plan = read_experiment(
        tables(ensemble={**GREEDY, "gate": {"kind": "logit", "max_p_value": 1.0}}), "exp.toml"
    ).ensemble
    made = combine(prepared, runs, plan, RunOptions(root))
    assert made.record.ensemble.recipe.gate.kind == "logit"
    log, users = prepared.log, np.arange(prepared.log.n_users, dtype=np.int32)
    lists = refit_lists(open_run(made.folder), log, users, prepared.experiment.task, {}, RunOptions(root))
    assert (lists.length == 5).all()
