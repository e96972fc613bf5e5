"""Command-line options and descriptions read from a spec. A field is declared once, in the spec."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import typer

from matinee.contract import ModelSpec
from matinee.spec import SearchRange, Spec

CAPABILITIES = ("uses_order", "uses_time", "uses_validation", "is_random", "query_by", "cold_items")
"""Class variables of `ModelSpec` that `matinee models --json` lists."""


def describe_model(kind: str, spec: type[ModelSpec]) -> dict[str, Any]:
    """A model in plain values: kind, description, capabilities, hyperparameters."""
    return {
        "kind": kind,
        "description": first_line(spec),
        **{name: getattr(spec, name) for name in CAPABILITIES},
        "hyperparameters": [_hyperparameter(spec, name) for name in spec.model_fields],
    }


def first_line(spec: type[Spec]) -> str:
    """The first line of a spec's docstring."""
    return inspect.cleandoc(spec.__doc__ or "").partition("\n")[0]


def _hyperparameter(spec: type[Spec], name: str) -> dict[str, Any]:
    field, search = spec.model_fields[name], spec.search_space().get(name)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return {"name": name, "default": default, "search": _range(search), "description": field.description or ""}


def _range(search: SearchRange | None) -> str | None:
    if search is None:
        return None
    if search.choices:
        return ", ".join(map(str, search.choices))
    return f"{search.low:g} … {search.high:g}" + (" (log)" if search.log else "")


def with_options(command: Callable[..., None], spec: type[Spec]) -> Callable[..., None]:
    """The command with one option per field of `spec`, passed to it as `options`.

    Fields that `spec` inherits get no option. Values stay text by name: the spec checks and converts them, so that
    its messages are the only ones.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters.values()
    own = [p.replace(annotation=hints[p.name]) for p in parameters if p.name != "options"]
    fields = [_option(spec, name) for name in spec.model_fields if name in inspect.get_annotations(spec)]
    names = [field.name for field in fields]

    def run(**values: Any) -> None:
        options = {name: values.pop(name) for name in names}
        command(**values, options={name: value for name, value in options.items() if value is not None})

    run.__doc__ = command.__doc__
    run.__signature__ = inspect.Signature([*own, *fields])  # pyright: ignore[reportFunctionMemberAccess]
    run.__annotations__ = {p.name: p.annotation for p in [*own, *fields]}
    return run


def _option(spec: type[Spec], name: str) -> inspect.Parameter:
    field = spec.model_fields[name]
    default = "" if field.is_required() else f" Default: {field.get_default(call_default_factory=True)}."
    option = typer.Option(None, f"--{name.replace('_', '-')}", help=f"{field.description}{default}", show_default=False)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=option, annotation=str | None)
