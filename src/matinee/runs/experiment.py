"""An experiment: the content of a TOML file, checked as a whole before any computation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

from pydantic import Field, SerializeAsAny, field_validator

from matinee import models
from matinee.contract import ModelSpec, Task
from matinee.data.read import data_spec
from matinee.data.source import DataSpec
from matinee.ensemble.ensemble_spec import EnsembleSpec, read_ensemble
from matinee.ensemble.gates import GATES
from matinee.ensemble.rules import RULES
from matinee.ensemble.weight_searches import WEIGHT_SEARCHES
from matinee.errors import SpecError, UnknownNameError
from matinee.metrics import parse
from matinee.metrics.evaluation import check_metrics
from matinee.runs.tables import apply_change, as_table, check_plain, load_tables, model_tables
from matinee.spec import Registry, Seed, Spec, build
from matinee.split import PROTOCOLS, SplitSpec

SECTIONS = ("data", "split", "model", "task", "ensemble")
"""The tables of an experiment that other packages read."""


class Submission(Spec):
    """The file with the lists that an experiment delivers."""

    path: Annotated[str, Field(min_length=1)]
    """The file, .csv or .parquet."""

    model: str = "best"
    """The kind of the model to submit, or ensemble; best is the first of the leaderboard."""

    users: str | None = None
    """A file with the target users, in its order; None means every user of the log."""

    @field_validator("path")
    @classmethod
    def _format(cls, path: str) -> str:
        if Path(path).suffix not in (".csv", ".parquet"):
            raise ValueError("a name that ends in .csv or .parquet")
        return path


SeedCount: TypeAlias = Annotated[int, Field(ge=1, le=100)]
"""Number of seeds that a model is fitted with."""


@dataclass(frozen=True)
class SeededModel:
    """A model and the seed of its fit."""

    spec: ModelSpec
    seed: int


class Experiment(Spec):
    """Data, task, split and models: everything that determines the numbers."""

    seed: Seed = 0
    """Seed of the split and of every fit."""

    data: SerializeAsAny[DataSpec]
    """The log: a named data set or a reader with its path."""

    task: Task = Task()
    """The lists to deliver, and the metric."""

    split: SerializeAsAny[SplitSpec]
    """The protocol that holds out the targets."""

    model: tuple[SerializeAsAny[ModelSpec], ...] = Field(min_length=1)
    """The models to fit; popularity, the baseline, is added if it is missing."""

    seeds: tuple[SeedCount, ...] = ()
    """Number of seeds of each model; in a file, the key `seeds` of its table. Empty means one each."""

    ensemble: EnsembleSpec | None = None
    """The combination of the models' lists; None means none."""

    submission: Submission | None = None
    """The file to deliver; None means none."""

    keep_models: bool = True
    """Whether run folders keep the fitted models, which can be large."""

    def to_dict(self) -> dict[str, Any]:
        """The tables of the file, with kinds."""
        return {
            **self.model_dump(mode="json", exclude={"data", "split", "model", "seeds", "ensemble"}),
            "data": self.data.to_dict(),
            "split": self.split.to_dict(),
            "model": [
                {**spec.to_dict(), **({"seeds": n} if n > 1 else {})}
                for spec, n in zip(self.model, self.seed_counts, strict=True)
            ],
            **({} if self.ensemble is None else {"ensemble": self.ensemble.to_dict()}),
        }

    @property
    def seed_counts(self) -> tuple[int, ...]:
        """Number of seeds of each model."""
        return self.seeds or (1,) * len(self.model)

    def fits(self) -> list[SeededModel]:
        """All fits, in the order of the models."""
        return [
            SeededModel(spec, self.seed + i)
            for spec, n in zip(self.model, self.seed_counts, strict=True)
            for i in range(n)
        ]


def load_experiment(path: str | Path, changes: tuple[str, ...] = ()) -> Experiment:
    """The experiment of a TOML file, with `--set` changes applied."""
    path = Path(path)
    experiment = read_experiment(load_tables(path), str(path), changes)
    if experiment.submission is not None:
        _check_files(experiment.submission, f"{path}: submission")
    return experiment


