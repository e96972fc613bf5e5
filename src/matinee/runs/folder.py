"""A run: the folder with the lists of one producer on one split, written once.

    run.json           producer, task, split, metrics, seconds and findings (`RunRecord`)
    run.sha256         the hash of run.json, which has those of all other files
    catalogue.parquet  one row an item: item, title (null if unknown), available, popularity (users of the training set)
    lists.parquet      user, item [list], score [list]: raw ids, best first, at most `task.stored_k` items
    metrics.parquet    one row a user: value and weight of every metric and part
    log.jsonl          one line a stage, with seconds; one an epoch, with loss and validation metric (`runs.log`)
    model/             the fitted model, without pickle

Leaderboards, ensembles, reports and services read only this folder.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError

from matinee import models
from matinee.contract import FittedModel
from matinee.data import Interactions, Vocabulary
from matinee.errors import MatineeError, RunError
from matinee.metrics import Evaluation, parse
from matinee.metrics.user_values import Key, UserValues
from matinee.metrics.values import MetricValues
from matinee.observer import SILENT, Observer
from matinee.runs.files import damaged_file
from matinee.runs.producer import Producer
from matinee.runs.producers.model import ModelProducer
from matinee.runs.record import FORMAT, EvaluationMeta, RunRecord
from matinee.topk import TopK

RUN, CHECKSUM = "run.json", "run.sha256"
LISTS, METRICS, CATALOGUE = "lists.parquet", "metrics.parquet", "catalogue.parquet"

RERUN_HINT = "Delete the folder and run the experiment again."


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run folder; `record` is its run.json."""

    folder: Path
    record: RunRecord

    @property
    def name(self) -> str:
        """The folder's name: kind and cache key."""
        return self.folder.name

    @property
    def producer(self) -> Producer:
        """The origin of the lists."""
        return self.record.producer

    @property
    def kind(self) -> str:
        """The kind of the model; of imported lists, their name."""
        return self.producer.label

    @property
    def params(self) -> dict[str, Any]:
        """All hyperparameters of the model, or options of the ensemble."""
        return self.producer.options

    @property
    def split(self) -> str:
        """The fingerprint of the split; only runs with the same one may be compared."""
        return self.record.split.fingerprint

    @cached_property
    def evaluation(self) -> Evaluation:
        """The metrics of every user, from which intervals and comparisons are computed."""
        frame = self._table(METRICS)
        try:
            return read_evaluation(frame, self.record.evaluation)
        except (KeyError, ValueError, pl.exceptions.PolarsError) as error:
            raise _unreadable(self.folder / METRICS, error) from None

    def lists(self, users: Vocabulary, items: Vocabulary) -> TopK:
        """The ranked lists in codes of the given vocabularies."""
        frame = self._table(LISTS)
        try:
            return read_lists(frame, users, items)
        except (ValueError, pl.exceptions.PolarsError) as error:
            raise _unreadable(self.folder / LISTS, error) from None

    def catalogue(self) -> pl.DataFrame:
        """One row an item: item, title (null if unknown), available, popularity."""
        return self._table(CATALOGUE)

    def model(self) -> FittedModel:
        """The fitted model."""
        if not isinstance(self.producer, ModelProducer):
            found = "it holds lists without a model"
            raise RunError(self.folder, found, "Name a run of a model, as `matinee leaderboard` lists them.")
        if not self.has_model:
            raise RunError(self.folder, "its model was not kept", "Run the experiment again with keep_models = true.")
        self.verify("model/")
        return models.load(self.folder / "model")

    @property
    def has_model(self) -> bool:
        """Whether the fitted model was kept."""
        return any(name.startswith("model/") for name in self.record.files)

    def verify(self, start: str = "") -> None:
        """Raise `RunError` if a file with a path that starts with `start` is damaged."""
        files = {name: known for name, known in self.record.files.items() if name.startswith(start)}
        name = damaged_file(self.folder, files)
        if name is not None:
            raise RunError(self.folder / name, "it is damaged: size or hash is not that in run.json", RERUN_HINT)

    def _table(self, name: str) -> pl.DataFrame:
        self.verify(name)
        try:
            return pl.read_parquet(self.folder / name, glob=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unreadable(self.folder / name, error) from None


def _unreadable(path: Path, error: Exception) -> RunError:
    return RunError(path, f"it cannot be read ({type(error).__name__}: {error})", RERUN_HINT)


def open_run(folder: str | Path) -> Run:
    """The run in a folder.

    Verifies run.json, and that the other files exist; their content is verified when it is read. Raises `RunError` if
    the folder holds no finished run, is damaged, or has another format.
    """
    folder = Path(folder)
    path = folder / RUN
    if not path.is_file():
        raise RunError(folder, "there is no run.json in it", "Name a run folder, as `matinee leaderboard` lists them.")
    try:
        content = path.read_bytes()
        values = json.loads(content)
        found = values["format"]
        record = RunRecord.model_validate(values) if found == FORMAT else None
        intact = record is None or (folder / CHECKSUM).read_bytes() == checksum_text(content).encode()
    except ValidationError as error:
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise RunError(path, f"it is damaged ({found})", RERUN_HINT) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MatineeError) as error:
        raise RunError(path, f"it is damaged ({type(error).__name__}: {error})", RERUN_HINT) from None
    if record is None:
        raise RunError(folder, f"it was written in format {found}, this version reads format {FORMAT}", RERUN_HINT)
    if not intact:
        raise RunError(path, f"it is damaged: its hash is not that in {CHECKSUM}", RERUN_HINT)
    missing = [name for name in record.files if not (folder / name).is_file()]
    if missing:
        raise RunError(folder, f"it is damaged: {', '.join(sorted(missing))} missing", RERUN_HINT)
    return Run(folder, record)


