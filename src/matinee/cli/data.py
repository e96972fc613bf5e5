"""`matinee data`: public data sets, and a summary of any log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the command group to the application."""
    group = typer.Typer(help="List and fetch public data sets; summarise a log.", no_args_is_help=True)
    group.command("list")(list_sets)
    group.command("get")(get)
    group.command("inspect")(inspect)
    app.add_typer(group, name="data")


def list_sets(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the data sets with size, licence and source of the checksum."""
    import json

    from matinee.cli._screen import out, table
    from matinee.data.datasets import DATASETS

    rows = [
        (
            info.name,
            info.description,
            f"{info.size / 1e6:,.1f} MB",
            info.archives[0].checksum_source,
            "yes" if info.fetched else "",
            info.licence,
        )
        for info in DATASETS.values()
    ]
    headers = ["name", "description", "download", "checksum from", "fetched", "licence"]
    if as_json:
        typer.echo(json.dumps([dict(zip(headers, row, strict=True)) for row in rows], indent=2))
    else:
        out.print(table("", headers, [list(row) for row in rows]))


def get(
    name: Annotated[str, typer.Argument(help="A name listed by `matinee data list`.")],
    force: Annotated[bool, typer.Option("--force", help="Fetch again, even if the data set is in the cache.")] = False,
) -> None:
    """Fetch a data set into the cache folder (MATINEE_DATA), verify and unpack it."""
    from matinee.data.datasets import fetch

    typer.echo(str(fetch(name, force=force)))


def inspect(
    path: Annotated[str, typer.Argument(help="A file, a folder, or the name of a data set.")],
    kind: Annotated[str | None, typer.Option(help="The reader. Default: detected from the file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read a log and print a summary of it."""
    import json

    from matinee.cli._screen import out, table
    from matinee.data.datasets import DATASETS
    from matinee.data.read import data_spec

    if path in DATASETS:
        log = data_spec({"kind": path}, "inspect").read()
    else:
        options = {"path": Path(path)} | ({"kind": kind} if kind else {})
        log = data_spec(options, "inspect").read()
    summary = log.summary()
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
        return
    out.print(table("", ["", path], [[name, _format_value(value)] for name, value in summary.items()]))


def _format_value(value: int | float | str | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else value
