"""Fitted models in a folder, without pickle: `save` and `load`, with one codec for each type of field."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array

from matinee.contract import FittedModel, ModelSpec
from matinee.data import Vocabulary
from matinee.errors import RunError
from matinee.fitted import DotProduct, ItemItem, LinearFoldIn, PopularityScorer, UserNeighbours, UserTable
from matinee.topk.query import BinaryQuery, DecayedQuery, PairQuery
from matinee.topk.similarity import SimilarityRule

MODEL_TYPES: Mapping[str, type] = MappingProxyType(
    {model.__name__: model for model in (PopularityScorer, ItemItem, DotProduct, UserNeighbours)}
)

TORCH_MODEL_TYPES: Mapping[str, str] = MappingProxyType({"TrainedAutoEncoder": "matinee.nn.autoencoder"})
"""Types that need torch and their modules, imported only when such a model is loaded."""

VALUE_TYPES: tuple[type, ...] = (BinaryQuery, DecayedQuery, PairQuery, SimilarityRule, LinearFoldIn, UserTable)
"""Frozen dataclasses that are values of fields."""

DAMAGED = (
    AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError, SafetensorError,
    pl.exceptions.PolarsError,
)  # fmt: skip
"""What is raised at files that `save` did not write."""


@dataclass
class StoredParts:
    """What a folder holds beside model.json: arrays by name, and columns of ids by name."""

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    ids: dict[str, pl.Series] = field(default_factory=dict[str, pl.Series])


class Codec(Protocol):
    """Stores the values of one type: a JSON value, and parts named after the field."""

    def write(self, name: str, value: Any, parts: StoredParts) -> Any:
        """The JSON value of the field `name`; adds its arrays and ids to `parts`."""
        ...

    def read(self, name: str, stored: Any, parts: StoredParts) -> Any:
        """The value of the field `name`; takes its arrays and ids out of `parts`."""
        ...


class PlainCodec:
    """Numbers, text and None, which JSON has."""

    def write(self, name: str, value: Any, parts: StoredParts) -> Any:
        """The value itself."""
        return value

    def read(self, name: str, stored: Any, parts: StoredParts) -> Any:
        """The value itself."""
        return stored


class ArrayCodec:
    """One array."""

    def write(self, name: str, value: NDArray[Any], parts: StoredParts) -> Any:
        """{"array": shape}."""
        parts.arrays[name] = value
        return {"array": list(value.shape)}

    def read(self, name: str, stored: Mapping[str, Any], parts: StoredParts) -> NDArray[Any]:
        """The array."""
        return parts.arrays.pop(name)


class ArraysCodec:
    """A dictionary of arrays."""

    def write(self, name: str, value: dict[str, Any], parts: StoredParts) -> Any:
        """{"arrays": names}."""
        for key, array in value.items():
            if type(array) is not np.ndarray:
                raise _not_storable(name, value)
            parts.arrays[f"{name}.{key}"] = array
        return {"arrays": list(value)}

    def read(self, name: str, stored: Mapping[str, Any], parts: StoredParts) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {key: parts.arrays.pop(f"{name}.{key}") for key in stored["arrays"]}


class SparseCodec:
    """A CSR matrix."""

    def write(self, name: str, value: csr_array, parts: StoredParts) -> Any:
        """{"csr": shape}."""
        for part in ("data", "indices", "indptr"):
            parts.arrays[f"{name}.{part}"] = getattr(value, part)
        return {"csr": list(value.shape)}

    def read(self, name: str, stored: Mapping[str, Any], parts: StoredParts) -> csr_array:
        """The matrix, its indices checked."""
        data, indices, indptr = (parts.arrays.pop(f"{name}.{part}") for part in ("data", "indices", "indptr"))
        matrix = csr_array((data, indices, indptr), shape=tuple(stored["csr"]))
        matrix.check_format(full_check=True)
        return matrix


class VocabularyCodec:
    """Raw ids, as a parquet file."""

    def write(self, name: str, value: Vocabulary, parts: StoredParts) -> Any:
        """{"ids": file}."""
        parts.ids[name] = value.ids
        return {"ids": f"{name}.parquet"}

    def read(self, name: str, stored: Mapping[str, Any], parts: StoredParts) -> Vocabulary:
        """The vocabulary, its order checked."""
        ids = parts.ids.pop(name).rename("id")
        if not Vocabulary.of(ids).ids.equals(ids):
            raise ValueError(f"{name} are not ids in ascending order")
        return Vocabulary(ids)


class DataclassCodec:
    """A frozen dataclass of VALUE_TYPES, field by field."""

    def write(self, name: str, value: Any, parts: StoredParts) -> Any:
        """{"dataclass": type, "fields": …}."""
        return {"dataclass": type(value).__name__, "fields": _write_fields(value, f"{name}.", parts)}

    def read(self, name: str, stored: Mapping[str, Any], parts: StoredParts) -> Any:
        """The value, built and checked anew."""
        cls = {value_type.__name__: value_type for value_type in VALUE_TYPES}[stored["dataclass"]]
        return cls(**{key: _read_field(f"{name}.{key}", part, parts) for key, part in stored["fields"].items()})


PLAIN = PlainCodec()
TAGGED: Mapping[str, Codec] = MappingProxyType(
    {
        "array": ArrayCodec(),
        "arrays": ArraysCodec(),
        "csr": SparseCodec(),
        "ids": VocabularyCodec(),
        "dataclass": DataclassCodec(),
    }
)
"""The codec of a JSON object, by its first key."""

CODECS: Mapping[type, Codec] = MappingProxyType(
    {
        **dict.fromkeys((type(None), bool, int, float, str), PLAIN),
        np.ndarray: TAGGED["array"],
        dict: TAGGED["arrays"],
        csr_array: TAGGED["csr"],
        Vocabulary: TAGGED["ids"],
        **dict.fromkeys(VALUE_TYPES, TAGGED["dataclass"]),
    }
)
"""The codec of each type of field; a type that is not here cannot be stored."""


def save(fitted: FittedModel, folder: Path) -> None:
    """Write a fitted model: `model.json`, raw ids as parquet, `arrays.safetensors`.

    Raises `TypeError`, before anything is written, for a field of a type without a codec.
    """
    parts = StoredParts()
    stored = {"type": type(fitted).__name__, "spec": fitted.spec.to_dict()}
    stored["fields"] = _write_fields(fitted, "", parts)
    folder.mkdir(parents=True, exist_ok=True)
    for name, ids in parts.ids.items():
        pl.DataFrame({name: ids}).write_parquet(folder / f"{name}.parquet")
    arrays = {name: np.ascontiguousarray(array) for name, array in parts.arrays.items()}
    save_file(arrays, folder / "arrays.safetensors")
    (folder / "model.json").write_text(json.dumps(stored, indent=2) + "\n")


def load(folder: Path, read_spec: Callable[[Mapping[str, Any], str], ModelSpec]) -> FittedModel:
    """The model that `save` wrote; `read_spec` builds its spec. Nothing is unpickled.

    Raises `RunError` if a file is missing or damaged, or if arrays do not fit together: kernels check no index.
    """
    try:
        stored = json.loads((folder / "model.json").read_text())
        model_type = _model_type(stored["type"])
        ids = {path.stem: pl.read_parquet(path, glob=False)[path.stem] for path in folder.glob("*.parquet")}
        parts = StoredParts(load_file(folder / "arrays.safetensors"), ids)
        spec = read_spec(stored["spec"], str(folder / "model.json"))
        values = {name: _read_field(name, value, parts) for name, value in stored["fields"].items()}
        if parts.arrays:
            raise ValueError(f"arrays that belong to no field: {', '.join(sorted(parts.arrays))}")
        return cast(FittedModel, model_type(spec=spec, **values))
    except DAMAGED as error:
        found = f"the model kept here cannot be read ({type(error).__name__}: {error})"
        raise RunError(folder, found, "Delete the run folder and run the experiment again.") from error


def _model_type(name: str) -> type:
    """A type of fitted model by name; a file can name no module but those of TORCH_MODEL_TYPES."""
    return MODEL_TYPES[name] if name in MODEL_TYPES else getattr(importlib.import_module(TORCH_MODEL_TYPES[name]), name)


def _write_fields(value: Any, prefix: str, parts: StoredParts) -> dict[str, Any]:
    """The JSON values of all fields of a dataclass but `spec`."""
    stored: dict[str, Any] = {}
    for one in fields(value):
        part = getattr(value, one.name)
        if one.name == "spec":
            continue
        if type(part) not in CODECS:
            raise _not_storable(f"{prefix}{one.name}", part)
        stored[one.name] = CODECS[type(part)].write(f"{prefix}{one.name}", part, parts)
    return stored


def _read_field(name: str, stored: Any, parts: StoredParts) -> Any:
    """The value of one field."""
    codec = TAGGED[next(iter(stored))] if isinstance(stored, dict) else PLAIN
    return codec.read(name, stored, parts)


def _not_storable(name: str, value: object) -> TypeError:
    return TypeError(f"the field {name} is a {type(value).__name__}, for which matinee.storage has no codec")
