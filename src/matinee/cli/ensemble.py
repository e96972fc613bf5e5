"""`matinee ensemble`: combine runs that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def add(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("ensemble")(ensemble)


def ensemble(  # noqa: PLR0913 - one parameter an option
    folders: Annotated[list[Path] | None, typer.Argument(help="Run folders; nothing means all under --runs.")] = None,
    kind: Annotated[str, typer.Option(help="How members and weights are found: greedy, fixed, subsets, …")] = "greedy",
    rule: Annotated[list[str] | None, typer.Option(help="A fusion rule; several are all tried.")] = None,
    depth: Annotated[list[int] | None, typer.Option(help="How deep lists count; several are all tried.")] = None,
    folds: Annotated[int, typer.Option(help="Folds of people for honest numbers.")] = 4,
    gate: Annotated[str | None, typer.Option(help="Weights for each person: segments or logit.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KNOB=VALUE", help='As bags=20, or rule={kind="rrf", k=60}.'),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the search; by default all cores.")] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    split: Annotated[str, typer.Option(help="Only runs whose split's fingerprint starts so.")] = "",
) -> None:
    """Search the best combination of finished runs, say honestly what it gains, and keep it as a run."""
    from matinee.cli._ensemble import print_ensemble
    from matinee.cli._leaderboard import print_leaderboard
    from matinee.cli._screen import observer
    from matinee.ensemble.ensemble_spec import read_ensemble as read_plan
    from matinee.runs import RunOptions, leaderboard, open_run, prepare, runs_in
    from matinee.runs.combine import combine
    from matinee.runs.refit import experiment_of
    from matinee.runs.tables import apply_change

    options = RunOptions(runs, observer, threads=threads)
    found = [open_run(folder) for folder in folders] if folders else runs_in(runs, observer)
    members = [run for run in found if run.split.startswith(split)]
    board = leaderboard(members)
    words = {"kind": kind, "rules": rule, "depths": depth, "folds": folds, "gate": gate}
    table: dict[str, Any] = {"ensemble": {name: value for name, value in words.items() if value not in (None, [])}}
    for change in changes or []:
        table = apply_change(table, f"ensemble.{change}")
    plan = read_plan(table["ensemble"], "ensemble")
    ready = prepare(experiment_of(board.runs[0]))
    made = combine(ready, members, plan, options)
    print_leaderboard(leaderboard([*(run for run in members if run.name != made.name), made]))
    print_ensemble(made)