def checksum_text(content: bytes, name: str = RUN) -> str:
    """The hash of a file's content, in the format of `sha256sum`."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n"


def runs_in(root: str | Path, observer: Observer = SILENT) -> list[Run]:
    """The finished runs under `root`, oldest first; unreadable ones are skipped with a warning."""
    root = Path(root)
    runs: list[Run] = []
    for path in sorted(root.glob(f"*/{RUN}")) if root.is_dir() else []:
        try:
            runs.append(open_run(path.parent))
        except RunError as error:
            observer.message(f"warning: skipped: {error}")
    return sorted(runs, key=lambda run: (run.record.created, run.name))


def lists_frame(lists: TopK) -> pl.DataFrame:
    """The frame of `lists.parquet`: one row a user, without padding."""
    lengths = lists.length
    filled = lists.item >= 0
    row = np.repeat(np.arange(len(lists)), lengths)
    flat = pl.DataFrame(
        {"row": row, "item": lists.items.decode(lists.item[filled]), "score": pl.Series(lists.score[filled])}
    )
    packed = flat.group_by("row", maintain_order=True).agg("item", "score")
    users = pl.DataFrame({"row": np.arange(len(lists)), "user": lists.users.decode(lists.user)})
    return users.join(packed, on="row", how="left", maintain_order="left").drop("row")


def read_lists(frame: pl.DataFrame, users: Vocabulary, items: Vocabulary) -> TopK:
    """Lists from the frame of `lists.parquet`. Raises `ValueError` for unknown users and items."""
    lengths = frame["item"].list.len().fill_null(0).to_numpy().astype(np.int64)
    m, k = len(frame), int(lengths.max(initial=1))
    flat = frame.select(pl.col("item").explode(empty_as_null=False, keep_nulls=False))["item"]
    score = frame.select(pl.col("score").explode(empty_as_null=False, keep_nulls=False))["score"]
    code, user = items.encode(flat), users.encode(frame["user"])
    if (code < 0).any() or (user < 0)[frame["user"].is_not_null().to_numpy()].any():
        raise ValueError("ids that the log lacks")
    row = np.repeat(np.arange(m), lengths)
    at = np.arange(len(code)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    item = np.full((m, k), -1, dtype=np.int32)
    scores = np.full((m, k), -np.inf, dtype=np.float32)
    item[row, at], scores[row, at] = code, score.to_numpy()
    return TopK(user, item, scores, users, items)


def catalogue_frame(train: Interactions, available: NDArray[np.bool_] | None) -> pl.DataFrame:
    """The items of a training set; `available` (n_items,) may be listed, None means all."""
    titles = pl.repeat(None, train.n_items, dtype=pl.String, eager=True) if train.titles is None else train.titles
    return pl.DataFrame(
        {
            "item": train.items.ids,
            "title": titles,
            "available": np.ones(train.n_items, dtype=np.bool_) if available is None else available,
            "popularity": train.popularity,
        }
    )


def metrics_frame(evaluation: Evaluation) -> pl.DataFrame:
    """The frame of `metrics.parquet`: a value and a weight column a metric and part."""
    table = evaluation.table
    columns: dict[str, Any] = {"user": table.users.decode(table.user), "has_list": table.has_list}
    columns |= {f"has_target|{part}": mask for part, mask in table.has_target.items()}
    for (part, metric), column in table.columns.items():
        columns |= {f"value|{part}|{metric}": column.value, f"weight|{part}|{metric}": column.weight}
    return pl.DataFrame(columns)


def evaluation_meta(evaluation: Evaluation) -> EvaluationMeta:
    """The part of an evaluation that is not in `metrics.parquet`."""
    return EvaluationMeta(
        names=evaluation.names,
        parts=evaluation.parts,
        profile=evaluation.profile,
        catalogue=dict(evaluation.catalogue),
        n_queries=evaluation.table.n_queries,
        resamples=evaluation.table.resamples,
        seed=evaluation.table.seed,
    )


def read_evaluation(frame: pl.DataFrame, meta: EvaluationMeta) -> Evaluation:
    """The evaluation from `metrics_frame` and `evaluation_meta`, over the users in it."""
    columns: dict[Key, MetricValues] = {}
    for name in frame.columns:
        if name.startswith("value|"):
            _, part, metric = name.split("|")
            weight = frame[f"weight|{part}|{metric}"].to_numpy()
            columns[part, parse(metric).metrics[0]] = MetricValues(frame[name].to_numpy(), weight)
    has_target = {
        name.split("|")[1]: frame[name].to_numpy() for name in frame.columns if name.startswith("has_target|")
    }
    users = Vocabulary.of(frame["user"])
    table = UserValues(
        users.encode(frame["user"]),
        users,
        frame["has_list"].to_numpy(),
        has_target,
        columns,
        meta.n_queries,
        meta.resamples,
        meta.seed,
    )
    return Evaluation(meta.names, meta.parts, meta.profile, table, meta.catalogue)
