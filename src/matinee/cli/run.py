"""`matinee run`: an experiment from its file to the leaderboard and the submission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("run")(run)


def run(
    experiment: Annotated[Path | None, typer.Argument(help="A TOML file. Default: the built-in demo.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the file, e.g. model.ease.l2=200."),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="Device of the networks: cpu, cuda or cuda:1.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads of training and ranking. Default: all cores.")] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of experiment files and exit.")
    ] = False,
) -> None:
    """Run an experiment: train and evaluate its models, print the leaderboard, write the submission.

    Finished runs are not computed again. An interrupted run continues from its last checkpoint.
    """
    import json

    from matinee.cli._ensemble import print_ensemble
    from matinee.cli._leaderboard import print_leaderboard
    from matinee.cli._screen import observer, out, resolve_device
    from matinee.runs import RunOptions, prepare, run_experiment
    from matinee.runs import leaderboard as rank
    from matinee.runs.demo import DEMO, prepare_demo
    from matinee.runs.experiment import load_experiment
    from matinee.runs.experiment import schema as schema_of
    from matinee.runs.refit import submit_experiment

    if schema:
        out.print_json(json.dumps(schema_of()))
        return
    options = RunOptions(runs, observer, resolve_device(device), threads)
    loaded = load_experiment(experiment or DEMO, tuple(changes or ()))
    prepared = prepare_demo(loaded, observer) if experiment is None else prepare(loaded)
    all_runs = run_experiment(prepared, options)
    leaderboard = rank(all_runs)
    print_leaderboard(leaderboard)
    for run in all_runs:
        print_ensemble(run)
    submission = prepared.experiment.submission
    if submission is not None:
        out.print(submit_experiment(prepared, leaderboard, submission, options), markup=False)
    out.print(f"Runs are in {runs}/. Print the leaderboard again: matinee leaderboard --runs {runs}", markup=False)
