"""The built-in demo, and what it does where no data can be reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matinee.data.simulation.spec import Simulate
from matinee.errors import DownloadError
from matinee.runs.execute import PreparedExperiment, prepare
from matinee.runs.experiment import Experiment

DEMO = Path(__file__).with_name("demo.toml")


def prepare_demo(experiment: Experiment, say: Callable[[str], None], *, demo: bool) -> PreparedExperiment:
    """`prepare`, except that the demo takes a simulated log of MovieLens 100K's size when nothing can be fetched."""
    try:
        return prepare(experiment)
    except DownloadError as error:
        if not demo:
            raise
        say(f"warning: {error}")
        say("warning: the demo goes on with a SIMULATED log of the same size; its numbers say nothing about movies")
        log = Simulate(users=943, items=1682, rows=100_000, seed=experiment.seed)
        return prepare(experiment.model_copy(update={"data": log}))
