"""`run.json`: everything about a run but its lists, its numbers per user and its model."""

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

FORMAT = 3
"""Raised whenever an older reader would misread a folder."""


class Record(Spec):
    """A part of `run.json`; a number that is not finite is written as text, such as "NaN"."""

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="strings")


class Interval(Record):
    """A mean over users and its bootstrap interval; None where there is none."""

    mean: float | None
    low: float | None
    high: float | None


class MetricSummary(Interval):
    """A metric over all targets, and over those of each part where there are several."""

    parts: dict[str, Interval] = Field(default_factory=dict[str, Interval])


class SplitRecord(Record):
    """The split of a run."""

    fingerprint: str
    """Only runs with equal ones can be compared."""

    source: str
    """The fingerprint of the log."""

    protocol: AnySplit


class Keys(Record):
    """Hashes of all that decides a stage of a run: equal keys, equal results."""

    fit: str
    lists: str
    metrics: str


class Seconds(Record):
    """How long each stage took."""

    fit: float
    lists: float
    evaluate: float


class EvaluationMeta(Record):
    """What `metrics.parquet` does not hold of an evaluation."""

    names: tuple[str, ...]
    parts: tuple[str, ...]
    profile: str
    catalogue: dict[str, float]
    """The metrics of all lists together."""

    n_queries: int
    resamples: int
    seed: int


class FileRecord(Record):
    """A file of the folder as it was written."""

    size: Annotated[int, Field(ge=0)]
    """Bytes."""

    sha256: str


class Gain(Record):
    """The ensemble's gain over its best member, paired by user."""

    mean: float
    low: float
    high: float
    p: float
    significant: bool
    """Whether 0 lies outside the interval and p is below 0.05."""


class EnsembleReport(Record):
    """What the search for an ensemble found."""

    recipe: AnyRecipe
    """Found on all users."""

    folds: tuple[AnyRecipe, ...]
    """Found without each fold."""

    best: str
    """The best single member."""

    single_model: dict[str, float]
    """The metric of each member by itself."""

    in_sample: float
    """The metric of `recipe` on the users it was found on."""

    out_of_fold: float
    """The metric of lists by recipes found without their users."""

    optimism: float
    """`in_sample` minus `out_of_fold`."""

    gain: Gain
    portrait: MemberReport
    winners: tuple[MemberWins, ...]
    robustness: Robustness


class RunRecord(Record):
    """A run, as `run.json` has it."""

    format: int
    created: str
    """UTC, ISO 8601."""

    producer: AnyProducer
    """What made the lists."""

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
    """The experiment as its file has it; `deliver.experiment_of` reads it."""

    files: dict[str, FileRecord]
    """Every other file of the folder, by its path in it, but `run.sha256`."""
