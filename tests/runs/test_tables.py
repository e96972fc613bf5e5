"""What an experiment file or `--set` may hold, and what is refused before anything is computed."""

from __future__ import annotations

import copy
import os
import time
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matinee import models
from matinee.contract import AttributeColumns, FitContext, ModelSpec
from matinee.errors import MatineeError, SpecError, UnknownNameError, UnsupportedError
from matinee.models.popularity import Popularity
from matinee.runs import load_experiment, prepare
from matinee.runs.experiment import Experiment, check_support, read_experiment
from matinee.split import PROTOCOLS
from tests.logs import log_of
from tests.runs.test_execute import TABLES, with_


class KnownUsersOnly(Popularity):
    """A model of user ids."""

    query_by: ClassVar[Literal["history", "user_id", "both"]] = "user_id"


def refused(tables: dict[str, Any], *changes: str) -> str:
    with pytest.raises(MatineeError) as error:
        read_experiment(tables, "exp.toml", changes)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 1500
    return text


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"seeds": [3, 3]}, "exp.toml: seeds", "Write it under its [[model]]"),
        ({"task": {"k": True}}, "exp.toml: task.k: found True", "not true or false"),
        ({"model": [{"kind": "ease", "l2": True}]}, "(ease).l2: found True", "not true or false"),
        ({"model": [{"kind": "slim", "non_negative": 1}]}, "non_negative: found 1", "true or false"),
        ({"seed": True}, "seed: found True", "not true or false"),
        ({"keep_models": "no"}, "keep_models: found 'no'", "true or false"),
        ({"seed": -1}, "seed: found -1", "greater than or equal to 0"),
        ({"seed": 2**53}, "seed: found", "less than"),
        ({"split": {"kind": "random", "n": 1, "seed": -1}}, "split (random).seed: found -1", "greater than or equal"),
        (
            {"split": {"kind": "mixture", "n_random": 10**9}},
            "(mixture).n_random: found",
            "less than or equal to 1000000",
        ),
        ({"split": {"kind": "temporal", "fraction": 0.2, "days": 1e300}}, "(temporal).days", "less than or equal"),
        ({"split": {"kind": "temporal", "at": "0001-01-01"}}, "(temporal).at", "1900 and 2200"),
        (
            {"split": {"kind": "temporal", "fraction": 0.2, "days": 3, "origins": 3}},
            "split.origins: found 3",
            "splits(log)",
        ),
        ({"model": [{"kind": "pure_svd", "seeds": 10**9}]}, "model 1.seeds: found", "less than or equal to 100"),
        ({"model": [{"kind": "pure_svd", "seeds": True}]}, "model 1.seeds: found True", "not true or false"),
        ({"model": [{"kind": "ease", "seeds": 2}]}, "model 1: seeds = 2", "draws no random numbers"),
        ({"ensemble": {"folds": 100_000}}, "ensemble.folds: found 100000", "less than or equal to 100"),
        ({"ensemble": {"members": ["eas"]}}, "ensemble.members", "did you mean 'ease'"),
        ({"model": {"kind": "ease"}}, "exp.toml: model: it is one table", "Write [[model]]"),
        ({"model": "ease"}, "exp.toml: model", "no model is listed"),
        ({"model": ["ease"]}, "exp.toml: model 1: found 'ease'", "a table"),
        ({"model": [{"kind": 3}]}, "model 1: found kind = 3", "kind = one of"),
        ({"spilt": {"kind": "last_n"}}, "no table 'spilt'", "did you mean 'split'"),
        ({"submission": {"path": "out.xlsx"}}, "submission.path: found 'out.xlsx'", ".csv or .parquet"),
        ({"data": {"path": "x" * 300}}, "exp.toml: data", "File name too long"),
        ({"data": {"path": "a\0b"}}, "exp.toml: data.path", "NUL"),
        ({"data": {"path": "\udcff"}}, "exp.toml: data.path", "UTF-8"),
        ({"seed": 10**5000}, "exp.toml: seed", "64 bits"),
    ],
)
def test_what_means_nothing_is_refused(changes, place, message):
    text = refused(with_(**changes))
    assert place in text
    assert message in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("task.k=5\nseed=3", "on one line"),
        ("task.extra_metrics=" + "[" * 3000, "TOML can read"),
        ("seed=" + "9" * 5000, "TOML can read"),
        (".".join("a" * 20_000) + "=1", "on one line"),
        ("model.ease=1", "no option is named"),
        ("model.0.l2=1", "lists 2 models"),
        ("model.3.l2=1", "lists 2 models"),
        ("seed=0x" + "f" * 5000, "64 bits"),
    ],
)
def test_set_is_one_change_that_can_be_read(change, message):
    assert message in refused(TABLES, change)


