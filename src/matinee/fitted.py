"""The few shapes a trained model takes, and how each is kept in a folder without pickle."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csc_array, csr_array

from matinee.contract import Fitted, Mask, ModelSpec
from matinee.data import Histories, Vocabulary
from matinee.errors import RunError
from matinee.topk.item_item import Asked, score_scattered, score_tiled, tiled, top_scattered, top_tiled
from matinee.topk.people import Closeness, Crowd, score_by_people
from matinee.topk.rank import choose, refuse_nan, rows_of
from matinee.topk.view import as_set, fading, unknown, with_constant, with_pairs

F32: TypeAlias = NDArray[np.float32]
Best: TypeAlias = tuple[NDArray[np.int32], F32]
STRANGERS = 512
"""People of whom nothing is known that are ranked at once."""


@dataclass(frozen=True, eq=False)
class Constant:
    """One score an item for everybody (n_items,), plus `repeat` × log(1 + count) for items a person took before."""

    spec: ModelSpec
    items: Vocabulary
    scores: F32
    repeat: float = 0.0

    @property
    def fused(self) -> bool:
        """Scores are held, a block of people at a time."""
        return False

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        out = np.repeat(self.scores[None, :], len(histories), axis=0)
        if self.repeat:
            counts = histories.counts
            row = np.repeat(np.arange(len(histories)), np.diff(counts.indptr))
            out[row, counts.indices] += np.float32(self.repeat) * np.log1p(counts.data)
        return out

    def top(self, histories: Histories, k: int, mask: Mask) -> Best:
        """The best k allowed items (m, k) and their scores."""
        return choose(self.score(histories), histories, k, mask, self.spec.kind)

    def refit_spec(self) -> ModelSpec:
        """Nothing was decided on validation."""
        return self.spec


@dataclass(frozen=True, eq=False)
class ItemItem:
    """Scores φ(x) W for item–item weights W (r, n_items), dense or sparse, φ how the model sees a history x.

    φ(x) is x as a set; with `fading`, every item counts exp(−a / fading), a the items taken since; with `pairs`
    (p, 2), ascending, W has r = n_items + p rows, one more for each pair of items that stand in x together; with
    `shifted`, W has one more row at the end, which counts for every history. `prior` (n_items,), how many people took
    each item, scores a history of which it knows no item.
    """

    spec: ModelSpec
    items: Vocabulary
    weights: F32 | csr_array
    prior: F32
    fading: float = 0.0
    pairs: NDArray[np.int32] | None = None
    shifted: bool = False

    @cached_property
    def _tiled(self) -> bool:
        return tiled(self.weights, self.prior)

    @property
    def fused(self) -> bool:
        """Lists are made without holding (m, n_items) scores, unless candidates are given."""
        return True

    def asked(self, histories: Histories) -> Asked:
        """φ of every history."""
        if self.pairs is not None:
            asked = with_pairs(histories, self.pairs)
        else:
            asked = fading(histories, self.fading) if self.fading else as_set(histories)
        return with_constant(asked, self.weights.shape[0] - 1) if self.shifted else asked

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        if isinstance(self.weights, csr_array) and not self._tiled:
            scores = score_scattered(self.asked(histories), self.weights)
        else:
            scores = score_tiled(self.asked(histories), self.weights)
        scores[unknown(histories, self.prior)] = self.prior
        return scores

    def top(self, histories: Histories, k: int, mask: Mask) -> Best:
        """The best k allowed items (m, k) and their scores."""
        if mask.candidates is not None:
            return choose(self.score(histories), histories, k, mask, self.spec.kind)
        asked = self.asked(histories)
        if isinstance(self.weights, csr_array) and not self._tiled:
            item, score = top_scattered(asked, self.weights, k, mask)
        else:
            item, score = top_tiled(asked, self.weights, k, mask)
        strangers = np.flatnonzero(unknown(histories, self.prior))
        for low in range(0, len(strangers), STRANGERS):
            some = strangers[low : low + STRANGERS]
            prior = np.repeat(self.prior[None, :], len(some), axis=0)
            item[some], score[some] = choose(prior, histories.take(some), k, mask, self.spec.kind)
        refuse_nan(score, self.spec.kind)
        return item, score

    def refit_spec(self) -> ModelSpec:
        """Nothing was decided on validation."""
        return self.spec


@dataclass(frozen=True, eq=False)
class LowRank:
    """Scores x L R for L (r, d) and R (d, n_items), x the history as a set; one of which no item is known is scored by
    `prior`.

    r = n_items; with `shifted`, L has one more row at the end, which counts for every history that is not empty.
    """

    spec: ModelSpec
    items: Vocabulary
    left: F32
    right: F32
    prior: F32
    shifted: bool = False

    @property
    def fused(self) -> bool:
        """Scores are held, a block of people at a time."""
        return False

    def asked(self, histories: Histories) -> Asked:
        """Every history as the rows of L that it touches."""
        asked = as_set(histories)
        return with_constant(asked, len(self.left) - 1) if self.shifted else asked

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        inner = score_tiled(self.asked(histories), self.left)
        scores = inner @ self.right
        scores[unknown(histories, self.prior)] = self.prior
        return scores

    def top(self, histories: Histories, k: int, mask: Mask) -> Best:
        """The best k allowed items (m, k) and their scores."""
        return choose(self.score(histories), histories, k, mask, self.spec.kind)

    def refit_spec(self) -> ModelSpec:
        """Nothing was decided on validation."""
        return self.spec


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Scores Σ sim(v, x) x_v over the `neighbours` people v of `matrix` (users, n_items) nearest to a history x.

    sim divides the shared `weight` (n_items,) by voting_v · size + shrink (`product`) or voting_v + size + shrink less
    `twice` what is shared; voting (users,), size = scale · (Σ weight over x)^exponent. `prior` scores a history
    of which it knows no item.
    """

    spec: ModelSpec
    items: Vocabulary
    matrix: csr_array
    prior: F32
    weight: F32
    voting: F32
    neighbours: int
    shrink: float
    product: bool
    scale: float
    exponent: float
    twice: float

    @cached_property
    def _crowd(self) -> Crowd:
        return Crowd(rows_of(self.matrix), rows_of(csc_array(self.matrix)), self.weight)

    @property
    def fused(self) -> bool:
        """Scores are held, a block of people at a time."""
        return False

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        asked = histories.matrix
        size = self.scale * np.power(asked @ self.weight.astype(np.float64), self.exponent)
        close = Closeness(self.voting, size.astype(np.float32), float(self.shrink), self.product, float(self.twice))
        scores = np.zeros((len(histories), len(self.items)), dtype=np.float32)
        score_by_people(rows_of(asked), self._crowd, close, min(self.neighbours, self.matrix.shape[0]), scores)
        scores[unknown(histories, self.prior)] = self.prior
        return scores

    def top(self, histories: Histories, k: int, mask: Mask) -> Best:
        """The best k allowed items (m, k) and their scores."""
        return choose(self.score(histories), histories, k, mask, self.spec.kind)

    def refit_spec(self) -> ModelSpec:
        """Nothing was decided on validation."""
        return self.spec