def read_experiment(values: Mapping[str, Any], where: str, changes: tuple[str, ...] = ()) -> Experiment:
    """The experiment of plain tables; errors name the file, the table and the option."""
    tables = dict(values)
    for change in changes:
        tables = apply_change(tables, change)
    check_plain(tables, where)
    _check_names(tables, where)
    counts = _models(tables, where)
    split = PROTOCOLS.read(_table(tables, "split", where), f"{where}: split")
    task = build(Task, _table(tables, "task", where, {}), f"{where}: task")
    rest = {name: value for name, value in tables.items() if name not in SECTIONS}
    rest |= {
        "data": _data(tables, where),
        "split": split,
        "model": tuple(one.spec for one in counts),
        "seeds": tuple(one.seeds for one in counts),
        "task": task,
    }
    if "ensemble" in tables:
        rest["ensemble"] = read_ensemble(_table(tables, "ensemble", where), f"{where}: ensemble")
    experiment = build(Experiment, rest, where)
    if split.seed is None:
        seeded = split.model_copy(update={"seed": experiment.seed})
        experiment = experiment.model_copy(update={"split": seeded})
    _check_task(task, where)
    _check_split(split, where)
    _check_members(experiment, where)
    for spec in experiment.model:
        check_support(spec, split, f"{where}: model ({spec.kind})")
    return experiment


def _check_names(tables: Mapping[str, Any], where: str) -> None:
    """Raise an error for tables and options that no experiment has."""
    known = sorted(Experiment.model_fields.keys() - {"seeds"})
    for name, value in tables.items():
        if name == "seeds":
            found = "it is set for the whole experiment"
            raise SpecError(f"{where}: seeds", found, "seeds in the table of a model", "Write it under its [[model]].")
        if name not in known:
            raise UnknownNameError("table" if isinstance(value, Mapping) else "option", name, known, where)


def _data(tables: Mapping[str, Any], where: str) -> DataSpec:
    try:
        return data_spec(_table(tables, "data", where), f"{where}: data")
    except OSError as error:  # of a path that is opened to detect its kind
        raise SpecError(f"{where}: data", f"the path cannot be read ({error.strerror})", "a file or a folder") from None


def _models(tables: Mapping[str, Any], where: str) -> list[_SeedCount]:
    """The models, each once, with their number of seeds."""
    counts: list[_SeedCount] = []
    for n, row in enumerate(model_tables(tables, where), 1):
        place, options = f"{where}: model {n}", dict(row)
        seeds = build(_Seeds, {"seeds": options.pop("seeds", 1)}, place).seeds
        spec = models.CATALOGUE.read(options, place)
        if seeds > 1 and not spec.is_random:
            found = f"seeds = {seeds}, and {spec.kind} draws no random numbers, so all fits are the same"
            raise SpecError(place, found, "one fit", "Remove seeds.")
        if all(spec != other.spec for other in counts):
            counts.append(_SeedCount(spec, seeds))
    if not any(one.spec.kind == "popularity" for one in counts):
        counts.insert(0, _SeedCount(models.get("popularity")(), 1))
    return counts


@dataclass(frozen=True)
class _SeedCount:
    """A model and its number of seeds."""

    spec: ModelSpec
    seeds: int


class _Seeds(Spec):
    """The options of a table [[model]] beside the hyperparameters."""

    seeds: SeedCount = 1
    """Number of seeds that the model is fitted with."""


def _check_task(task: Task, where: str) -> None:
    check_metrics([task.metric, *task.extra_metrics], task.profile, max(task.k, task.stored_k))
    if not parse(task.metric).per_user:
        found = f"{task.metric} is one value for all lists together"
        raise SpecError(
            f"{where}: task.metric", found, "a metric with a value for each user", "Put it under task.extra_metrics."
        )


def _check_split(split: SplitSpec, where: str) -> None:
    if split.n_cuts > 1:
        todo = "Remove it, or fit and evaluate each split of matinee.split.temporal.Temporal(…).splits(log) in Python."
        raise SpecError(f"{where}: split.origins", f"found {split.n_cuts}", "1, an experiment has one origin", todo)


