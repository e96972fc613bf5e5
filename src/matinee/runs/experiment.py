"""An experiment: what a TOML file says, checked whole before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

from pydantic import Field, SerializeAsAny, field_validator

from matinee import models
from matinee.contract import ModelSpec, Task
from matinee.data.read import data_spec
from matinee.data.source import DataSpec
from matinee.ensemble.ensemble_spec import EnsembleSpec
from matinee.ensemble.ensemble_spec import read_ensemble as read_plan
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
"""The tables of an experiment that are read by rooms of their own."""


class Submission(Spec):
    """What to deliver when the experiment is done."""

    path: Annotated[str, Field(min_length=1)]
    """Where to write it: .csv or .parquet."""

    model: str = "best"
    """The kind of the model to submit, or ensemble; best is the one ahead on the task's metric."""

    users: str | None = None
    """A file with the users to deliver lists for, in that order; nothing means every user of the log."""

    @field_validator("path")
    @classmethod
    def _format(cls, path: str) -> str:
        if Path(path).suffix not in (".csv", ".parquet"):
            raise ValueError("a name that ends in .csv or .parquet")
        return path


Repeats: TypeAlias = Annotated[int, Field(ge=1, le=100)]
"""With how many seeds a model is fitted."""


class Experiment(Spec):
    """Data, task, split and models: all that decides the numbers, and nothing else."""

    seed: Seed = 0
    """Seed of the split's draws and of every fit."""

    data: SerializeAsAny[DataSpec]
    """The log: a named data set or a reader with its path."""

    task: Task = Task()
    """What has to be delivered and how it is judged."""

    split: SerializeAsAny[SplitSpec]
    """What is held out."""

    model: tuple[SerializeAsAny[ModelSpec], ...] = Field(min_length=1)
    """The models to fit; popularity is always among them, as the baseline."""

    seeds: tuple[Repeats, ...] = ()
    """With how many seeds each model is fitted; in a file, a key `seeds` of the model's table. Nothing means one."""

    ensemble: EnsembleSpec | None = None
    """How the models' lists are combined; nothing means not at all."""

    submission: Submission | None = None
    """What to deliver at the end; nothing means no file."""

    keep_models: bool = True
    """Whether run folders keep the fitted models, which can be large."""

    def to_dict(self) -> dict[str, Any]:
        """What a file would say, kinds included."""
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
        """With how many seeds each model is fitted, one number a model."""
        return self.seeds or (1,) * len(self.model)

    def fits(self) -> list[tuple[ModelSpec, int]]:
        """Every fit there is to do: a spec and a seed."""
        return [(spec, self.seed + i) for spec, n in zip(self.model, self.seed_counts, strict=True) for i in range(n)]


def load_experiment(path: str | Path, changes: tuple[str, ...] = ()) -> Experiment:
    """The experiment of a TOML file, with `--set` changes applied."""
    path = Path(path)
    experiment = read_experiment(load_tables(path), str(path), changes)
    if experiment.submission is not None:
        _check_files(experiment.submission, f"{path}: submission")
    return experiment


def read_experiment(values: Mapping[str, Any], where: str, changes: tuple[str, ...] = ()) -> Experiment:
    """An experiment from plain tables. Every error names the file, the table and the option."""
    tables = dict(values)
    for change in changes:
        tables = apply_change(tables, change)
    check_plain(tables, where)
    _check_names(tables, where)
    listed, seeds = zip(*_models(tables, where), strict=True)
    split = PROTOCOLS.read(_table(tables, "split", where), f"{where}: split")
    task = build(Task, _table(tables, "task", where, {}), f"{where}: task")
    rest = {name: value for name, value in tables.items() if name not in SECTIONS}
    rest |= {"data": _data(tables, where), "split": split, "model": listed, "seeds": seeds, "task": task}
    if "ensemble" in tables:
        rest["ensemble"] = read_plan(_table(tables, "ensemble", where), f"{where}: ensemble")
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
    """Refuse tables and options that no experiment has, before what they were meant for is missed."""
    known = sorted(Experiment.model_fields.keys() - {"seeds"})
    for name, value in tables.items():
        if name == "seeds":
            found = "it is given for the whole experiment"
            raise SpecError(f"{where}: seeds", found, "seeds in the table of a model", "Write it under its [[model]].")
        if name not in known:
            raise UnknownNameError("table" if isinstance(value, Mapping) else "option", name, known, where)


def _data(tables: Mapping[str, Any], where: str) -> DataSpec:
    try:
        return data_spec(_table(tables, "data", where), f"{where}: data")
    except OSError as error:  # of a path that is looked at to guess its kind
        raise SpecError(f"{where}: data", f"the path cannot be read ({error.strerror})", "a file or a folder") from None


def _models(tables: Mapping[str, Any], where: str) -> list[tuple[ModelSpec, int]]:
    """The models, each once, and with how many seeds each is fitted."""
    found: list[tuple[ModelSpec, int]] = []
    for n, row in enumerate(model_tables(tables, where), 1):
        place, options = f"{where}: model {n}", dict(row)
        seeds = build(_Seeds, {"seeds": options.pop("seeds", 1)}, place).seeds
        spec = models.CATALOGUE.read(options, place)
        if seeds > 1 and not spec.is_random:
            found_seeds = f"seeds = {seeds}, and {spec.kind} draws no random numbers, so all fits are the same"
            raise SpecError(place, found_seeds, "one fit", "Remove seeds.")
        if all(spec != other for other, _ in found):
            found.append((spec, seeds))
    if not any(spec.kind == "popularity" for spec, _ in found):
        found.insert(0, (models.get("popularity")(), 1))
    return found