SHAPES: Mapping[str, type] = {shape.__name__: shape for shape in (Constant, ItemItem, LowRank, Neighbourhood)}

ELSEWHERE: Mapping[str, str] = {"Encoder": "matinee.nn.encoder"}
"""Shapes that need torch and the modules that have them, imported only when such a model is loaded."""


def _shape(name: str) -> type:
    """A shape by its name; a file cannot name any module but those of `ELSEWHERE`."""
    return SHAPES[name] if name in SHAPES else getattr(importlib.import_module(ELSEWHERE[name]), name)


def save(fitted: Fitted, folder: Path) -> None:
    """Keep a fitted model: `model.json` (shape, spec, numbers), ids as parquet, `arrays.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {}
    plain: dict[str, Any] = {"shape": type(fitted).__name__, "spec": fitted.spec.written()}
    for field in dataclasses.fields(fitted):  # pyright: ignore[reportArgumentType]
        value = getattr(fitted, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = np.ascontiguousarray(value)
        elif isinstance(value, csr_array):
            parts = {"data": value.data, "indices": value.indices, "indptr": value.indptr}
            arrays |= {f"{field.name}.{name}": np.ascontiguousarray(part) for name, part in parts.items()}
            plain[field.name] = {"csr": list(value.shape)}
        elif isinstance(value, dict):
            parts = cast("dict[str, NDArray[Any]]", value)
            arrays |= {f"{field.name}.{name}": np.ascontiguousarray(part) for name, part in parts.items()}
            plain[field.name] = {"arrays": list(parts)}
        elif isinstance(value, Vocabulary):
            pl.DataFrame({field.name: value.ids}).write_parquet(folder / f"{field.name}.parquet")
            plain[field.name] = {"ids": f"{field.name}.parquet"}
        elif isinstance(value, int | float | str):
            plain[field.name] = value
    save_file(arrays, folder / "arrays.safetensors")
    (folder / "model.json").write_text(json.dumps(plain, indent=2) + "\n")


def load(folder: Path, read_spec: Callable[[Mapping[str, Any], str], ModelSpec]) -> Fitted:
    """A model that `save` kept. `read_spec` turns its written spec into one; nothing is unpickled.

    Raises `RunError` if a file is missing or damaged.
    """
    try:
        plain = json.loads((folder / "model.json").read_text())
        shape = _shape(plain.pop("shape"))
        arrays = load_file(folder / "arrays.safetensors")
        values: dict[str, Any] = {
            "spec": read_spec(plain.pop("spec"), str(folder / "model.json")),
        }
        for name, value in plain.items():
            if isinstance(value, dict) and "arrays" in value:
                values[name] = {part: arrays.pop(f"{name}.{part}") for part in value["arrays"]}
            elif isinstance(value, dict) and "ids" in value:
                values[name] = Vocabulary(pl.read_parquet(folder / f"{name}.parquet", glob=False)[name].rename("id"))
            elif isinstance(value, dict):
                data, indices, indptr = (arrays.pop(f"{name}.{part}") for part in ("data", "indices", "indptr"))
                values[name] = csr_array((data, indices, indptr), shape=tuple(value["csr"]))
            else:
                values[name] = value
        return shape(**values, **arrays)
    except (OSError, KeyError, ValueError, TypeError, SafetensorError, pl.exceptions.PolarsError) as error:
        found = f"the model kept here cannot be read ({type(error).__name__}: {error})"
        raise RunError(folder, found, "Delete the run folder and run the experiment again.") from error
