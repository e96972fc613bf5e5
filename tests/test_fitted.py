"""What is kept of a fitted model, and what is refused when it comes back changed: kernels check no index."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

from matinee import models
from matinee.contract import FitContext, FittedModel, Mask
from matinee.data import Histories, Vocabulary
from matinee.errors import RunError, UnsupportedError
from matinee.fitted import DotProduct, PopularityScorer, UserTable
from matinee.storage import CODECS, load, save
from matinee.topk import recommend
from matinee.topk.query import BinaryQuery
from tests.logs import random_log

LOG = random_log()


@pytest.fixture
def kept(tmp_path):
    """A folder with a fitted model of the kind asked for, and a function that changes its arrays."""

    def made(kind, **knobs):
        save(models.get(kind)(**knobs).fit(LOG, FitContext(seed=1)), tmp_path / "model")
        return tmp_path / "model"

    return made


def changed(folder, **arrays):
    path = folder / "arrays.safetensors"
    held = load_file(path)
    for name, change in arrays.items():
        array = held[name].copy()
        held[name] = np.ascontiguousarray(change(array))
    save_file(held, path)


def put(at, value):
    def change(array):
        array.flat[at] = value
        return array

    return change


def shorter(array):
    return array[:-1]


@pytest.mark.parametrize(
    ("kind", "knobs", "array", "change"),
    [
        ("item_knn", {}, "weights.indices", put(0, 2**30)),
        ("item_knn", {}, "weights.indices", put(3, -5)),
        ("item_knn", {}, "weights.indptr", put(1, 2**30)),
        ("item_knn", {}, "weights.indptr", put(-1, 2**30)),
        ("item_knn", {}, "weights.data", shorter),
        ("item_knn", {}, "popularity", shorter),
        ("user_knn", {}, "matrix.indices", put(0, 2**30)),
        ("user_knn", {}, "matrix.indptr", put(1, 2**30)),
        ("user_knn", {}, "neighbour_size", shorter),
        ("user_knn", {}, "weight", shorter),
        ("ease", {}, "weights", shorter),
        ("ease", {}, "weights", lambda array: array.astype(np.float64)),
        ("easer", {"pairs": 5}, "query.pairs", put(0, 2**30)),
        ("easer", {"pairs": 5}, "query.pairs", put(0, -1)),
        ("easer", {"pairs": 5}, "query.pairs", shorter),
        ("pure_svd", {"factors": 4}, "query.left", shorter),
        ("pure_svd", {"factors": 4}, "item_factors", shorter),
        ("popularity", {}, "scores", shorter),
        ("mult_dae", {"factors": 4, "epochs": 1}, "popularity", shorter),
        ("mult_dae", {"factors": 4, "epochs": 1}, "state.first.weight", shorter),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(kept, kind, knobs, array, change):
    folder = kept(kind, **knobs)
    assert isinstance(models.load(folder).score(Histories.of([[1, 2]], LOG.items)), np.ndarray)
    changed(folder, **{array: change})
    with pytest.raises(RunError, match="the model kept here cannot be read") as caught:
        models.load(folder)
    assert str(caught.value).endswith("run the experiment again.")


@pytest.mark.parametrize(
    "change",
    [
        {"neighbours": -1},
        {"matrix": {"csr": [-1, 40]}},
        {"items": 3},
        {"rule": 3},
        {"rule": {"dataclass": "Path", "fields": {}}},
        {"rule": {"other": 1}},
        {"more": 1},
    ],
)
def test_numbers_that_do_not_fit_are_refused(kept, change):
    folder = kept("user_knn")
    plain = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**plain, "fields": {**plain["fields"], **change}}))
    with pytest.raises(RunError, match="cannot be read"):
        models.load(folder)
    (folder / "model.json").write_text(json.dumps({**plain, "type": "Path"}))
    with pytest.raises(RunError, match="cannot be read"):
        models.load(folder)


def test_ids_out_of_order_are_refused(kept):
    folder = kept("popularity")
    ids = pl.read_parquet(folder / "items.parquet")
    ids[::-1].write_parquet(folder / "items.parquet")
    with pytest.raises(RunError, match="items are not ids in ascending order"):
        models.load(folder)


@dataclass(frozen=True, eq=False)
class Noted(PopularityScorer):
    more: object = None


@pytest.mark.parametrize(
    "value", [np.float32(0.5), [1, 2], {"a": 1}, LOG, object()], ids=lambda value: type(value).__name__
)
def test_a_field_that_cannot_be_kept_is_named_and_nothing_is_written(tmp_path, value):
    fitted = models.get("popularity")().fit(LOG)
    noted = Noted(**{field.name: getattr(fitted, field.name) for field in fields(fitted)}, more=value)
    with pytest.raises(TypeError, match=rf"the field more is a {type(value).__name__}"):
        save(noted, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_none_is_stored_as_none(tmp_path):
    """None is a value of its own: it does not come back as the default of the field."""
    fitted: FittedModel = models.get("pure_svd")(factors=3).fit(LOG)
    save(fitted, tmp_path / "model")
    assert models.load(tmp_path / "model").item_bias is None
    assert load(tmp_path / "model", models.CATALOGUE.read).items == LOG.items


def test_an_item_model_keeps_its_query_map(tmp_path):
    fitted: FittedModel = models.get("easer")(pairs=5).fit(LOG)
    save(fitted, tmp_path / "pairs")
    np.testing.assert_array_equal(models.load(tmp_path / "pairs").query.pairs, fitted.query.pairs)
    save(replace(fitted, query=BinaryQuery(), weights=fitted.weights[: LOG.n_items]), tmp_path / "single")
    assert models.load(tmp_path / "single").query == BinaryQuery()


def test_a_table_of_users_is_stored_and_cold_users_are_reported(tmp_path):
    rng = np.random.default_rng(0)
    factors, table = (rng.normal(size=(n, 6)).astype(np.float32) for n in (LOG.n_items, LOG.n_users))
    popularity, bias = LOG.popularity.astype(np.float32), rng.normal(size=LOG.n_items).astype(np.float32)
    spec = models.get("popularity")()
    fitted = DotProduct(spec, LOG.items, factors, popularity, UserTable(LOG.users, table), bias)
    save(fitted, tmp_path / "model")
    again = models.load(tmp_path / "model")
    assert again.users == LOG.users
    known, new = LOG.histories(), Histories.of([[3, 4]], LOG.items)
    np.testing.assert_allclose(again.score(known), table @ factors.T + bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(again.score(new)[0], popularity)
    np.testing.assert_array_equal(
        recommend(again, new, 3, Mask(seen=False)).item[0], np.argsort(-popularity, kind="stable")[:3]
    )
    some = np.array([7, 3])
    smaller = Vocabulary.of(LOG.users.decode(some))
    asked = known.take(some)
    renamed = replace(asked, user=smaller.encode(LOG.users.decode(some)), users=smaller)
    np.testing.assert_array_equal(again.score(renamed), again.score(asked))
    by_name = type("ByName", (type(spec),), {"query_by": "user_id"})
    strict = replace(fitted, spec=by_name())
    with pytest.raises(UnsupportedError, match="1 users without a row"):
        strict.score(new)
    with pytest.raises(UnsupportedError, match="1 users without a row"):
        recommend(strict, new, 3)


def test_each_type_of_field_has_a_codec():
    assert {np.ndarray, dict, int, float, str, type(None), BinaryQuery, UserTable} <= set(CODECS)
