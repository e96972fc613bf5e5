"""`matinee check`: a file of lists checked against the rules of a task, and evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("check")(check)


def check(
    file: Annotated[Path, typer.Argument(help="user,item rows, best first: .csv, .tsv or .parquet.")],
    experiment: Annotated[Path, typer.Argument(help="The experiment file or a run folder: its log and its task.")],
    targets: Annotated[Path | None, typer.Option(help="user,item rows to evaluate the lists against.")] = None,
    users: Annotated[Path | None, typer.Option(help="A file with the users that need a list.")] = None,
    unknown: Annotated[
        str, typer.Option(help="Users of --users that are not in the log: error, popular (they need a list) or skip.")
    ] = "error",
    held_out: Annotated[
        bool, typer.Option("--held-out", help="The lists come from the training set: evaluate them on the targets.")
    ] = False,
) -> None:
    """Check a file of lists against the rules of a task.

    Each user has k items, all known, none seen, none repeated. With --targets or --held-out the
    lists are also evaluated.
    """
    from matinee.cli._screen import out
    from matinee.runs import load_experiment, open_run
    from matinee.runs.imported import check_on_split, check_submission, evaluation_lines
    from matinee.runs.recipients import target_users
    from matinee.runs.refit import experiment_of

    source = experiment_of(open_run(experiment)) if experiment.is_dir() else load_experiment(experiment)
    if held_out:
        result = check_on_split(file, source)
    else:
        log = source.data.read()
        queries = target_users(str(users), log, unknown).queries if users else None
        result = check_submission(file, log, source.task, queries, targets)
    out.print(f"{file}: {result.checked.summary(source.task.k)}.", markup=False)
    for line in evaluation_lines(result.evaluation):
        out.print(line, markup=False)