class _Seeds(Spec):
    """What a table [[model]] holds beside the model's own options."""

    seeds: Repeats = 1
    """With how many seeds the model is fitted."""


def _check_task(task: Task, where: str) -> None:
    check_metrics([task.metric, *task.extra_metrics], task.profile, max(task.k, task.stored_k))
    if not parse(task.metric).per_user:
        found = f"{task.metric} is one number for all lists together"
        raise SpecError(
            f"{where}: task.metric", found, "a metric with a value a person", "Put it under task.extra_metrics."
        )


def _check_split(split: SplitSpec, where: str) -> None:
    if split.n_cuts > 1:
        todo = "Remove it, or fit and evaluate each split of matinee.split.temporal.Temporal(…).cuts(log) in Python."
        raise SpecError(f"{where}: split.origins", f"found {split.n_cuts}", "1, an experiment has one origin", todo)


def _check_members(experiment: Experiment, where: str) -> None:
    """Refuse a submission, or a member of the ensemble, that is no model of this experiment."""
    kinds = {spec.kind for spec in experiment.model}
    plan, submission = experiment.ensemble, experiment.submission
    for member in plan.members if plan is not None else ():
        if member not in kinds and not any(member.startswith(f"{kind}-") for kind in kinds):
            raise UnknownNameError("model in this experiment", member, kinds, f"{where}: ensemble.members")
    combined = plan is not None or max(experiment.seed_counts) > 1
    known = {"best", *kinds, *(["ensemble"] if combined else [])}
    if submission is not None and submission.model not in known:
        raise UnknownNameError("model", submission.model, known, f"{where}: submission.model")


def check_support(spec: ModelSpec, split: SplitSpec, where: str) -> None:
    """Refuse a split whose queries a model cannot answer, before the log is read."""
    if spec.query_by == "user_id" and split.may_query_new_users:
        found = f"it scores known users only, and the split {split.kind} queries users without training interactions"
        raise SpecError(where, found, "a model that scores a history", "Use another model, or another split.")


def _check_files(submission: Submission, where: str) -> None:
    """Refuse now a submission that could not be written, and users that could not be read, after all fits."""
    path = Path(submission.path).expanduser()
    try:
        if path.is_dir():
            raise SpecError(f"{where}.path", f"{path} is a folder", "the name of a file")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise SpecError(f"{where}.path", f"{folder} is no folder", "a file in a folder")
        if submission.users is not None and not Path(submission.users).is_file():
            raise SpecError(f"{where}.users", f"there is no file {submission.users}", "a file with a column of users")
    except OSError as error:
        raise SpecError(where, f"a path cannot be used ({error.strerror})", "paths of files") from None


def _table(tables: Mapping[str, Any], name: str, where: str, default: Any = None) -> Mapping[str, Any]:
    if name not in tables and default is None:
        raise SpecError(where, f"there is no table [{name}]", f"a table [{name}] with a kind")
    return as_table(tables.get(name, default), f"{where}: {name}")


def schema() -> dict[str, Any]:
    """The JSON schema of an experiment file: every kind that exists, with its knobs, ranges and sentences."""
    from matinee.data.read import data_kinds

    frame = Experiment.model_json_schema()
    frame["properties"]["data"] = {"oneOf": [_kind_schema(kind, cls) for kind, cls in data_kinds().items()]}
    protocols = [_kind_schema(kind, PROTOCOLS.get(kind)) for kind in PROTOCOLS.names()]
    frame["properties"]["split"] = {"oneOf": protocols}
    seeds = {"seeds": frame["properties"].pop("seeds")["items"]}
    zoo = [_kind_schema(kind, models.get(kind), seeds) for kind in models.kinds()]
    frame["properties"]["model"] = {"type": "array", "minItems": 1, "items": {"oneOf": zoo}}
    plan = _plan_schema()
    choosers = [_kind_schema(kind, WEIGHT_SEARCHES.get(kind), plan) for kind in WEIGHT_SEARCHES.names()]
    frame["properties"]["ensemble"] = {"oneOf": choosers}
    frame["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return frame


def _kind_schema(kind: str, cls: type[Spec], more: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    said = cls.model_json_schema()
    said["properties"] = {"kind": {"const": kind}, **said.get("properties", {}), **more}
    said["required"] = ["kind", *said.get("required", [])]
    return said


def _plan_schema() -> dict[str, Any]:
    """What an [ensemble] table may say beside its chooser's knobs."""
    said = EnsembleSpec.model_json_schema()["properties"]
    rule, gate = ([_named(room, kind) for kind in room.names()] for room in (RULES, GATES))
    return {
        **{name: said[name] for name in ("members", "depths", "folds")},
        "depth": said["depths"]["items"],
        "rule": {"oneOf": rule},
        "rules": {"type": "array", "minItems": 1, "items": {"oneOf": rule}},
        "gate": {"oneOf": gate},
    }


def _named(room: Registry[Any], kind: str) -> dict[str, Any]:
    """A kind by its name alone, or as a table."""
    return {"anyOf": [{"const": kind}, _kind_schema(kind, room.get(kind))]}
