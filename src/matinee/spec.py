"""Values of text files: `Spec`, search ranges, and the registry of kinds by file name.

Every value of a text file (hyperparameters, a split, a task, an experiment) is a `Spec`: a frozen pydantic model that
refuses unknown keys. A field is one annotated line with one sentence under it; the command line, the experiment file,
the JSON schema, the search space and the run record are derived from that line.
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
    """The search range of a hyperparameter: `Annotated[float, SearchRange(1, 1e5, log=True)]`."""

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[Any, ...] = ()
    """Values to choose from; if not empty, `low` and `high` are ignored."""

    def contains(self, value: Any) -> bool:
        """Whether `value` is in the range; None (switched off) is always in it."""
        if value is None:
            return True
        if self.choices:
            return value in self.choices
        return self.low <= value <= self.high


Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
"""A seed of random draws; below 2⁵³, so that JSON readers keep it exactly."""


class _SpecMeta(type(BaseModel)):
    """Makes `EASE(l3=1)` in Python raise the same error as a file with this value."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **fields: Any) -> Any:
            try:
                return super().__call__(*args, **fields)
            except ValidationError as error:
                raise refusal(error, cls, cls.__name__) from None


class Spec(BaseModel, metaclass=_SpecMeta):
    """A value of a text file: frozen, hashable, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    registered_as: ClassVar[str] = ""
    """The kind of a class from another package: the name of its entry point. Empty means the name of its file."""

    field_noun: ClassVar[str] = "option"
    """The word for a field in messages."""

    @property
    def kind(self) -> str:
        """The name in files: that of the class's own file or of its entry point."""
        return kind_of(type(self))

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool(cls, value: Any, info: ValidationInfo) -> Any:
        """True and false are valid for bool fields only, which have no other values."""
        allowed = _allows_bool(cls.model_fields[info.field_name or ""].annotation)
        values = cast("tuple[Any, ...]", tuple(value)) if isinstance(value, list | tuple) else (value,)
        if not allowed and any(isinstance(item, bool) for item in values):
            raise ValueError("a value that is not true or false")
        if allowed is bool and not isinstance(value, bool):
            raise ValueError("true or false")
        return value

    def params(self) -> dict[str, Any]:
        """The values of all fields by name, ready for JSON."""
        return self.model_dump(mode="json")

    def to_dict(self) -> dict[str, Any]:
        """The table of a file: the kind, then the fields."""
        return {"kind": self.kind, **self.params()}

    @classmethod
    def search_space(cls) -> dict[str, SearchRange]:
        """The search range of each field that declares one."""
        space: dict[str, SearchRange] = {}
        for name, field in cls.model_fields.items():
            ranges = [m for m in field.metadata if isinstance(m, SearchRange)]
            if ranges:
                space[name] = ranges[0]
        return space


S = TypeVar("S", bound=Spec)


def _allows_bool(annotation: Any) -> Any:
    """`bool` for a bool field, else whether a union or a list contains bool."""
    return annotation if annotation is bool else any(_allows_bool(inner) for inner in get_args(annotation))


def kind_of(cls: type[Spec]) -> str:
    """The kind of a spec class; classes of other packages are searched among entry points."""
    own = cls.__dict__.get("registered_as")
    if own is None:
        groups = entry_points().groups if not cls.__module__.startswith("matinee.") else ()
        names = (entry.name for group in groups if group.startswith("matinee.") for entry in _entries_of(cls, group))
        own = cls.registered_as = min(names, default=cls.__module__.rpartition(".")[2])
    return own


