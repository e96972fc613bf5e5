"""`matinee run`: an experiment from file to board, and its submission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("run")(run)


def run(
    experiment: Annotated[Path | None, typer.Argument(help="A TOML file; without one the built-in demo runs.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a value, e.g. model.ease.l2=200.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="Where networks are trained: cpu, cuda, or cuda:1.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads of fits and lists; by default all cores.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of experiment files.")] = False,
) -> None:
    """Run an experiment: fit, rank and judge its models, show the board, write its submission.

    Finished runs are not computed again; a run that was killed goes on where it stopped.
    """
    import json

    from matinee.cli._ensemble import print_ensemble
    from matinee.cli._leaderboard import print_leaderboard
    from matinee.cli._screen import observer, out, resolve_device
    from matinee.runs import RunOptions, leaderboard, prepare, run_experiment
    from matinee.runs.demo import DEMO, prepare_demo
    from matinee.runs.experiment import load_experiment
    from matinee.runs.experiment import schema as schema_of
    from matinee.runs.refit import submit_experiment

    if schema:
        out.print_json(json.dumps(schema_of()))
        return
    options = RunOptions(runs, observer, resolve_device(device), threads)
    chosen = load_experiment(experiment or DEMO, tuple(changes or ()))
    ready = prepare_demo(chosen, observer) if experiment is None else prepare(chosen)
    finished = run_experiment(ready, options)
    ranked = leaderboard(finished)
    print_leaderboard(ranked)
    for run in finished:
        print_ensemble(run)
    if ready.experiment.submission is not None:
        out.print(submit_experiment(ready, ranked, ready.experiment.submission, options), markup=False)
    out.print(f"Runs are kept in {runs}/. See them again: matinee leaderboard --runs {runs}", markup=False)
