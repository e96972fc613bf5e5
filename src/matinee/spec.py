"""What can be written down: `Spec`, the range worth searching, and how a kind is found by its file name.

Everything that crosses a text file (a model's knobs, a split, a task, an experiment) is a `Spec`: a frozen
pydantic model that refuses unknown keys. A knob is one annotated line with one sentence under it; the command
line, the experiment file, the JSON schema, the search space and the run record are read off that line.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from matinee.errors import MatineeError, SpecError, UnknownName


@dataclass(frozen=True)
class Search:
    """The range of a knob worth searching, written in its annotation: `Annotated[float, Search(1, 1e5, log=True)]`."""

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[Any, ...] = ()
    """If given, the values to choose among; low and high are then ignored."""

    def contains(self, value: Any) -> bool:
        """Whether `value` lies in the range; None (a knob switched off) always does."""
        if value is None:
            return True
        if self.choices:
            return value in self.choices
        return self.low <= value <= self.high


class _Refusing(type(BaseModel)):
    """Makes `EASE(l3=1)` in Python raise the line that a file would; validation inside files reports its own place."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **knobs: Any) -> Any:
            try:
                return super().__call__(*args, **knobs)
            except ValidationError as error:
                raise refusal(error, cls, cls.__name__) from None


class Spec(BaseModel, metaclass=_Refusing):
    """What a text file can say: frozen, hashable, unknown keys refused, one sentence a knob."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @property
    def kind(self) -> str:
        """The name it goes by in files: the name of the file that defines it, in the spelling of the CLI."""
        return type(self).__module__.rpartition(".")[2]

    def knobs(self) -> dict[str, Any]:
        """The knobs with their values, ready for JSON."""
        return self.model_dump(mode="json")

    def written(self) -> dict[str, Any]:
        """What a file would say: the kind, then the knobs."""
        return {"kind": self.kind, **self.knobs()}

    @classmethod
    def searchable(cls) -> dict[str, Search]:
        """The knobs that declare a range worth searching."""
        found: dict[str, Search] = {}
        for name, field in cls.model_fields.items():
            ranges = [m for m in field.metadata if isinstance(m, Search)]
            if ranges:
                found[name] = ranges[0]
        return found


S = TypeVar("S", bound=Spec)


def build(cls: type[S], values: Mapping[str, Any], where: str) -> S:
    """A spec from plain values. Pydantic's complaint becomes one line naming the place, the value and the rule."""
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise refusal(error, cls, where) from None


def refusal(error: ValidationError, cls: type[BaseModel], where: str) -> MatineeError:
    """The first complaint of a `ValidationError` as one of ours; an unknown key offers the nearest one."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    place = ".".join([where, *path]) if path else where
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, MatineeError):
        return cause
    if first["type"] == "extra_forbidden":
        return UnknownName("knob", path[-1], cls.model_fields, ".".join([where, *path[:-1]]))
    rule = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return SpecError(place, "it is missing", f"{_sentence(cls, path)}", "Add it.")
    return SpecError(place, f"found {first['input']!r}", rule[:1].lower() + rule[1:], _range(cls, path))


def _sentence(cls: type[BaseModel], path: list[str]) -> str:
    field = cls.model_fields.get(path[0]) if path else None
    return f"a value ({field.description})" if field and field.description else "a value"


def _range(cls: type[BaseModel], path: list[str]) -> str:
    field = cls.model_fields.get(path[0]) if path else None
    if field is None or field.is_required():
        return ""
    return f"The default is {field.get_default(call_default_factory=True)!r}."


class Kinds(Generic[S]):
    """A room's catalogue: the kind *is* the file name; listing imports nothing, getting imports one file.

    A file whose name starts with an underscore is shared by its neighbours and no kind.
    Packages elsewhere add theirs by the entry-point group of the same name as the room, e.g. `matinee.models`.
    """

    def __init__(self, room: ModuleType, base: type[S], what: str) -> None:
        self._room, self._base, self._what = room, base, what

    def names(self) -> list[str]:
        """Every kind, sorted, without importing any."""
        here = [m.name for m in pkgutil.iter_modules(self._room.__path__) if not m.name.startswith("_")]
        there = [e.name for e in entry_points(group=self._room.__name__)]
        return sorted({*here, *there})

    def get(self, name: str, where: str = "") -> type[S]:
        """The spec class of a kind. A name nobody knows raises `UnknownName` with the nearest one."""
        name = name.replace("-", "_")
        for entry in entry_points(group=self._room.__name__):
            if entry.name == name:
                return cast("type[S]", entry.load())
        if name not in self.names():
            raise UnknownName(self._what, name, self.names(), where)
        module = importlib.import_module(f"{self._room.__name__}.{name}")
        return self._only(module)

    def _only(self, module: ModuleType) -> type[S]:
        defined = [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, self._base)
            and value.__module__ == module.__name__
            and not value.__name__.startswith("_")
        ]
        if len(defined) != 1:
            raise TypeError(f"{module.__name__} must define exactly one {self._base.__name__}, it has {defined}")
        return defined[0]

    def read(self, values: Mapping[str, Any], where: str) -> S:
        """A spec from a table with its `kind` and knobs, as an experiment file has it."""
        rest = dict(values)
        kind = rest.pop("kind", None)
        if not isinstance(kind, str):
            raise SpecError(where, "no kind is given", f"kind = one of {', '.join(self.names())}")
        return build(self.get(kind, where), rest, f"{where} ({kind})")
