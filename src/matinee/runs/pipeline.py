"""The whole experiment: every fit, the seed ensembles, and the ensemble of the file."""

from __future__ import annotations

from matinee.ensemble.ensemble_spec import EnsembleSpec
from matinee.ensemble.weight_searches.fixed import Fixed
from matinee.runs.combine import combine
from matinee.runs.execute import PreparedExperiment, RunOptions, execute
from matinee.runs.folder import Run
from matinee.runs.producers.model import ModelProducer


def run_experiment(prepared: PreparedExperiment, options: RunOptions) -> list[Run]:
    """The runs of an experiment: fits, averages over seeds, and the ensemble.

    Finished runs are opened, not computed again; a run that was killed is resumed.
    """
    fits = execute(prepared, options)
    ensembles = [combine(prepared, fits, spec, options) for spec in _ensemble_specs(prepared, fits)]
    return fits + ensembles


def _ensemble_specs(prepared: PreparedExperiment, fits: list[Run]) -> list[EnsembleSpec]:
    """The equal average of each model that has several seeds, then the ensemble of the file."""
    experiment, specs = prepared.experiment, list[EnsembleSpec]()
    for spec, n in zip(experiment.model, experiment.seed_counts, strict=True):
        if n > 1:
            members = tuple(
                run.name for run in fits if isinstance(run.producer, ModelProducer) and run.producer.spec == spec
            )
            specs.append(
                EnsembleSpec(
                    weight_search=Fixed(),
                    members=members,
                    depths=(min(experiment.task.stored_k, prepared.log.n_items),),
                )
            )
    return specs if experiment.ensemble is None else [*specs, experiment.ensemble]
