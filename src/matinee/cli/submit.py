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
    device: Annotated[str, typer.Option(help="Where networks are trained: cpu, cuda, or cuda:1.")] = "cpu",
    split: Annotated[str, typer.Option(help="With best: only runs whose split starts so.")] = "",
) -> None:
    """Refit a run's model on everything, write its lists for every user, and check the file."""
    from matinee.cli._screen import out, placed, progress, say
    from matinee.errors import SpecError
    from matinee.runs import Stage, board_of, open_run, runs_in
    from matinee.runs.deliver import experiment_of
    from matinee.runs.deliver import submit as deliver
    from matinee.runs.experiment import Submission

    if run == "best":
        chosen = board_of([one for one in runs_in(runs, say) if one.split.startswith(split)]).runs[0]
    else:
        chosen = open_run(run)
    experiment = experiment_of(chosen)
    asked = Submission(path=str(to), users=str(users) if users else None)
    given: dict[str, Path] = {}
    for one in lists or []:
        name, equals, file = one.partition("=")
        if not (name and equals and file):
            raise SpecError("--lists", f"found {one!r}", "NAME=FILE, as in theirs=whole.csv")
        given[name] = Path(file)
    stage = Stage(runs, progress, say, placed(device))
    out.print(deliver(chosen, experiment, experiment.data.read(), asked, stage, given), markup=False)
