"""`matinee submit`: the file that is delivered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("submit")(submit)


def submit(
    run: Annotated[str, typer.Argument(help="A run folder, or best: the first of the board.")] = "best",
    to: Annotated[Path, typer.Option("--to", help="The file to write, .csv or .parquet.")] = Path("submission.csv"),
    users: Annotated[Path | None, typer.Option(help="A file with the users to serve, e.g. a sample.")] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    lists: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Lists from the whole log for a member that came from elsewhere."),
    ] = None,
    unknown: Annotated[
        str, typer.Option(help="Users the log does not know: error, popular (the most popular items), or skip.")
    ] = "error",
    device: Annotated[str, typer.Option(help="Where networks are trained: cpu, cuda, or cuda:1.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads of fits and lists; by default all cores.")] = None,
    split: Annotated[str, typer.Option(help="With best: only runs whose split starts so.")] = "",
) -> None:
    """Refit a run's model on everything, write its lists for every user, and check the file."""
    from matinee.cli._screen import observer, out, resolve_device
    from matinee.errors import SpecError
    from matinee.runs import RunOptions, leaderboard, open_run, runs_in
    from matinee.runs.experiment import Submission
    from matinee.runs.refit import Delivery, experiment_of
    from matinee.runs.refit import submit_run as deliver
    from matinee.spec import build

    if run == "best":
        chosen = leaderboard([one for one in runs_in(runs, observer) if one.split.startswith(split)]).runs[0]
    else:
        chosen = open_run(run)
    experiment = experiment_of(chosen)
    asked = build(Submission, {"path": str(to), "users": str(users) if users else None}, "submit")
    given: dict[str, Path] = {}
    for one in lists or []:
        name, equals, file = one.partition("=")
        if not (name and equals and file):
            raise SpecError("--lists", f"found {one!r}", "NAME=FILE, as in theirs=whole.csv")
        given[name] = Path(file)
    delivery = Delivery(given, unknown)
    options = RunOptions(runs, observer, resolve_device(device), threads)
    out.print(deliver(chosen, experiment, experiment.data.read(), asked, options, delivery), markup=False)
