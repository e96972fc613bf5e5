"""`matinee import`: lists made elsewhere become a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("import")(import_file)


def import_file(
    file: Annotated[Path, typer.Argument(help="user,item rows, best first, deeper than k if you can.")],
    experiment: Annotated[Path, typer.Argument(help="The experiment file, or a run folder: its split and its rules.")],
    name: Annotated[str, typer.Option(help="What the lists are called on the board.")] = "",
    runs: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
) -> None:
    """Bring in lists that were made from the learn part of an experiment's split: to the board, and into ensembles."""
    from matinee.cli._screen import observer, out
    from matinee.runs import RunOptions, load_experiment, open_run, prepare
    from matinee.runs.imported import evaluation_lines, import_lists
    from matinee.runs.refit import experiment_of
    from matinee.runs.text import warnings

    asked = experiment_of(open_run(experiment)) if experiment.is_dir() else load_experiment(experiment)
    label = name or file.stem.replace("-", "_").replace(".", "_")
    run = import_lists(file, label, prepare(asked), RunOptions(runs, observer))
    for line in [f"{run.folder}:", *evaluation_lines(run.evaluation)]:
        out.print(line, markup=False)
    for warning in warnings(run.record.findings):
        observer.message(f"warning: {run.name}: {warning}")
