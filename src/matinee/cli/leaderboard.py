"""`matinee leaderboard`: finished runs ranked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("leaderboard")(leaderboard)


def leaderboard(
    folders: Annotated[list[Path] | None, typer.Argument(help="Run folders; nothing means all under --runs.")] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    split: Annotated[str, typer.Option(help="Only runs whose split's fingerprint starts so.")] = "",
    metric: Annotated[str | None, typer.Option(help="Rank by this metric; by default the task's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, one a run.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated text.")] = False,
) -> None:
    """Rank runs of one split, with intervals and whether a gap is noise. Runs of different splits are refused."""
    import json

    from matinee.cli._leaderboard import print_leaderboard
    from matinee.cli._screen import observer
    from matinee.runs import leaderboard as ranked
    from matinee.runs import open_run, runs_in

    found = [open_run(folder) for folder in folders] if folders else runs_in(runs, observer)
    made = ranked([run for run in found if run.split.startswith(split)], metric)
    if as_json:
        typer.echo(json.dumps(made.rows(), indent=2))
    elif as_csv:
        typer.echo(made.frame().write_csv().encode(), nl=False)
    else:
        print_leaderboard(made)
