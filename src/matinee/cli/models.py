"""`matinee models`: the zoo and its knobs."""

from __future__ import annotations

from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("models")(models)


def models(
    kind: Annotated[str | None, typer.Argument(help="One model, with every knob explained.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the models, or explain one: what it is, its knobs, their defaults and the ranges worth searching."""
    import json

    from matinee import models as zoo
    from matinee.cli._screen import out, table
    from matinee.cli._specs import describe_model, first_line

    names = [kind] if kind else zoo.kinds()
    specs = {name: zoo.get(name) for name in names}
    if as_json:
        typer.echo(json.dumps([describe_model(name, spec) for name, spec in specs.items()], indent=2))
    elif kind:
        import inspect

        module = inspect.getmodule(specs[kind])
        out.print(inspect.cleandoc((module.__doc__ if module else "") or ""), markup=False, highlight=False)
        rows = [
            [k["name"], str(k["default"]), k["search"] or "–", k["sentence"]]
            for k in describe_model(kind, specs[kind])["knobs"]
        ]
        out.print(table("", ["knob", "default", "worth searching", "what it does"], rows))
    else:
        rows = [[name, first_line(spec), ", ".join(spec.model_fields)] for name, spec in specs.items()]
        out.print(table("", ["kind", "what it is", "knobs"], rows))
