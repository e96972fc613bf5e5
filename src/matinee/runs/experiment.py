"""An experiment: what a TOML file says, checked whole before anything is computed."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, cast

from pydantic import Field, SerializeAsAny

from matinee import models
from matinee.contract import ModelSpec, Task
from matinee.data.read import data_spec
from matinee.data.source import DataSpec
from matinee.ensemble.choosers import CHOOSERS
from matinee.ensemble.gates import GATES
from matinee.ensemble.plan import Plan
from matinee.ensemble.plan import read as read_plan
from matinee.ensemble.rules import RULES
from matinee.errors import SpecError, UnknownName
from matinee.metrics import parse
from matinee.metrics.evaluation import check
from matinee.spec import Kinds, Spec, build
from matinee.split import PROTOCOLS, SplitSpec

PARTS = ("data", "split", "model", "task", "ensemble")
"""The tables of an experiment that are read by rooms of their own."""


class Submission(Spec):
    """What to deliver when the experiment is done."""

    path: str
    """Where to write it: .csv or .parquet."""

    model: str = "best"
    """The kind of the model to submit, or ensemble; best is the one ahead on the task's metric."""

    users: str | None = None
    """A file with the users to deliver lists for, in that order; nothing means every user of the log."""


class Experiment(Spec):
    """Data, task, split and models: all that decides the numbers, and nothing else."""

    seed: int = 0
    """Seed of the split's draws and of every fit."""

    data: SerializeAsAny[DataSpec]
    """The log: a named data set or a reader with its path."""

    task: Task = Task()
    """What has to be delivered and how it is judged."""

    split: SerializeAsAny[SplitSpec]
    """What is held out."""

    model: tuple[SerializeAsAny[ModelSpec], ...] = Field(min_length=1)
    """The models to fit; popularity is always among them, as the baseline."""

    seeds: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """With how many seeds each model is fitted; in a file, a key `seeds` of the model's table. Nothing means one."""

    ensemble: Plan | None = None
    """How the models' lists are combined; nothing means not at all."""

    submission: Submission | None = None
    """What to deliver at the end; nothing means no file."""

    keep_models: bool = True
    """Whether run folders keep the fitted models, which can be large."""

    def written(self) -> dict[str, Any]:
        """What a file would say, kinds included."""
        return {
            **self.model_dump(mode="json", exclude={"data", "split", "model", "seeds", "ensemble"}),
            "data": self.data.written(),
            "split": self.split.written(),
            "model": [
                {**spec.written(), **({"seeds": n} if n > 1 else {})}
                for spec, n in zip(self.model, self.counts, strict=True)
            ],
            **({} if self.ensemble is None else {"ensemble": self.ensemble.written()}),
        }

    @property
    def counts(self) -> tuple[int, ...]:
        """With how many seeds each model is fitted, one number a model."""
        return self.seeds or (1,) * len(self.model)

    def fits(self) -> list[tuple[ModelSpec, int]]:
        """Every fit there is to do: a spec and a seed."""
        return [(spec, self.seed + i) for spec, n in zip(self.model, self.counts, strict=True) for i in range(n)]


