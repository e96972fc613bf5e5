"""`run.json`: everything about a run except its lists, its metrics per user and its model."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from matinee.contract import Task
from matinee.ensemble.analysis.members import MemberReport
from matinee.ensemble.analysis.robustness import Robustness
from matinee.ensemble.analysis.winners import MemberWins
from matinee.runs.environment import Environment
from matinee.runs.fields import AnyRecipe, AnySplit
from matinee.runs.finding import Finding
from matinee.runs.producers import AnyProducer
from matinee.spec import Spec

FORMAT = 4
"""Version of the folder format; increased when older readers would misread it."""


class Record(Spec):
    """A part of `run.json`; infinite numbers and NaN are written as text."""

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="strings")


class Interval(Record):
    """A mean over users and its bootstrap interval; None means there is none."""

    mean: float | None
    low: float | None
    high: float | None


class MetricSummary(Interval):
    """A metric over all targets, and over those of each part if there are several."""

    parts: dict[str, Interval] = Field(default_factory=dict[str, Interval])


class SplitRecord(Record):
    """The split of a run."""

    fingerprint: str
    """Only runs with equal fingerprints can be compared."""

    source: str
    """The fingerprint of the log."""

    protocol: AnySplit


class Keys(Record):
    """Hashes of the inputs of each stage of a run: equal keys, equal results."""

    fit: str
    lists: str
    metrics: str


class Seconds(Record):
    """Duration of each stage."""

    fit: float
    lists: float
    evaluate: float


class EvaluationMeta(Record):
    """The part of an evaluation that is not in `metrics.parquet`."""

    names: tuple[str, ...]
    parts: tuple[str, ...]
    profile: str
    catalogue: dict[str, float]
    """The metrics with one value for all lists together."""

    n_queries: int
    resamples: int
    seed: int


class FileRecord(Record):
    """Size and hash of a file of the folder."""

    size: Annotated[int, Field(ge=0)]
    """Size in bytes."""

    sha256: str


class Gain(Record):
    """The ensemble's gain over its best member, paired by user."""

    mean: float
    low: float
    high: float
    p: float
    significant: bool
    """Whether the interval excludes 0 and p is below 0.05."""


class EnsembleReport(Record):
    """The result of the search for an ensemble."""

    recipe: AnyRecipe
    """The recipe fitted on all users."""

    folds: tuple[AnyRecipe, ...]
    """The recipes fitted without each fold."""

    best: str
    """The best single member."""

    single_model: dict[str, float]
    """The metric of each member by itself."""

    in_sample: float
    """The metric of `recipe` on the users it was fitted on."""

    out_of_fold: float
    """The metric of lists by recipes fitted without their users."""

    optimism: float
    """`in_sample` minus `out_of_fold`."""

    gain: Gain
    portrait: MemberReport
    winners: tuple[MemberWins, ...]
    robustness: Robustness


class RunRecord(Record):
    """The content of `run.json`."""

    format: int
    created: str
    """UTC, ISO 8601."""

    producer: AnyProducer
    """The origin of the lists."""

    seed: int
    task: Task
    split: SplitRecord
    log: dict[str, bool | int | float | str]
    """Counts of the log."""

    keys: Keys
    seconds: Seconds
    metrics: dict[str, MetricSummary]
    evaluation: EvaluationMeta
    findings: tuple[Finding, ...]
    ensemble: EnsembleReport | None = None
    environment: Environment
    experiment: dict[str, Any]
    """The tables of the experiment file; `refit.experiment_of` reads them."""

    files: dict[str, FileRecord]
    """All other files of the folder except `run.sha256`, by path."""
