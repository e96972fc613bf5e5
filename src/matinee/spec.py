"""What can be written down: `Spec`, the range worth searching, and how a kind is found by its file name.

Everything that crosses a text file (a model's knobs, a split, a task, an experiment) is a `Spec`: a frozen
pydantic model that refuses unknown keys. A knob is one annotated line with one sentence under it; the command
line, the experiment file, the JSON schema, the search space and the run record are read off that line.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeAlias, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from matinee.errors import MatineeError, SpecError, UnknownNameError


@dataclass(frozen=True)
class SearchRange:
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


Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
"""A seed of random draws, small enough that every reader of JSON keeps it exactly."""


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

    registered_as: ClassVar[str] = ""
    """The kind of a class from another package: the name of its entry point. Empty means the name of its file."""

    @property
    def kind(self) -> str:
        """The name in files: that of the file which defines the class, or of the entry point which registers it."""
        return kind_of(type(self))

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool(cls, value: Any, info: ValidationInfo) -> Any:
        """True and false are values of switches alone, and switches have no other values."""
        switch = _allows_bool(cls.model_fields[info.field_name or ""].annotation)
        values = cast("tuple[Any, ...]", tuple(value)) if isinstance(value, list | tuple) else (value,)
        if not switch and any(isinstance(one, bool) for one in values):
            raise ValueError("a value that is not true or false")
        if switch is bool and not isinstance(value, bool):
            raise ValueError("true or false")
        return value

    def params(self) -> dict[str, Any]:
        """The knobs with their values, ready for JSON."""
        return self.model_dump(mode="json")

    def to_dict(self) -> dict[str, Any]:
        """What a file would say: the kind, then the knobs."""
        return {"kind": self.kind, **self.params()}

    @classmethod
    def search_space(cls) -> dict[str, SearchRange]:
        """The knobs that declare a range worth searching."""
        found: dict[str, SearchRange] = {}
        for name, field in cls.model_fields.items():
            ranges = [m for m in field.metadata if isinstance(m, SearchRange)]
            if ranges:
                found[name] = ranges[0]
        return found


S = TypeVar("S", bound=Spec)


def _allows_bool(annotation: Any) -> Any:
    """`bool` for a switch, else whether a union or a list mentions bool."""
    return annotation if annotation is bool else any(_allows_bool(inner) for inner in get_args(annotation))


def kind_of(cls: type[Spec]) -> str:
    """The kind of a spec class, looked up among the entry points where its package is another than this one."""
    own = cls.__dict__.get("registered_as")
    if own is None:
        groups = entry_points().groups if not cls.__module__.startswith("matinee.") else ()
        found = (one.name for group in groups if group.startswith("matinee.") for one in _entries_of(cls, group))
        own = cls.registered_as = min(found, default=cls.__module__.rpartition(".")[2])
    return own


def _entries_of(cls: type[Spec], group: str) -> list[EntryPoint]:
    package = cls.__module__.partition(".")[0]
    return [e for e in entry_points(group=group) if e.module.partition(".")[0] == package and e.load() is cls]


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def short_repr(value: Any) -> str:
    """The value for a message, as Python writes it, but short and on one line."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python refuses to write a whole number of more than 4,300 digits
        return "a number of thousands of digits"


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
        return UnknownNameError("knob", path[-1], cls.model_fields, ".".join([where, *path[:-1]]))
    rule = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return SpecError(place, "it is missing", f"{_sentence(cls, path)}", "Add it.")
    return SpecError(place, f"found {short_repr(first['input'])}", rule[:1].lower() + rule[1:], _range(cls, path))


def _sentence(cls: type[BaseModel], path: list[str]) -> str:
    field = cls.model_fields.get(path[0]) if path else None
    return f"a value ({field.description})" if field and field.description else "a value"


def _range(cls: type[BaseModel], path: list[str]) -> str:
    field = cls.model_fields.get(path[0]) if path else None
    if field is None or field.is_required():
        return ""
    return f"The default is {field.get_default(call_default_factory=True)!r}."


@dataclass(frozen=True)
class KindSource:
    """The code behind a kind."""

    version: str
    """Version of the distribution that registers it; empty where it has none."""

    sha256: str
    """Digest of the file that defines its class."""


class Registry(Generic[S]):
    """A room's catalogue: the kind *is* the file name; listing imports nothing, getting imports one file.

    A file whose name starts with an underscore is shared by its neighbours and no kind.
    Packages elsewhere add theirs by the entry-point group of the same name as the room, e.g. `matinee.models`.
    """

    def __init__(self, package: ModuleType, base: type[S], what: str) -> None:
        self._room, self._base, self._what = package, base, what

    def names(self) -> list[str]:
        """Every kind, sorted, without importing any."""
        here = [m.name for m in pkgutil.iter_modules(self._room.__path__) if not m.name.startswith("_")]
        there = [e.name for e in entry_points(group=self._room.__name__)]
        return sorted({*here, *there})

    def get(self, name: str, where: str = "") -> type[S]:
        """The spec class of a kind. A name nobody knows raises `UnknownName` with the nearest one."""
        name = name.replace("-", "_")
        entry = self._entry(name)
        if entry is not None:
            cls = cast("type[S]", entry.load())
            if not cls.__module__.startswith("matinee."):
                cls.registered_as = name
            return cls
        if name not in self.names():
            raise UnknownNameError(self._what, name, self.names(), where)
        module = importlib.import_module(f"{self._room.__name__}.{name}")
        return self._single_spec(module)

    def source(self, name: str) -> KindSource:
        """Which code a kind stands for: it changes with the release and with the file of the class."""
        cls, entry = self.get(name), self._entry(name.replace("-", "_"))
        own = version("matinee") if entry is None else (entry.dist.version if entry.dist else "")
        file = inspect.getsourcefile(cls)
        return KindSource(own, sha256(Path(file).read_bytes() if file else b"").hexdigest())

    def _entry(self, name: str) -> EntryPoint | None:
        """The entry point of another package that registers a kind, None for a file of the room itself."""
        return next((e for e in entry_points(group=self._room.__name__) if e.name == name), None)

    def _single_spec(self, module: ModuleType) -> type[S]:
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
            found = "no kind is given" if kind is None else f"found kind = {short_repr(kind)}"
            raise SpecError(where, found, f"kind = one of {', '.join(self.names())}")
        return build(self.get(kind, where), rest, f"{where} ({kind})")