def _check_members(experiment: Experiment, where: str) -> None:
    """Raise an error for a submission or a member that is no model of this experiment."""
    kinds = {spec.kind for spec in experiment.model}
    ensemble, submission = experiment.ensemble, experiment.submission
    for member in ensemble.members if ensemble is not None else ():
        if member not in kinds and not any(member.startswith(f"{kind}-") for kind in kinds):
            raise UnknownNameError("model in this experiment", member, kinds, f"{where}: ensemble.members")
    combined = ensemble is not None or max(experiment.seed_counts) > 1
    known = {"best", *kinds, *(["ensemble"] if combined else [])}
    if submission is not None and submission.model not in known:
        raise UnknownNameError("model", submission.model, known, f"{where}: submission.model")


def check_support(spec: ModelSpec, split: SplitSpec, where: str) -> None:
    """Raise `SpecError` for a split with queries that the model cannot score."""
    if spec.query_by == "user_id" and split.may_query_new_users:
        found = f"it scores known users only, and the split {split.kind} queries users without training interactions"
        raise SpecError(where, found, "a model that scores a history", "Use another model, or another split.")


def _check_files(submission: Submission, where: str) -> None:
    """Raise an error for a submission that cannot be written, or target users that cannot be read."""
    path = Path(submission.path).expanduser()
    try:
        if path.is_dir():
            raise SpecError(f"{where}.path", f"{path} is a folder", "the name of a file")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise SpecError(f"{where}.path", f"{folder} is not a folder", "a file in a folder")
        if submission.users is not None and not Path(submission.users).is_file():
            raise SpecError(f"{where}.users", f"there is no file {submission.users}", "a file with a column of users")
    except OSError as error:
        raise SpecError(where, f"a path cannot be used ({error.strerror})", "paths of files") from None


def _table(tables: Mapping[str, Any], name: str, where: str, default: Any = None) -> Mapping[str, Any]:
    if name not in tables and default is None:
        raise SpecError(where, f"there is no table [{name}]", f"a table [{name}] with a kind")
    return as_table(tables.get(name, default), f"{where}: {name}")


def schema() -> dict[str, Any]:
    """The JSON schema of an experiment file: every kind with its options, ranges and descriptions."""
    from matinee.data.read import data_kinds

    frame = Experiment.model_json_schema()
    frame["properties"]["data"] = {"oneOf": [_kind_schema(kind, cls) for kind, cls in data_kinds().items()]}
    protocols = [_kind_schema(kind, PROTOCOLS.get(kind)) for kind in PROTOCOLS.names()]
    frame["properties"]["split"] = {"oneOf": protocols}
    seeds = {"seeds": frame["properties"].pop("seeds")["items"]}
    model_kinds = [_kind_schema(kind, models.get(kind), seeds) for kind in models.kinds()]
    frame["properties"]["model"] = {"type": "array", "minItems": 1, "items": {"oneOf": model_kinds}}
    ensemble = _ensemble_schema()
    searches = [_kind_schema(kind, WEIGHT_SEARCHES.get(kind), ensemble) for kind in WEIGHT_SEARCHES.names()]
    frame["properties"]["ensemble"] = {"oneOf": searches}
    frame["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return frame


def _kind_schema(kind: str, cls: type[Spec], more: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    schema = cls.model_json_schema()
    schema["properties"] = {"kind": {"const": kind}, **schema.get("properties", {}), **more}
    schema["required"] = ["kind", *schema.get("required", [])]
    return schema


def _ensemble_schema() -> dict[str, Any]:
    """The options of an [ensemble] table beside those of its weight search."""
    options = EnsembleSpec.model_json_schema()["properties"]
    rule, gate = ([_named(kinds, kind) for kind in kinds.names()] for kinds in (RULES, GATES))
    return {
        **{name: options[name] for name in ("members", "depths", "folds")},
        "depth": options["depths"]["items"],
        "rule": {"oneOf": rule},
        "rules": {"type": "array", "minItems": 1, "items": {"oneOf": rule}},
        "gate": {"oneOf": gate},
    }


def _named(kinds: Registry[Any], kind: str) -> dict[str, Any]:
    """The schema of a kind by its name alone, or as a table."""
    return {"anyOf": [{"const": kind}, _kind_schema(kind, kinds.get(kind))]}
