"""Explanations add up: the parts of a score are the score."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from matinee import models
from matinee.data import Histories
from matinee.errors import SpecError, UnsupportedError
from matinee.explain import explain
from matinee.fitted import ItemItem
from matinee.topk.query import BinaryQuery, DecayedQuery, PairQuery
from tests.logs import random_log
from tests.typing_words import typed


def hand_made(**extra):
    """Three items whose weights can be read off: W_ij = 10 i + j."""
    log = random_log(items=3, users=5, rows=20)
    rows = extra.get("query", BinaryQuery()).n_rows(3)
    W = np.array([[10.0 * i + j for j in range(3)] for i in range(rows)], dtype=np.float32)
    return ItemItem(models.get("ease")(), log.items, W, np.ones(3, dtype=np.float32), **extra)


@pytest.mark.parametrize("kind", ["ease", "item_knn", "gf_cf", "pure_svd", "item_vae", "multi_ease"])
def test_contributions_add_up_to_the_score(kind):
    log = random_log(seed=12)
    spec = models.get(kind)()
    model = (spec.model_copy(update={"epochs": 2}) if spec.uses_validation else spec).fit(log)
    histories = log.histories()
    scores = model.score(histories)
    for row, item in ((0, 3), (5, 17), (59, 39)):
        parts = explain(model, histories.rows(row, row + 1), item)
        assert parts["contribution"].sum() == pytest.approx(scores[row, item], rel=1e-5, abs=1e-6)
        assert set(parts["item"].drop_nulls()) <= set(log.items.decode(histories.rows(row, row + 1).item))
        assert parts["item"].null_count() == (kind == "item_vae")
        assert parts["contribution"].is_sorted(descending=True)
        assert parts["share"].abs().sum() == pytest.approx(1.0)


def test_every_row_says_which_item_added_what():
    model = hand_made()
    parts = explain(model, Histories.of([[2, 1]], model.items), 0)
    assert parts["item"].to_list() == [5002, 5001]
    assert parts["contribution"].to_list() == [20.0, 10.0]
    assert parts["share"].to_list() == pytest.approx([2 / 3, 1 / 3])
    assert parts["with"].to_list() == [None, None]


def test_fading_weights_are_part_of_what_an_item_adds():
    model = hand_made(query=DecayedQuery(2.0))
    history = Histories.of([[2, 1]], model.items)
    parts = explain(model, history, 0)
    by_item = dict(zip(parts["item"], parts["contribution"], strict=True))
    assert by_item == {5001: pytest.approx(10.0), 5002: pytest.approx(20.0 * np.exp(-0.5))}
    assert sum(by_item.values()) == pytest.approx(model.score(history)[0, 0])


def test_pairs_stand_beside_the_items_they_are_made_of():
    model = hand_made(query=PairQuery(np.array([[0, 1], [1, 2]], dtype=np.int32)))
    history = Histories.of([[2, 1]], model.items)
    parts = explain(model, history, 1)
    rows = list(parts.select("item", "with", "contribution").iter_rows())
    assert rows == [(5001, 5002, 41.0), (5002, None, 21.0), (5001, None, 11.0)]
    assert parts["contribution"].sum() == pytest.approx(model.score(history)[0, 1])


def test_titles_are_those_of_the_parts():
    model = hand_made(query=PairQuery(np.array([[1, 2]], dtype=np.int32)))
    plain = Histories.of([[2, 1]], model.items)
    titles = pl.Series(["nought", "one", "two"])
    history = Histories(plain.user, plain.offsets, plain.item, plain.time, plain.users, plain.items, titles)
    parts = explain(model, history, 0)
    assert parts["title"].to_list() == ["one", "two", "one"]
    assert parts["title of with"].to_list() == ["two", None, None]


def test_an_empty_history_has_no_parts():
    model = hand_made()
    assert explain(model, Histories.of([[]], model.items), 0).is_empty()


def test_what_cannot_be_explained_is_refused():
    log = random_log()
    popular = models.get("popularity")().fit(log)
    with pytest.raises(UnsupportedError, match="no sum over the history"):
        explain(popular, log.histories().rows(0, 1), 0)
    model = hand_made()
    with pytest.raises(SpecError, match="one row"):
        explain(model, Histories.of([[0], [1]], model.items), 0)
    with pytest.raises(SpecError, match="catalogue"):
        explain(model, Histories.of([[0]], model.items), 3)


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
stored_k = 10
[split]
kind = "mixture"
n_random = 3
n_last = 2
[[model]]
kind = "item_knn"
"""


def test_the_command_looks_at_the_split_of_the_run(tmp_path, monkeypatch, capsys):
    """A query is explained as the run saw it, after whatever `prepare` did to the split."""
    from dataclasses import replace

    from matinee import runs

    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp.toml").write_text(EXPERIMENT)
    assert typed("run", "exp.toml") == 0
    (folder,) = (tmp_path / "runs").glob("item_knn-*")
    user = pl.read_parquet(folder / "lists.parquet")["user"][7]
    original = runs.prepare

    def shortened(experiment):
        prepared = original(experiment)
        ask = prepared.split.query
        newest = Histories(
            ask.user, np.arange(len(ask) + 1), ask.last(), ask.time[ask.offsets[1:] - 1], ask.users, ask.items
        )
        return replace(prepared, split=replace(prepared.split, query=newest))

    monkeypatch.setattr(runs, "prepare", shortened)
    capsys.readouterr()
    assert typed("explain", str(folder), str(user), "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_the_command_explains_what_the_run_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp.toml").write_text(EXPERIMENT)
    assert typed("run", "exp.toml") == 0
    (folder,) = (tmp_path / "runs").glob("item_knn-*")
    user, items, scores = pl.read_parquet(folder / "lists.parquet").row(7)
    capsys.readouterr()
    for at, words in ((0, []), (3, [str(items[3])])):
        assert typed("explain", str(folder), str(user), *words, "--json") == 0
        rows = json.loads(capsys.readouterr().out)
        assert sum(row["contribution"] for row in rows) == pytest.approx(scores[at], rel=1e-5)
    assert typed("explain", str(folder), str(user), "--rows", "2") == 0
    shown = capsys.readouterr().out
    assert f"for user {user}" in shown
    assert "item of the history" in shown
    assert "more items add" in shown
    assert typed("explain", str(folder), "nobody") == 2
    assert "an id of the run's log" in capsys.readouterr().err
    assert typed("explain", str(folder), str(user), "nothing") == 2
    assert capsys.readouterr().err.startswith("matinee: item")


def test_what_everybody_gets_has_no_item():
    log = random_log(seed=12)
    model = models.get("ease")(unobserved_value=0.3).fit(log)
    history = log.histories().rows(4, 5)
    parts = explain(model, history, 7)
    assert parts["item"].null_count() == 1
    assert parts["contribution"].sum() == pytest.approx(model.score(history)[0, 7], rel=1e-4)
