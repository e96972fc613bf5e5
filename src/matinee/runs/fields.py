"""Types of record fields that a registry reads: a table with its kind in JSON, a spec in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeAlias, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from matinee import models
from matinee.contract import ModelSpec
from matinee.ensemble.ensemble_spec import EnsembleSpec, read_ensemble
from matinee.ensemble.recipe import FusionRecipe
from matinee.ensemble.recipe import read_recipe as read_recipe
from matinee.split import PROTOCOLS, SplitSpec


class _Writable(Protocol):
    def to_dict(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Kinded:
    """Annotation of a field that `read` builds from a table and `to_dict()` writes as one."""

    read: Callable[[Mapping[str, Any], str], _Writable]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema: a mapping is read, any other value is used as it is."""
        write = core_schema.plain_serializer_function_ser_schema(_write)
        return core_schema.no_info_plain_validator_function(self._validate, serialization=write)

    def _validate(self, value: object) -> object:
        if isinstance(value, Mapping):
            return self.read(cast("Mapping[str, Any]", value), "run.json")
        if not hasattr(value, "to_dict"):
            raise ValueError(f"a table with a kind is required, not {value!r}")
        return value


def _write(value: _Writable) -> Mapping[str, Any]:
    return value.to_dict()


AnyModel: TypeAlias = Annotated[ModelSpec, Kinded(models.CATALOGUE.read)]
AnySplit: TypeAlias = Annotated[SplitSpec, Kinded(PROTOCOLS.read)]
AnyEnsembleSpec: TypeAlias = Annotated[EnsembleSpec, Kinded(read_ensemble)]
AnyRecipe: TypeAlias = Annotated[FusionRecipe, Kinded(read_recipe)]