@pytest.mark.parametrize("model", ["ease", {"kind": "ease"}, [3], []])
def test_set_on_models_that_are_no_list_of_tables(model):
    assert "--set: model" in refused(with_(model=model), "model.ease.l2=1")


def test_two_models_of_a_kind_are_addressed_by_number():
    tables = with_(model=[{"kind": "popularity"}, {"kind": "popularity", "half_life_days": 30}, {"kind": "item-knn"}])
    assert "one of model.1, model.2" in refused(tables, "model.popularity.half_life_days=60")
    found = read_experiment(tables, "exp.toml", ("model.2.half_life_days=60", "model.item_knn.neighbours=7"))
    assert [getattr(spec, "half_life_days", None) for spec in found.model] == [None, 60, None]
    assert found.model[2].params()["neighbours"] == 7


def test_one_number_written_in_two_ways_is_one_split():
    one, other = (read_experiment(with_(seed=seed), "exp.toml") for seed in (10**9, 1e9))
    assert one == other
    assert one.to_dict() == other.to_dict()
    assert isinstance(other.split.seed, int)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = " + "[" * 3000, "nested too deep"),
        ("x = " + "[" * 100 + "]" * 100, "nested deeper"),
        ("x = " + "9" * 5000, "digits"),
        (".".join("a" * 20_000) + " = 1", "a key of more than"),
        (".".join(['"a"'] * 20_000) + " = 1", "a key of more than"),
        ("[" + " . ".join("a" * 20_000) + "]", "a key of more than"),
        ("# " + "x" * 1_000_001, "at most 1,000,000"),
        ("a = ", "not TOML"),
    ],
)
def test_a_file_is_read_within_limits(tmp_path, text, message):
    path = tmp_path / "exp.toml"
    path.write_text(text)
    started = time.perf_counter()
    with pytest.raises(SpecError, match=message):
        load_experiment(path)
    assert time.perf_counter() - started < 5


