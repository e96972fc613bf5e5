"""`matinee ensemble`: a combination of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("ensemble")(ensemble)


def ensemble(  # noqa: PLR0913 - one parameter per option
    folders: Annotated[list[Path] | None, typer.Argument(help="Run folders. Default: every run under --runs.")] = None,
    kind: Annotated[
        str, typer.Option(help="Search of members and weights, e.g. greedy, fixed, best_subset.")
    ] = "greedy",
    rule: Annotated[list[str] | None, typer.Option(help="A fusion rule; repeat the option to try several.")] = None,
    depth: Annotated[
        list[int] | None, typer.Option(help="Items used of each list; repeat the option to try several.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Folds of users for cross-fitting.")] = 4,
    gate: Annotated[str | None, typer.Option(help="Weights per user: segments or logit.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help='E.g. bags=20 or rule={kind="rrf", k=60}.'),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the search. Default: all cores.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    split: Annotated[str, typer.Option(help="Only runs with a split fingerprint that starts with this text.")] = "",
) -> None:
    """Search the best combination of finished runs and save it as a run.

    Its gain is computed out of fold.
    """
    from matinee.cli._ensemble import print_ensemble
    from matinee.cli._leaderboard import print_leaderboard
    from matinee.cli._screen import observer
    from matinee.ensemble.ensemble_spec import read_ensemble
    from matinee.runs import RunOptions, leaderboard, open_run, prepare, runs_in
    from matinee.runs.combine import combine
    from matinee.runs.refit import experiment_of
    from matinee.runs.tables import apply_change

    options = RunOptions(runs, observer, threads=threads)
    all_runs = [open_run(folder) for folder in folders] if folders else runs_in(runs, observer)
    members = [run for run in all_runs if run.split.startswith(split)]
    best = leaderboard(members).runs[0]
    values = {"kind": kind, "rules": rule, "depths": depth, "folds": folds, "gate": gate}
    table: dict[str, Any] = {"ensemble": {name: value for name, value in values.items() if value not in (None, [])}}
    for change in changes or []:
        table = apply_change(table, f"ensemble.{change}")
    spec = read_ensemble(table["ensemble"], "ensemble")
    combined = combine(prepare(experiment_of(best)), members, spec, options)
    print_leaderboard(leaderboard([*(run for run in members if run.name != combined.name), combined]))
    print_ensemble(combined)
