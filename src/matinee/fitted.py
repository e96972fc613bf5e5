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

from matinee.contract import FittedModel, Mask, ModelSpec
from matinee.data import Histories, Vocabulary
from matinee.errors import RunError
from matinee.topk.item_item import SparseQuery, prefers_tiles, score_scattered, score_tiled, top_scattered, top_tiled
from matinee.topk.query import append_bias, append_pairs, binary, decayed, is_cold
from matinee.topk.rank import raise_if_nan, rows_of, top_k_of_scores
from matinee.topk.user_knn import NeighbourIndex, SimilarityRule, score_user_knn

F32: TypeAlias = NDArray[np.float32]
ItemsAndScores: TypeAlias = tuple[NDArray[np.int32], F32]
COLD_BLOCK = 512
"""People of whom nothing is known that are ranked at once."""


def _require(items: Vocabulary, **arrays: tuple[NDArray[Any] | csr_array, tuple[int, ...]]) -> None:
    """Refuse arrays of another shape than the one beside them, or of another kind of number than kernels take."""
    if not isinstance(items, Vocabulary):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"items is a {type(items).__name__}")
    for name, (array, shape) in arrays.items():
        if array.shape != shape or array.dtype.name not in ("float32", "int32"):
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, not float32 or int32 of shape {shape}")


@dataclass(frozen=True, eq=False)
class PopularityScorer:
    """One score an item for everybody (n_items,), plus `repeat` × log(1 + count) for items a person took before."""

    spec: ModelSpec
    items: Vocabulary
    scores: F32
    repeat_weight: float = 0.0

    def __post_init__(self) -> None:
        _require(self.items, scores=(self.scores, (len(self.items),)))

    @property
    def fused(self) -> bool:
        """Scores are held, a block of people at a time."""
        return False

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        out = np.repeat(self.scores[None, :], len(histories), axis=0)
        if self.repeat_weight:
            counts = histories.counts
            row = np.repeat(np.arange(len(histories)), np.diff(counts.indptr))
            out[row, counts.indices] += np.float32(self.repeat_weight) * np.log1p(counts.data)
        return out

    def top(self, histories: Histories, k: int, mask: Mask) -> ItemsAndScores:
        """The best k allowed items (m, k) and their scores."""
        return top_k_of_scores(self.score(histories), histories, k, mask, self.spec.kind)

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
    popularity: F32
    fading: float = 0.0
    pairs: NDArray[np.int32] | None = None
    has_bias_row: bool = False

    def __post_init__(self) -> None:
        n, p = len(self.items), 0 if self.pairs is None else len(self.pairs)
        _require(self.items, weights=(self.weights, (n + p + self.has_bias_row, n)), prior=(self.popularity, (n,)))
        if self.pairs is not None:
            _require(self.items, pairs=(self.pairs, (p, 2)))
            if p and not 0 <= self.pairs.min() <= self.pairs.max() < n:
                raise ValueError(f"pairs holds codes outside 0 … {n - 1}")

    @cached_property
    def _tiled(self) -> bool:
        return prefers_tiles(self.weights, self.popularity)

    @property
    def fused(self) -> bool:
        """Lists are made without holding (m, n_items) scores, unless candidates are given."""
        return True

    def encode_query(self, histories: Histories) -> SparseQuery:
        """φ of every history."""
        if self.pairs is not None:
            asked = append_pairs(histories, self.pairs)
        else:
            asked = decayed(histories, self.fading) if self.fading else binary(histories)
        return append_bias(asked, self.weights.shape[0] - 1) if self.has_bias_row else asked

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        if isinstance(self.weights, csr_array) and not self._tiled:
            scores = score_scattered(self.encode_query(histories), self.weights)
        else:
            scores = score_tiled(self.encode_query(histories), self.weights)
        scores[is_cold(histories, self.popularity)] = self.popularity
        return scores

    def top(self, histories: Histories, k: int, mask: Mask) -> ItemsAndScores:
        """The best k allowed items (m, k) and their scores."""
        if mask.candidates is not None:
            return top_k_of_scores(self.score(histories), histories, k, mask, self.spec.kind)
        asked = self.encode_query(histories)
        if isinstance(self.weights, csr_array) and not self._tiled:
            item, score = top_scattered(asked, self.weights, k, mask)
        else:
            item, score = top_tiled(asked, self.weights, k, mask)
        strangers = np.flatnonzero(is_cold(histories, self.popularity))
        for low in range(0, len(strangers), COLD_BLOCK):
            some = strangers[low : low + COLD_BLOCK]
            prior = np.repeat(self.popularity[None, :], len(some), axis=0)
            item[some], score[some] = top_k_of_scores(prior, histories.take(some), k, mask, self.spec.kind)
        raise_if_nan(score, self.spec.kind)
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
    popularity: F32
    has_bias_row: bool = False

    def __post_init__(self) -> None:
        n, d = len(self.items), self.right.shape[0]
        left, right = (self.left, (n + self.has_bias_row, d)), (self.right, (d, n))
        _require(self.items, left=left, right=right, prior=(self.popularity, (n,)))

    @property
    def fused(self) -> bool:
        """Scores are held, a block of people at a time."""
        return False

    def encode_query(self, histories: Histories) -> SparseQuery:
        """Every history as the rows of L that it touches."""
        asked = binary(histories)
        return append_bias(asked, len(self.left) - 1) if self.has_bias_row else asked

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        inner = score_tiled(self.encode_query(histories), self.left)
        scores = inner @ self.right
        scores[is_cold(histories, self.popularity)] = self.popularity
        return scores

    def top(self, histories: Histories, k: int, mask: Mask) -> ItemsAndScores:
        """The best k allowed items (m, k) and their scores."""
        return top_k_of_scores(self.score(histories), histories, k, mask, self.spec.kind)

    def refit_spec(self) -> ModelSpec:
        """Nothing was decided on validation."""
        return self.spec


