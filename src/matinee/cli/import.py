"""`matinee import`: lists from another program as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("import")(import_file)


def import_file(
    file: Annotated[Path, typer.Argument(help="user,item rows, best first; more than k items per user if available.")],
    experiment: Annotated[Path, typer.Argument(help="The experiment file or a run folder: its split and its task.")],
    name: Annotated[str, typer.Option(help="Name of the run. Default: the file's name.")] = "",
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
) -> None:
    """Import recommendations trained elsewhere on this split's training data.

    They appear on the leaderboard and can be members of ensembles.
    """
    from matinee.cli._screen import observer, out
    from matinee.runs import RunOptions, load_experiment, open_run, prepare
    from matinee.runs.imported import evaluation_lines, import_lists
    from matinee.runs.refit import experiment_of
    from matinee.runs.text import warnings

    source = experiment_of(open_run(experiment)) if experiment.is_dir() else load_experiment(experiment)
    label = name or file.stem.replace("-", "_").replace(".", "_")
    run = import_lists(file, label, prepare(source), RunOptions(runs, observer))
    for line in [f"{run.folder}:", *evaluation_lines(run.evaluation)]:
        out.print(line, markup=False)
    for warning in warnings(run.record.findings):
        observer.message(f"warning: {run.name}: {warning}")
