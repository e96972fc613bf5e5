"""A run: the folder in which everything about one set of lists on one split is written once.

    run.json         what made the lists, the rules, what came out, how long it took, what checks found (`RunRecord`)
    run.sha256       the hash of run.json, which has those of all other files
    catalogue.parquet  one row an item: item, title, available, popularity (users of the training set)
    lists.parquet    user, item [list], score [list]: raw ids, best first, `task.depth` deep
    metrics.parquet  one row a person: value and weight of every metric and part
    log.jsonl        one line a stage, with seconds; one a training, with losses and looks at the stop fold
    model/           the fitted model, without pickle

All that comes later (board, ensembles, reports, services) reads only this.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
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
        """What made the lists."""
        return self.record.producer

    @property
    def kind(self) -> str:
        """The kind of the model; of lists made elsewhere, the name they were given."""
        return self.producer.label

    @property
    def params(self) -> dict[str, Any]:
        """The model's knobs, all of them."""
        return self.producer.options

    @property
    def split(self) -> str:
        """The fingerprint of the split; only runs with the same one may be compared."""
        return self.record.split.fingerprint

    @cached_property
    def evaluation(self) -> Evaluation:
        """The numbers a person, as when they were computed: intervals and comparisons come from here."""
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
        """The items that lists are made of: item, title, available, popularity."""
        return self._table(CATALOGUE)

    def model(self) -> FittedModel:
        """The fitted model."""
        if not isinstance(self.producer, ModelProducer):
            found = "it is made of lists, there is no model in it"
            raise RunError(self.folder, found, "Name a run of a model, as `matinee leaderboard` lists them.")
        if not self.has_model:
            raise RunError(self.folder, "it kept no model", "Run the experiment again with keep_models = true.")
        self.verify("model/")
        return models.load(self.folder / "model")

    @property
    def has_model(self) -> bool:
        """Whether the fitted model was kept."""
        return any(name.startswith("model/") for name in self.record.files)

    def verify(self, start: str = "") -> None:
        """Raise `RunError` for a file, of those whose path starts so, that is not as it was written."""
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
    """The run in a folder. Raises `RunError` where the folder is no finished run, damaged, or of another version.

    Verifies run.json, and that the other files are there; their content is verified when it is read.
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


def checksum_text(content: bytes) -> str:
    """The content of `run.sha256`, as `sha256sum` writes it."""
    return f"{hashlib.sha256(content).hexdigest()}  {RUN}\n"


def _silent(line: str) -> None:
    """Discards a warning: the default."""


def runs_in(root: str | Path, say: Callable[[str], None] = _silent) -> list[Run]:
    """The finished runs directly under `root`, oldest first. One that cannot be read is skipped with a warning."""
    root = Path(root)
    found: list[Run] = []
    for path in sorted(root.glob(f"*/{RUN}")) if root.is_dir() else []:
        try:
            found.append(open_run(path.parent))
        except RunError as error:
            say(f"warning: skipped: {error}")
    return sorted(found, key=lambda run: (run.record.created, run.name))


def lists_frame(lists: TopK) -> pl.DataFrame:
    """Lists as `lists.parquet` holds them: one row a person; padding is left out."""
    lengths = lists.length
    there = lists.item >= 0
    row = np.repeat(np.arange(len(lists)), lengths)
    flat = pl.DataFrame(
        {"row": row, "item": lists.items.decode(lists.item[there]), "score": pl.Series(lists.score[there])}
    )
    packed = flat.group_by("row", maintain_order=True).agg("item", "score")
    users = pl.DataFrame({"row": np.arange(len(lists)), "user": lists.users.decode(lists.user)})
    return users.join(packed, on="row", how="left", maintain_order="left").drop("row")


def read_lists(frame: pl.DataFrame, users: Vocabulary, items: Vocabulary) -> TopK:
    """Lists from a frame of `lists_frame`'s shape; unknown users and items raise ValueError."""
    lengths = frame["item"].list.len().fill_null(0).to_numpy().astype(np.int64)
    m, k = len(frame), int(lengths.max(initial=1))
    flat = frame.select(pl.col("item").explode(empty_as_null=False, keep_nulls=False))["item"]
    score = frame.select(pl.col("score").explode(empty_as_null=False, keep_nulls=False))["score"]
    code, user = items.encode(flat), users.encode(frame["user"])
    if (code < 0).any() or (user < 0)[frame["user"].is_not_null().to_numpy()].any():
        raise ValueError("ids that the data does not have")
    row = np.repeat(np.arange(m), lengths)
    at = np.arange(len(code)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    item = np.full((m, k), -1, dtype=np.int32)
    scores = np.full((m, k), -np.inf, dtype=np.float32)
    item[row, at], scores[row, at] = code, score.to_numpy()
    return TopK(user, item, scores, users, items)


def catalogue_frame(train: Interactions, available: NDArray[np.bool_] | None) -> pl.DataFrame:
    """The items of a training set; `available` (n_items,) are those that may be listed, None means all."""
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
    """Values and weights a person, one pair of columns a metric and part."""
    table = evaluation.table
    columns: dict[str, Any] = {"user": table.users.decode(table.user), "listed": table.has_list}
    columns |= {f"answered|{part}": mask for part, mask in table.has_target.items()}
    for (part, metric), column in table.columns.items():
        columns |= {f"value|{part}|{metric}": column.value, f"weight|{part}|{metric}": column.weight}
    return pl.DataFrame(columns)


def evaluation_meta(evaluation: Evaluation) -> EvaluationMeta:
    """What `metrics.parquet` does not hold of an evaluation."""
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
    """The evaluation that `metrics_frame` and `evaluation_meta` were made from, over the people in it alone."""
    columns: dict[Key, MetricValues] = {}
    for name in frame.columns:
        if name.startswith("value|"):
            _, part, metric = name.split("|")
            weight = frame[f"weight|{part}|{metric}"].to_numpy()
            columns[part, parse(metric).metrics[0]] = MetricValues(frame[name].to_numpy(), weight)
    answered = {name.split("|")[1]: frame[name].to_numpy() for name in frame.columns if name.startswith("answered|")}
    users = Vocabulary.of(frame["user"])
    table = UserValues(
        users.encode(frame["user"]),
        users,
        frame["listed"].to_numpy(),
        answered,
        columns,
        meta.n_queries,
        meta.resamples,
        meta.seed,
    )
    return Evaluation(meta.names, meta.parts, meta.profile, table, meta.catalogue)