@dataclass(frozen=True, eq=False)
class UserNeighbours:
    """Scores Σ sim(v, x) x_v over the `neighbours` people v of `matrix` (users, n_items) nearest to a history x.

    sim divides the shared `weight` (n_items,) by voting_v · size + shrink (`product`) or voting_v + size + shrink less
    `twice` what is shared; voting (users,), size = scale · (Σ weight over x)^exponent. `prior` scores a history
    of which it knows no item.
    """

    spec: ModelSpec
    items: Vocabulary
    matrix: csr_array
    popularity: F32
    weight: F32
    voting: F32
    neighbours: int
    shrink: float
    product: bool
    scale: float
    exponent: float
    twice: float

    def __post_init__(self) -> None:
        n, users = len(self.items), self.matrix.shape[0]
        _require(
            self.items, prior=(self.popularity, (n,)), weight=(self.weight, (n,)), matrix=(self.matrix, (users, n))
        )
        _require(self.items, voting=(self.voting, (users,)))
        if self.neighbours < 1:
            raise ValueError(f"neighbours is {self.neighbours}, less than 1")

    @cached_property
    def _neighbour_index(self) -> NeighbourIndex:
        return NeighbourIndex(rows_of(self.matrix), rows_of(csc_array(self.matrix)), self.weight)

    @property
    def fused(self) -> bool:
        """Scores are held, a block of people at a time."""
        return False

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        asked = histories.matrix
        size = self.scale * np.power(asked @ self.weight.astype(np.float64), self.exponent)
        close = SimilarityRule(
            self.voting, size.astype(np.float32), float(self.shrink), self.product, float(self.twice)
        )
        scores = np.zeros((len(histories), len(self.items)), dtype=np.float32)
        score_user_knn(rows_of(asked), self._neighbour_index, close, min(self.neighbours, self.matrix.shape[0]), scores)
        scores[is_cold(histories, self.popularity)] = self.popularity
        return scores

    def top(self, histories: Histories, k: int, mask: Mask) -> ItemsAndScores:
        """The best k allowed items (m, k) and their scores."""
        return top_k_of_scores(self.score(histories), histories, k, mask, self.spec.kind)

    def refit_spec(self) -> ModelSpec:
        """Nothing was decided on validation."""
        return self.spec


MODEL_TYPES: Mapping[str, type] = {
    shape.__name__: shape for shape in (PopularityScorer, ItemItem, LowRank, UserNeighbours)
}

TORCH_MODEL_TYPES: Mapping[str, str] = {"TrainedAutoEncoder": "matinee.nn.autoencoder"}
"""Shapes that need torch and the modules that have them, imported only when such a model is loaded."""