def _entries_of(cls: type[Spec], group: str) -> list[EntryPoint]:
    package = cls.__module__.partition(".")[0]
    return [e for e in entry_points(group=group) if e.module.partition(".")[0] == package and e.load() is cls]


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def short_repr(value: Any) -> str:
    """The `repr` of a value, shortened and on one line, for messages."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python refuses to convert an integer of more than 4,300 digits
        return "a number of more than 4,300 digits"


def build(cls: type[S], values: Mapping[str, Any], where: str) -> S:
    """The spec with these plain values. Raises `SpecError` or `UnknownNameError` with the place."""
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise refusal(error, cls, where) from None


def refusal(error: ValidationError, cls: type[BaseModel], where: str) -> MatineeError:
    """The first error of a `ValidationError` as a `MatineeError`."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    place = ".".join([where, *path]) if path else where
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, MatineeError):
        return cause
    if first["type"] == "extra_forbidden":
        noun = cls.field_noun if issubclass(cls, Spec) else Spec.field_noun
        return UnknownNameError(noun, path[-1], cls.model_fields, ".".join([where, *path[:-1]]))
    if first["type"] == "missing":
        return SpecError(place, "it is missing", f"{_description(cls, path)}", "Add it.")
    return SpecError(place, f"found {short_repr(first['input'])}", _rule(first["msg"]), _default(cls, path))


def _rule(message: str) -> str:
    """The requirement in a message of pydantic, for `expected …`."""
    rule = message.removeprefix("Value error, ").removeprefix("Input should be ").partition(", unable to parse")[0]
    return f"a value {rule}" if rule.startswith(("greater", "less")) else rule[:1].lower() + rule[1:]


def _description(cls: type[BaseModel], path: list[str]) -> str:
    field = cls.model_fields.get(path[0]) if path else None
    return f"a value ({field.description})" if field and field.description else "a value"


def _default(cls: type[BaseModel], path: list[str]) -> str:
    field = cls.model_fields.get(path[0]) if path else None
    if field is None or field.is_required():
        return ""
    return f"The default is {field.get_default(call_default_factory=True)!r}."


@dataclass(frozen=True)
class KindSource:
    """The code of a kind."""

    version: str
    """Version of the distribution that registers it; empty if unknown."""

    sha256: str
    """Digest of its class's file."""


class Registry(Generic[S]):
    """The kinds of a package: the names of its files, imported on first use.

    Files with a leading underscore are shared code, not kinds. Other distributions register kinds in the entry-point
    group with the package's name, e.g. `matinee.models`.
    """

    def __init__(self, package: ModuleType, base: type[S], noun: str) -> None:
        self._package, self._base, self._noun = package, base, noun

    def names(self) -> list[str]:
        """All kinds, sorted; no file is imported."""
        own = [m.name for m in pkgutil.iter_modules(self._package.__path__) if not m.name.startswith("_")]
        registered = [e.name for e in entry_points(group=self._package.__name__)]
        return sorted({*own, *registered})

    def get(self, name: str, where: str = "") -> type[S]:
        """The spec class of a kind. Raises `UnknownNameError` for an unknown name."""
        name = name.replace("-", "_")
        entry = self._entry(name)
        if entry is not None:
            cls = cast("type[S]", entry.load())
            if not cls.__module__.startswith("matinee."):
                cls.registered_as = name
            return cls
        if name not in self.names():
            raise UnknownNameError(self._noun, name, self.names(), where)
        module = importlib.import_module(f"{self._package.__name__}.{name}")
        return self._single_spec(module)

    def source(self, name: str) -> KindSource:
        """The version and the file digest of the code of a kind."""
        cls, entry = self.get(name), self._entry(name.replace("-", "_"))
        own = version("matinee") if entry is None else (entry.dist.version if entry.dist else "")
        file = inspect.getsourcefile(cls)
        return KindSource(own, sha256(Path(file).read_bytes() if file else b"").hexdigest())

    def _entry(self, name: str) -> EntryPoint | None:
        """The entry point of a kind; None means a file of the package itself."""
        return next((e for e in entry_points(group=self._package.__name__) if e.name == name), None)

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
            raise TypeError(f"{module.__name__} must define exactly one {self._base.__name__}, found {defined}")
        return defined[0]

    def read(self, values: Mapping[str, Any], where: str) -> S:
        """The spec of a table with `kind` and fields, as in an experiment file."""
        fields = dict(values)
        kind = fields.pop("kind", None)
        if not isinstance(kind, str):
            found = "found no kind" if kind is None else f"found kind = {short_repr(kind)}"
            raise SpecError(where, found, f"kind = one of {', '.join(self.names())}")
        return build(self.get(kind, where), fields, f"{where} ({kind})")
