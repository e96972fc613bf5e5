"""`matinee submit`: the submission file of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("submit")(submit)


def submit(
    run: Annotated[str, typer.Argument(help="A run folder, or best: the first run of the leaderboard.")] = "best",
    to: Annotated[Path, typer.Option("--to", help="The file to write: .csv or .parquet.")] = Path("submission.csv"),
    users: Annotated[
        Path | None, typer.Option(help="A file with the users that get a list. Default: all users of the log.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    lists: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Lists of an imported member, trained on the whole log."),
    ] = None,
    unknown: Annotated[
        str, typer.Option(help="Users that are not in the log: error, popular (the most popular items) or skip.")
    ] = "error",
    device: Annotated[str, typer.Option(help="Device of the networks: cpu, cuda or cuda:1.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads of training and ranking. Default: all cores.")] = None,
    split: Annotated[
        str, typer.Option(help="With best: only runs with a split fingerprint that starts with this text.")
    ] = "",
) -> None:
    """Refit a run's model on the whole log, write and check the submission."""
    from matinee.cli._screen import observer, out, resolve_device
    from matinee.errors import SpecError
    from matinee.runs import RunOptions, leaderboard, open_run, runs_in
    from matinee.runs.experiment import Submission
    from matinee.runs.refit import Delivery, experiment_of, submit_run
    from matinee.spec import build

    if run == "best":
        source = leaderboard([each for each in runs_in(runs, observer) if each.split.startswith(split)]).runs[0]
    else:
        source = open_run(run)
    experiment = experiment_of(source)
    submission = build(Submission, {"path": str(to), "users": str(users) if users else None}, "submit")
    imported: dict[str, Path] = {}
    for text in lists or []:
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise SpecError("--lists", f"found {text!r}", "NAME=FILE, e.g. theirs=whole.csv")
        imported[name] = Path(file)
    delivery = Delivery(imported, unknown)
    options = RunOptions(runs, observer, resolve_device(device), threads)
    log = experiment.data.read()
    out.print(submit_run(source, experiment, log, submission, options, delivery), markup=False)
