"""`matinee leaderboard`: finished runs ranked by a metric."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("leaderboard")(leaderboard)


def leaderboard(
    folders: Annotated[list[Path] | None, typer.Argument(help="Run folders. Default: every run under --runs.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    split: Annotated[str, typer.Option(help="Only runs with a split fingerprint that starts with this text.")] = "",
    metric: Annotated[str | None, typer.Option(help="Rank by this metric. Default: the task's metric.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per run.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one row per run.")] = False,
) -> None:
    """Rank runs of one split, with intervals and the significance of each difference.

    Runs of different splits are refused.
    """
    import json

    from matinee.cli._leaderboard import print_leaderboard
    from matinee.cli._screen import observer
    from matinee.runs import leaderboard as rank
    from matinee.runs import open_run, runs_in

    all_runs = [open_run(folder) for folder in folders] if folders else runs_in(runs, observer)
    leaderboard = rank([run for run in all_runs if run.split.startswith(split)], metric)
    if as_json:
        typer.echo(json.dumps(leaderboard.rows(), indent=2))
    elif as_csv:
        typer.echo(leaderboard.frame().write_csv().encode(), nl=False)
    else:
        print_leaderboard(leaderboard)
