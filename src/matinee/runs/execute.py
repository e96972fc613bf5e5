"""The fits of an experiment, one run folder each; a killed run is resumed."""

from __future__ import annotations

from matinee.runs.folder import Run
from matinee.runs.job import ModelJob
from matinee.runs.prepared import PreparedExperiment, RunOptions, prepare
from matinee.runs.split_store import keep_split
from matinee.runs.store import obtain

__all__ = ["PreparedExperiment", "RunOptions", "execute", "prepare"]


def execute(prepared: PreparedExperiment, options: RunOptions) -> list[Run]:
    """The runs of all models of the experiment, in its order; finished runs are opened."""
    keep_split(prepared.split, prepared.log, options.root, options.observer)
    runs: list[Run] = []
    for fit in prepared.experiment.fits():
        job = ModelJob(prepared, fit.spec, fit.seed, options)
        runs.append(obtain(options.root / job.name, job.work, options.observer, job.compute))
    return runs