def load(path: str | Path, changes: tuple[str, ...] = ()) -> Experiment:
    """The experiment of a TOML file, with `--set` changes applied."""
    path = Path(path)
    if not path.is_file():
        raise SpecError(str(path), "there is no such file", "an experiment file (TOML)", "See examples/ for some.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(str(path), f"it is not TOML ({error})", "an experiment file like those in examples/") from None
    return read(values, str(path), changes)


def read(values: Mapping[str, Any], where: str, changes: tuple[str, ...] = ()) -> Experiment:
    """An experiment from plain tables. Every error names the file, the table and the key."""
    tables = dict(values)
    for change in changes:
        tables = changed(tables, change)
    wanted = _models(tables, where)
    plan = tables.get("ensemble")
    split = PROTOCOLS.read(_table(tables, "split", where), f"{where}: split")
    if split.seed is None:
        split = split.model_copy(update={"seed": tables.get("seed", 0)})
    rest = {name: value for name, value in tables.items() if name not in PARTS}
    task = build(Task, _table(tables, "task", where, {}), f"{where}: task")
    data = data_spec(_table(tables, "data", where), f"{where}: data")
    listed, seeds = zip(*wanted, strict=True)
    rest |= {"data": data, "split": split, "model": listed, "seeds": seeds, "task": task}
    if plan is not None:
        rest["ensemble"] = read_plan(_as_table(plan, f"{where}: ensemble"), f"{where}: ensemble")
    experiment = build(Experiment, rest, where)
    check([task.metric, *task.also], task.profile, max(task.k, task.depth))
    if not parse(task.metric).per_user:
        found = f"{task.metric} is one number for all lists together"
        raise SpecError(f"{where}: task.metric", found, "a metric with a value a person", "Put it under task.also.")
    known = {"best", *(m.kind for m in experiment.model)}
    known |= {"ensemble"} if plan is not None or max(experiment.seeds) > 1 else set()
    if experiment.submission and experiment.submission.model not in known:
        raise UnknownName("model", experiment.submission.model, known, f"{where}: submission.model")
    return experiment


def _models(tables: Mapping[str, Any], where: str) -> list[tuple[ModelSpec, int]]:
    """The models, each once, and with how many seeds each is fitted."""
    listed = tables.get("model")
    if not isinstance(listed, list) or not listed:
        raise SpecError(f"{where}: model", "no model is listed", "one table [[model]] with a kind for each model")
    found: list[tuple[ModelSpec, int]] = []
    for n, row in enumerate(cast("list[Any]", listed), 1):
        knobs = dict(_as_table(row, where))
        seeds = knobs.pop("seeds", 1)
        if not isinstance(seeds, int) or isinstance(seeds, bool) or seeds < 1:
            raise SpecError(f"{where}: model {n}.seeds", f"found {seeds!r}", "a whole number of at least 1")
        spec = models.CATALOGUE.read(knobs, f"{where}: model {n}")
        if all(spec != other for other, _ in found):
            found.append((spec, seeds))
    if not any(spec.kind == "popularity" for spec, _ in found):
        found.insert(0, (models.get("popularity")(), 1))
    return found


def _table(tables: Mapping[str, Any], name: str, where: str, default: Any = None) -> Mapping[str, Any]:
    if name not in tables and default is None:
        raise SpecError(where, f"there is no table [{name}]", f"a table [{name}] with a kind")
    return _as_table(tables.get(name, default), f"{where}: {name}")


def _as_table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(where, f"found {value!r}", "a table of knobs")
    return cast("Mapping[str, Any]", value)


def changed(tables: Mapping[str, Any], change: str) -> dict[str, Any]:
    """The tables after one `--set path=value`: `task.k=20`, `seed=3`, `model.ease.l2=200` (every ease listed)."""
    path, equals, text = change.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise SpecError("--set", f"found {change!r}", "path=value, as in task.k=20 or model.ease.l2=200")
    value = _value(text.strip())
    if keys[0] == "model":
        return {**tables, "model": _changed_models(tables, keys[1:], value)}
    return _changed_table(tables, keys, value)


def _changed_table(table: Mapping[str, Any], keys: list[str], value: Any) -> dict[str, Any]:
    if len(keys) == 1:
        return {**table, keys[0]: value}
    inner = table.get(keys[0], {})
    return {**table, keys[0]: _changed_table(_as_table(inner, f"--set {'.'.join(keys)}"), keys[1:], value)}


def _changed_models(tables: Mapping[str, Any], keys: list[str], value: Any) -> list[Any]:
    rows = cast("list[dict[str, Any]]", tables.get("model", []))
    kinds = {str(row.get("kind")) for row in rows}
    if len(keys) < 2:
        raise SpecError("--set model", "no knob is named", "model.<kind>.<knob>=value")
    if keys[0] not in kinds:
        raise UnknownName("model in this experiment", keys[0], kinds, "--set")
    return [_changed_table(row, keys[1:], value) if row.get("kind") == keys[0] else row for row in rows]


def _value(text: str) -> Any:
    """A TOML value; what is none is taken as text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


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
    choosers = [_kind_schema(kind, CHOOSERS.get(kind), plan) for kind in CHOOSERS.names()]
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
    said = Plan.model_json_schema()["properties"]
    rule, gate = ([_named(room, kind) for kind in room.names()] for room in (RULES, GATES))
    return {
        **{name: said[name] for name in ("members", "depths", "folds")},
        "depth": said["depths"]["items"],
        "rule": {"oneOf": rule},
        "rules": {"type": "array", "minItems": 1, "items": {"oneOf": rule}},
        "gate": {"oneOf": gate},
    }


def _named(room: Kinds[Any], kind: str) -> dict[str, Any]:
    """A kind by its name alone, or as a table."""
    return {"anyOf": [{"const": kind}, _kind_schema(kind, room.get(kind))]}