def test_long_numbers_and_texts_are_no_keys(tmp_path):
    path = tmp_path / "exp.toml"
    path.write_text(f"x = [{', '.join(['0.5'] * 1000)}]")
    with pytest.raises(UnknownNameError, match="no option 'x'"):
        load_experiment(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('path = "."', "ends in .csv"),
        ('path = "folder.csv"', "is a folder"),
        ('path = "exp.toml/s.csv"', "is not a folder"),
        ('path = "s.csv"\nusers = "none.csv"', "there is no file none.csv"),
        (f'path = "{"x" * 300}.csv"', "File name too long"),
    ],
)
def test_a_submission_that_cannot_be_written_is_refused_with_the_file(tmp_path, monkeypatch, line, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    head = '[data]\nkind = "simulate"\n[split]\nkind = "last_n"\n[[model]]\nkind = "popularity"\n[submission]\n'
    (tmp_path / "exp.toml").write_text(head + line)
    with pytest.raises(SpecError, match=message):
        load_experiment("exp.toml")
    (tmp_path / "exp.toml").write_text(head + 'path = "new/folder/s.csv"')
    assert load_experiment("exp.toml").submission is not None


def test_recent_items_of_a_log_without_times_are_refused_before_any_fit(tmp_path):
    pl.DataFrame({"user": [1, 1, 2, 2], "item": [1, 2, 1, 3]}).write_csv(tmp_path / "log.csv")
    task = {"k": 1, "metric": "recall@1", "extra_metrics": [], "available": "recent"}
    tables = with_(data={"path": str(tmp_path / "log.csv")}, task=task, split={"kind": "random", "n": 1})
    with pytest.raises(SpecError, match="the log has no times"):
        prepare(read_experiment({**tables, "model": [{"kind": "popularity"}]}, "exp.toml"))


def test_a_model_of_user_ids_is_refused_where_users_are_held_out(monkeypatch, tmp_path):
    splits = {"last_n": {}, "new_users": {"users": 3}, "predefined": {"targets": tmp_path / "test.csv"}}
    specs = {kind: PROTOCOLS.read({"kind": kind, **options}, "split") for kind, options in splits.items()}
    with pytest.raises(SpecError, match="new_users queries users without training interactions"):
        check_support(KnownUsersOnly(), specs["new_users"], "exp.toml: model 1")
    for kind in ("last_n", "predefined"):
        check_support(KnownUsersOnly(), specs[kind], "exp.toml: model 1")
    for spec in map(models.get, models.kinds()):
        check_support(spec(), specs["new_users"], "exp.toml: model 1")
    rows = pl.DataFrame({"user": [1, 1, 2, 2, 3], "item": [1, 2, 1, 3, 2]})
    rows.filter(pl.col("user") < 3).write_csv(tmp_path / "train.csv")
    rows.with_columns(pl.col("item") % 3 + 1).write_csv(tmp_path / "test.csv")
    task = {"k": 1, "metric": "recall@1", "extra_metrics": [], "seen": "include"}
    tables = {"task": task, "data": {"path": str(tmp_path / "train.csv")}, "model": [{"kind": "popularity"}]}
    experiment = read_experiment(
        {**tables, "split": {"kind": "predefined", "targets": str(tmp_path / "test.csv")}}, "exp.toml"
    )
    prepare(experiment)
    with pytest.raises(UnsupportedError, match="score 1 of 3 users without training interactions"):
        prepare(experiment.model_copy(update={"model": (KnownUsersOnly(),)}))


def test_order_and_attributes_that_a_log_lacks_are_refused():
    class Described(Popularity):
        def attribute_columns(self) -> AttributeColumns:
            return AttributeColumns(item=("genre", "year"))

    class Ordered(Popularity):
        uses_order: ClassVar[bool] = True

    log = log_of([0, 1], [0, 1])
    for spec, message in ((Described(), "item attributes genre, year"), (Ordered(), "log without order")):
        with pytest.raises(UnsupportedError, match=message):
            FitContext().check_memory(spec, log)
    assert all(isinstance(spec().attribute_columns(), AttributeColumns) for spec in map(models.get, models.kinds()))
    assert ModelSpec.query_by == "history"


VALID: dict[str, Any] = {
    **TABLES,
    "keep_models": True,
    "model": [{"kind": "item_knn"}, {"kind": "ease", "l2": 20}, {"kind": "pure_svd", "factors": 5, "seeds": 2}],
    "ensemble": {"kind": "greedy", "bags": 2, "folds": 2, "depth": 20, "rules": ["rrf", {"kind": "two_tier"}]},
    "submission": {"path": "s.csv", "model": "ensemble"},
}

NAMES = ["seed", "seeds", "k", "kind", "l2", "path", "users", "origins", "at", "days", "fraction", "members", "rule"]
KINDS = [
    "temporal",
    "predefined",
    "new_users",
    "last_n",
    "random",
    "rrf",
    "product",
    "quota",
    "segments",
    "logit",
    "delimited",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1, 2**31, 2**63 - 1, 2**63, 10**18, 10**400]),
    st.floats(),
    st.datetimes(),
    st.dates(),
    st.text(max_size=20),
    st.sampled_from(
        ["x" * 300, "x" * 5000, "\0", "\udcff", "a\nb", "recall@10", "recall@0", "1e9*recall@1", "ndcg@" + "9" * 30]
    ),
    st.sampled_from(KINDS + models.kinds()),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, one in inner for place in places(one, (*path, name)))]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    tables: Any = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 3))):
        all_places = [path for path in places(tables) if path]
        if not all_places:
            break
        *path, last = draw(st.sampled_from(all_places))
        at = tables
        for name in path:
            at = at[name]
        kind = draw(st.sampled_from(["value", "kind", "key", "remove", "deep"]))
        if kind == "remove":
            del at[last]
        elif kind == "key" and isinstance(at, dict):
            at[draw(st.sampled_from(NAMES) | st.text(max_size=8))] = draw(VALUES)
        elif kind == "deep":
            for _ in range(draw(st.sampled_from([2, 15, 17, 300]))):
                at[last] = [at[last]]
        else:
            at[last] = draw(st.sampled_from(KINDS)) if kind == "kind" else draw(VALUES)
    return tables


@settings(
    max_examples=int(os.environ.get("MATINEE_EXAMPLES", "50")),
    deadline=None,
    derandomize="MATINEE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(mutated())
def test_any_table_is_an_experiment_or_one_line(tables):
    try:
        experiment = read_experiment(tables, "exp.toml")
    except MatineeError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(experiment, Experiment)
        assert read_experiment(experiment.to_dict(), "run.json") == experiment
        assert all(np.iinfo(np.int64).max > seed >= 0 for seed in (fit.seed for fit in experiment.fits()))
