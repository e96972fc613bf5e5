"""Guards fire on what they are about, and say what to do next."""

from __future__ import annotations

import pytest

from matinee.metrics import compare, evaluate
from matinee.models.ease import EASE
from matinee.runs import execute, leaderboard, prepare
from matinee.runs.execute import RunOptions
from matinee.runs.experiment import read_experiment
from matinee.runs.finding import Finding, warning
from matinee.runs.guards import check_beats_popularity, check_training
from matinee.runs.log import read_log
from matinee.runs.text import MESSAGES, finding_text
from matinee.runs.validation import fit_early_stopped
from matinee.topk import recommend
from tests.observers import RecordingObserver
from tests.runs.test_execute import TABLES


@pytest.mark.parametrize(
    ("losses", "metrics", "wanted"),
    [
        ([2.0, 1.5, 1.6], [(1, 0.1), (2, 0.3), (3, 0.2)], []),
        ([2.0, 2.0, 2.5], [], ["never fell below the 2 of the first epoch: lower learning_rate"]),
        ([2.0, 1.5], [(1, 0.1), (2, 0.3)], ["best validation value was at the last epoch (2): increase epochs"]),
        ([2.0, 1.5], [(0, 0.3), (1, 0.3), (2, 0.3)], []),
        ([2.0], [], []),
        ([], [(0, 0.3)], []),
    ],
)
def test_a_network_that_does_not_learn_or_is_not_done(losses, metrics, wanted):
    metric = dict(metrics)
    epochs = [{"step": n, **({"loss": losses[n - 1]} if n else {})} for n in range(len(losses) + 1)]
    lines = [line | ({"metric": metric[line["step"]]} if line["step"] in metric else {}) for line in epochs]
    found = [finding_text(one) for one in check_training([line for line in lines if len(line) > 1])]
    assert len(found) == len(wanted)
    assert all(part in whole for part, whole in zip(wanted, found, strict=True))


def test_a_run_keeps_how_its_network_learnt_and_warns_of_it(tmp_path):
    """Two epochs are too few: the second is the better one."""
    tables = {
        "seed": 5,
        "data": {"kind": "simulate", "users": 120, "items": 60, "rows": 3000},
        "task": {"k": 5, "metric": "recall@5", "extra_metrics": [], "stored_k": 20},
        "split": {"kind": "mixture", "n_random": 3, "n_last": 2},
        "model": [{"kind": "mult_dae", "factors": 8, "epochs": 2, "learning_rate": 0.01}],
    }
    observer = RecordingObserver()
    *_, run = execute(prepare(read_experiment(tables, "exp.toml")), RunOptions(tmp_path, observer))
    lines = read_log(run.folder, "epoch")
    assert [(line["split"], line["step"]) for line in lines] == [
        ("validation", 1),
        ("validation", 2),
        ("train", 1),
        ("train", 2),
    ]
    assert run.producer.refit.epochs == 2
    assert all({"loss", "metric", "seconds"} <= line.keys() for line in lines[:2])
    assert not any("metric" in line for line in lines[2:])
    assert lines[1]["loss"] < lines[0]["loss"]
    sent = observer.of("epoch")
    assert [values["loss"] for _, values in sent] == [line["loss"] for line in lines]
    assert {values["run"] for _, values in sent} == {run.name}
    (validation,) = read_log(run.folder, "validate")
    assert validation["metric"] == max(line["metric"] for line in lines[:2])
    assert "was at the last epoch (2)" in finding_text(run.record.findings[0])


def test_a_lead_within_the_noise_is_reported(tmp_path):
    """A mean above popularity is not enough: the interval has to be above 0."""
    runs = execute(prepare(read_experiment(TABLES, "exp.toml")), RunOptions(tmp_path))
    popularity, knn, ease = runs
    lead = compare(knn.evaluation, popularity.evaluation, "recall@5")
    assert lead.low < 0 < lead.mean
    (finding,) = check_beats_popularity(knn.evaluation, popularity.evaluation, "recall@5")
    assert finding.code == "popularity_not_beaten"
    assert finding.values["mean"] == pytest.approx(lead.mean)
    assert finding in leaderboard(runs).findings(knn)
    assert leaderboard([ease, knn, popularity]).beats_popularity == leaderboard(runs).beats_popularity
    assert not leaderboard(runs).findings(popularity)
    assert not leaderboard([knn, ease]).beats_popularity


def test_the_baseline_is_popularity_with_default_hyperparameters(tmp_path):
    model = [{"kind": "popularity", "repeat_weight": 0.5}, {"kind": "popularity"}, {"kind": "item_knn"}]
    runs = execute(prepare(read_experiment({**TABLES, "model": model}, "exp.toml")), RunOptions(tmp_path))
    ranked = leaderboard(runs)
    assert set(ranked.beats_popularity) == {runs[0].name, runs[2].name}
    (finding,) = ranked.findings(runs[2])
    assert finding.values["mean"] == pytest.approx(compare(runs[2].evaluation, runs[1].evaluation, "recall@5").mean)


def test_values_that_do_not_exist_are_shown_as_a_dash():
    found = warning("popularity_not_beaten", metric="recall@5", mean=0.1, low=float("nan"), high=float("nan"))
    assert "(+0.1000 [–, –])" in finding_text(found)
    assert finding_text(Finding(code="of_tomorrow", values={"x": 1})) == "of_tomorrow, x = 1"
    assert set(MESSAGES) >= {"seen_items", "identical_lists", "unsorted_lists", "short_lists"}


def test_the_popularity_metric_counts_the_training_set_alone(tmp_path):
    prepared = prepare(
        read_experiment({**TABLES, "task": {**TABLES["task"], "extra_metrics": ["popularity@5"]}}, "exp.toml")
    )
    run = execute(prepared, RunOptions(tmp_path))[0]
    lists = run.lists(prepared.log.users, prepared.log.items)

    def by(popularity):
        return evaluate(lists, prepared.split.target, ["popularity@5"], popularity=popularity)["popularity@5"]

    assert run.record.metrics["popularity@5"].mean == by(prepared.split.train.popularity)
    assert by(prepared.log.popularity) != by(prepared.split.train.popularity)


def test_the_stop_fold_has_no_target_that_cannot_be_listed(monkeypatch):
    """On a log with repeats: targets that occur in the query are excluded from lists, so they must not count."""
    data = {**TABLES["data"], "repeat_rate": 0.4}
    prepared = prepare(read_experiment({**TABLES, "data": data}, "exp.toml"))
    stop, task = prepared.split.validation_split(), prepared.experiment.task
    contexts, fit = [], EASE.fit
    monkeypatch.setattr(EASE, "fit", lambda self, data, ctx: contexts.append(ctx) or fit(self, data, ctx))
    model = fit_early_stopped(EASE(), prepared.split, task)
    ranked = recommend(model, stop.drop_seen_targets().query, 5)
    by_hand = evaluate(ranked, stop.drop_seen_targets().target, ["recall@5"])["recall@5"]
    ranked = recommend(model, stop.query, 5)
    assert evaluate(ranked, stop.target, ["recall@5"])["recall@5"] != by_hand
    assert contexts[0].validate(model) == by_hand
