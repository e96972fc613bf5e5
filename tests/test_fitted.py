"""What is kept of a fitted model, and what is refused when it comes back changed: kernels check no index."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

from matinee import models
from matinee.contract import FitContext, FittedModel
from matinee.data import Histories
from matinee.errors import RunError
from matinee.fitted import PopularityScorer, load, save
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
        ("item_knn", {}, "prior", shorter),
        ("user_knn", {}, "matrix.indices", put(0, 2**30)),
        ("user_knn", {}, "matrix.indptr", put(1, 2**30)),
        ("user_knn", {}, "voting", shorter),
        ("user_knn", {}, "weight", shorter),
        ("ease", {}, "weights", shorter),
        ("ease", {}, "weights", lambda array: array.astype(np.float64)),
        ("easer", {"pairs": 5}, "pairs", put(0, 2**30)),
        ("easer", {"pairs": 5}, "pairs", put(0, -1)),
        ("easer", {"pairs": 5}, "pairs", shorter),
        ("pure_svd", {"factors": 4}, "left", shorter),
        ("pure_svd", {"factors": 4}, "right", shorter),
        ("popularity", {}, "scores", shorter),
        ("mult_dae", {"factors": 4, "epochs": 1}, "prior", shorter),
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


@pytest.mark.parametrize("change", [{"neighbours": -1}, {"matrix": {"csr": [-1, 40]}}, {"items": 3}, {"shape": "Path"}])
def test_numbers_that_do_not_fit_are_refused(kept, change):
    folder = kept("user_knn")
    plain = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**plain, **change}))
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
    with pytest.raises(TypeError, match=rf"Noted.more is a {type(value).__name__}"):
        save(noted, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_nothing_is_kept_as_nothing(tmp_path):
    """None is a value of its own: it does not come back as the default of the field."""
    fitted: FittedModel = models.get("easer")(pairs=5).fit(LOG)
    save(replace(fitted, pairs=None, weights=fitted.weights[: LOG.n_items]), tmp_path / "model")
    assert models.load(tmp_path / "model").pairs is None
    assert load(tmp_path / "model", models.CATALOGUE.read).items == LOG.items
