"""The built-in demo, with a simulated log as fallback if no data can be downloaded."""

from __future__ import annotations

from pathlib import Path

from matinee.data.simulation.spec import Simulate
from matinee.errors import DownloadError
from matinee.observer import Observer
from matinee.runs.experiment import Experiment
from matinee.runs.prepared import PreparedExperiment, prepare

DEMO = Path(__file__).with_name("demo.toml")


def prepare_demo(experiment: Experiment, observer: Observer) -> PreparedExperiment:
    """`prepare`, with a simulated log of the size of MovieLens 100K if the download fails."""
    try:
        return prepare(experiment)
    except DownloadError as error:
        observer.message(f"warning: {error}")
        observer.message("warning: the demo uses a SIMULATED log of the same size; its numbers do not describe movies")
        log = Simulate(users=943, items=1682, rows=100_000, seed=experiment.seed)
        return prepare(experiment.model_copy(update={"data": log}))
