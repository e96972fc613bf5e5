"""Tables of an experiment file as plain values: parsed within limits and changed by `--set`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from matinee.errors import SpecError, UnknownNameError
from matinee.spec import short_repr

DEPTH = 16
"""Maximum nesting of tables and lists, and parts of a dotted key; valid files need five."""

LENGTH = 4096
"""Maximum characters of a text: the longest path of Linux."""

SIZE = 1_000_000
"""Maximum bytes of an experiment file."""

DOTTED = re.compile(r"""(?<![\w"'-])(?:["']?[\w-]+["']?[ \t]*\.[ \t]*)""" f"{{{DEPTH}}}")
"""A key of too many parts, which tomllib reads in quadratic time."""


def load_tables(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, within the limits of this module."""
    try:
        if not path.is_file():
            raise SpecError(str(path), "there is no such file", "an experiment file (TOML)", "See examples/ for some.")
        if path.stat().st_size > SIZE:
            raise SpecError(str(path), f"it has {path.stat().st_size:,} bytes", f"at most {SIZE:,}")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _not_toml(path, str(error)) from None
    except OSError as error:
        raise SpecError(str(path), f"it cannot be read ({error.strerror})", "an experiment file (TOML)") from None
    return _parsed(text, path)


def _parsed(text: str, where: str | Path) -> dict[str, Any]:
    if DOTTED.search(text):
        raise SpecError(str(where), f"a key of more than {DEPTH} parts", "keys as in model.ease.l2")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(where, str(error)) from None
    except ValueError:
        raise _not_toml(where, "a number has more digits than can be read") from None
    except RecursionError:
        raise _not_toml(where, "its brackets are nested too deep") from None


def _not_toml(where: str | Path, found: str) -> SpecError:
    return SpecError(str(where), f"it is not TOML ({found})", "an experiment file like those in examples/")


def check_plain(value: Any, where: str, depth: int = 0) -> None:
    """Raise `SpecError` for deep nesting, large numbers, long text, and text that is not UTF-8."""
    if depth > DEPTH:
        raise SpecError(where, f"tables or lists nested deeper than {DEPTH}", "plain tables of options")
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, Any]", value).items():
            check_plain(name, where)
            check_plain(inner, f"{where}.{name}" if depth else f"{where}: {name}", depth + 1)
    elif isinstance(value, list | tuple):
        for inner in cast("list[Any]", value):
            check_plain(inner, where, depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise SpecError(where, f"found {short_repr(value)}", "a number of at most 64 bits")
    elif isinstance(value, str) and (len(value) > LENGTH or "\0" in value or not _is_utf8(value)):
        raise SpecError(
            where, f"found {short_repr(value)}", f"UTF-8 text of at most {LENGTH:,} characters, none of them NUL"
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_table(value: Any, where: str) -> Mapping[str, Any]:
    """The value, if it is a table."""
    if not isinstance(value, Mapping):
        raise SpecError(where, f"found {short_repr(value)}", "a table of options")
    return cast("Mapping[str, Any]", value)


def model_tables(tables: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    """The tables [[model]] in the order of the file, at least one."""
    listed = tables.get("model")
    place = f"{where}: model"
    if isinstance(listed, Mapping):
        raise SpecError(place, "it is one table, [model]", "a list of tables", "Write [[model]] above each model.")
    if not isinstance(listed, list | tuple) or not listed:
        found = "no model is listed" if not listed else f"found {short_repr(listed)}, no model is listed"
        raise SpecError(place, found, "one table [[model]] with a kind for each model")
    rows = cast("list[Any]", listed)
    return [as_table(row, f"{where}: model {n}") for n, row in enumerate(rows, 1)]


def apply_change(tables: Mapping[str, Any], change: str) -> dict[str, Any]:
    """The tables after one `--set`: `task.k=20`, `model.ease.l2=200`, `model.2.l2=200` (second model)."""
    path, equals, text = change.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys) or "\n" in change or "\r" in change or len(keys) > DEPTH:
        found = f"found {short_repr(change)}"
        raise SpecError("--set", found, "path=value on one line, as in task.k=20 or model.ease.l2=200")
    value = _value(text.strip())
    if keys[0] == "model":
        return {**tables, "model": _apply_to_models(model_tables(tables, "--set"), keys[1:], value)}
    return _apply_to_table(tables, keys, value)


def _apply_to_table(table: Mapping[str, Any], keys: list[str], value: Any) -> dict[str, Any]:
    if len(keys) == 1:
        return {**table, keys[0]: value}
    inner = table.get(keys[0], {})
    return {**table, keys[0]: _apply_to_table(as_table(inner, f"--set {'.'.join(keys)}"), keys[1:], value)}


def _apply_to_models(rows: list[Mapping[str, Any]], keys: list[str], value: Any) -> list[Mapping[str, Any]]:
    if len(keys) < 2:
        raise SpecError("--set model", "no option is named", "model.<kind>.<option>=value")
    at = _addressed_models(rows, keys[0])
    return [*rows[:at], _apply_to_table(rows[at], keys[1:], value), *rows[at + 1 :]]


def _addressed_models(rows: list[Mapping[str, Any]], name: str) -> int:
    """The index of a model: the only one of a kind, or by its number in the file, from 1."""
    kinds = [str(row.get("kind")).replace("-", "_") for row in rows]
    if name.isdecimal():
        if name.isascii() and len(name) < 10 and 1 <= int(name) <= len(rows):
            return int(name) - 1
        raise SpecError(
            f"--set model.{short_repr(name)}", f"the experiment lists {len(rows)} models", "a number among them"
        )
    fitting = [at for at, kind in enumerate(kinds) if kind == name.replace("-", "_")]
    if not fitting:
        raise UnknownNameError("model in this experiment", name, kinds, "--set")
    if len(fitting) > 1:
        numbers = [f"model.{at + 1}" for at in fitting]
        raise SpecError(
            f"--set model.{name}", f"{len(fitting)} models are of this kind", f"one of {', '.join(numbers)}"
        )
    return fitting[0]


def _value(text: str) -> Any:
    """A TOML value; other text is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError):
        raise SpecError("--set", f"found {short_repr(text)}", "a number, a text or a list that TOML can read") from None
