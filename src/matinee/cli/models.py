"""`matinee models`: the models and their hyperparameters."""

from __future__ import annotations

from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("models")(models)


def models(
    kind: Annotated[str | None, typer.Argument(help="One model. Default: all models.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models, or describe one: its method, hyperparameters, defaults and search ranges."""
    import json

    from matinee import models as registry
    from matinee.cli._screen import out, table
    from matinee.cli._specs import describe_model, first_line

    names = [kind] if kind else registry.kinds()
    specs = {name: registry.get(name) for name in names}
    if as_json:
        typer.echo(json.dumps([describe_model(name, spec) for name, spec in specs.items()], indent=2))
    elif kind:
        import inspect

        module = inspect.getmodule(specs[kind])
        out.print(inspect.cleandoc((module.__doc__ if module else "") or ""), markup=False, highlight=False)
        rows = [
            [one["name"], str(one["default"]), one["search"] or "–", one["description"]]
            for one in describe_model(kind, specs[kind])["hyperparameters"]
        ]
        out.print(table("", ["hyperparameter", "default", "search range", "description"], rows))
    else:
        rows = [[name, first_line(spec), ", ".join(spec.model_fields)] for name, spec in specs.items()]
        out.print(table("", ["kind", "description", "hyperparameters"], rows))
