"""`matinee simulate`: a synthetic log with known structure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from matinee.cli._screen import out
from matinee.cli._specs import with_options
from matinee.data.simulation.spec import Simulate
from matinee.data.write import write_log
from matinee.spec import build


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("simulate")(with_options(simulate, Simulate))


def simulate(
    to: Annotated[Path, typer.Argument(help="A folder (competition files), or one .csv or .parquet file.")],
    options: dict[str, Any],
) -> None:
    """Write a synthetic log with clusters, popularity, genres, series, sessions and drift.

    The same options and seed give the same log.
    """
    log = build(Simulate, options, "simulate").read()
    write_log(log, to)
    out.print(f"{to}: {len(log):,} rows, {log.n_users:,} users, {log.n_items:,} items", markup=False)
