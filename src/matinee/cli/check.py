"""`matinee check`: a list file made elsewhere, held against the rules and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("check")(check)


def check(
    file: Annotated[Path, typer.Argument(help="user,item rows, best first: .csv, .tsv or .parquet.")],
    experiment: Annotated[Path, typer.Argument(help="The experiment file, or a run folder: its log and its rules.")],
    answers: Annotated[Path | None, typer.Option(help="user,item rows to score the lists against.")] = None,
    users: Annotated[Path | None, typer.Option(help="A file with the users that must be served.")] = None,
    unknown: Annotated[
        str,
        typer.Option(help="Users of --users that the log does not know: error, popular (they need a list), or skip."),
    ] = "error",
    held_out: Annotated[
        bool, typer.Option("--held-out", help="The lists were made from the learn part: score them on the answers.")
    ] = False,
) -> None:
    """Check a list file: exactly k items a user, none seen, none twice, known ids; score it where answers are given."""
    from matinee.cli._screen import out
    from matinee.runs import load_experiment, open_run
    from matinee.runs.imported import check_on_split, check_submission, evaluation_lines
    from matinee.runs.recipients import target_users
    from matinee.runs.refit import experiment_of

    asked = experiment_of(open_run(experiment)) if experiment.is_dir() else load_experiment(experiment)
    if held_out:
        result = check_on_split(file, asked)
    else:
        log = asked.data.read()
        queries = target_users(str(users), log, unknown).queries if users else None
        result = check_submission(file, log, asked.task, queries, answers)
    out.print(f"{file}: {result.checked.summary(asked.task.k)}.", markup=False)
    for line in evaluation_lines(result.evaluation):
        out.print(line, markup=False)