def _model_type(name: str) -> type:
    """A shape by its name; a file cannot name any module but those of `ELSEWHERE`."""
    return MODEL_TYPES[name] if name in MODEL_TYPES else getattr(importlib.import_module(TORCH_MODEL_TYPES[name]), name)


def save(fitted: FittedModel, folder: Path) -> None:
    """Keep a fitted model: `model.json` (shape, spec, numbers), ids as parquet, `arrays.safetensors`.

    Raises `TypeError`, before anything is written, where a field is of a type that cannot be kept.
    """
    plain: dict[str, Any] = {"shape": type(fitted).__name__, "spec": fitted.spec.to_dict()}
    arrays: dict[str, NDArray[Any]] = {}
    tables: dict[str, pl.DataFrame] = {}
    for field in dataclasses.fields(fitted):  # pyright: ignore[reportArgumentType]
        value = getattr(fitted, field.name)
        if isinstance(value, Vocabulary):
            tables[f"{field.name}.parquet"] = pl.DataFrame({field.name: value.ids})
            plain[field.name] = {"ids": f"{field.name}.parquet"}
        elif field.name != "spec":
            plain[field.name], parts = _packed(f"{type(fitted).__name__}.{field.name}", value)
            arrays |= {f"{field.name}{part}": np.ascontiguousarray(array) for part, array in parts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_parquet(folder / name)
    save_file(arrays, folder / "arrays.safetensors")
    (folder / "model.json").write_text(json.dumps(plain, indent=2) + "\n")


def _packed(name: str, value: object) -> tuple[Any, dict[str, NDArray[Any]]]:
    """What model.json says of a field, and its arrays by what follows the name of the field in theirs."""
    if value is None or isinstance(value, int | float | str):
        return value, {}
    if isinstance(value, np.ndarray):
        return {"array": list(value.shape)}, {"": value}
    if isinstance(value, csr_array):
        parts = {".data": value.data, ".indices": value.indices, ".indptr": value.indptr}
        return {"csr": list(value.shape)}, parts
    if isinstance(value, dict) and all(isinstance(part, np.ndarray) for part in value.values()):
        named = cast("dict[str, NDArray[Any]]", value)
        return {"arrays": list(named)}, {f".{part}": array for part, array in named.items()}
    raise TypeError(f"{name} is a {type(value).__name__}, which fitted.save does not know how to keep")


def load(folder: Path, read_spec: Callable[[Mapping[str, Any], str], ModelSpec]) -> FittedModel:
    """A model that `save` kept. `read_spec` turns its written spec into one; nothing is unpickled.

    Raises `RunError` if a file is missing or damaged, or if arrays do not fit together: kernels check no index.
    """
    try:
        plain = json.loads((folder / "model.json").read_text())
        shape = _model_type(plain.pop("shape"))
        arrays = load_file(folder / "arrays.safetensors")
        values: dict[str, Any] = {
            "spec": read_spec(plain.pop("spec"), str(folder / "model.json")),
        }
        for name, value in plain.items():
            values[name] = _unpacked(folder, name, value, arrays) if isinstance(value, dict) else value
        return shape(**values, **arrays)
    except DAMAGED as error:
        found = f"the model kept here cannot be read ({type(error).__name__}: {error})"
        raise RunError(folder, found, "Delete the run folder and run the experiment again.") from error


DAMAGED = (
    AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError, SafetensorError,
    pl.exceptions.PolarsError,
)  # fmt: skip
"""What is raised at files that `save` did not write."""


def _unpacked(folder: Path, name: str, value: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
    """The value of a field that is more than a number; its arrays are taken out of `arrays`."""
    if "ids" in value:
        ids = pl.read_parquet(folder / f"{name}.parquet", glob=False)[name].rename("id")
        if not Vocabulary.of(ids).ids.equals(ids):
            raise ValueError(f"{name} are not ids in ascending order")
        return Vocabulary(ids)
    if "arrays" in value:
        return {part: arrays.pop(f"{name}.{part}") for part in value["arrays"]}
    if "array" in value:
        return arrays.pop(name)
    data, indices, indptr = (arrays.pop(f"{name}.{part}") for part in ("data", "indices", "indptr"))
    matrix = csr_array((data, indices, indptr), shape=tuple(value["csr"]))
    matrix.check_format(full_check=True)
    return matrix
