"""A run: the folder in which everything about one fitted model on one split is written once.

    run.json         what was asked (the whole experiment), what came out, how long it took, which guards fired
    lists.parquet    user, item [list], score [list]: raw ids, best first, `task.depth` deep
    metrics.parquet  one row a person: value and weight of every metric and part
    log.jsonl        one line a stage, with seconds; one a training, with losses and looks at the stop fold
    model/           the fitted model, without pickle

All that comes later (board, ensembles, reports, services) reads only this.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from matinee import models
from matinee.contract import Fitted
from matinee.data import Vocabulary
from matinee.errors import RunError
from matinee.metrics import Evaluation, parse
from matinee.metrics.column import Column
from matinee.metrics.table import Key, Table
from matinee.topk import TopK

FORMAT = 2
"""Raised whenever an older reader would misread a folder."""

AGAIN = "Delete the folder and run the experiment again."


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run folder; `said` is its run.json."""

    folder: Path
    said: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name: kind and cache key."""
        return self.folder.name

    @property
    def kind(self) -> str:
        """The kind of the model; of lists made elsewhere, the name they were given."""
        model = self.said["model"]
        return str(model["name"] if model["kind"] == "outside" else model["kind"])

    @property
    def knobs(self) -> dict[str, Any]:
        """The model's knobs, all of them."""
        return {name: value for name, value in self.said["model"].items() if name not in ("kind", "name", "content")}

    @property
    def split(self) -> str:
        """The fingerprint of the split; only runs with the same one may be compared."""
        return str(self.said["split"]["fingerprint"])

    @cached_property
    def evaluation(self) -> Evaluation:
        """The numbers a person, as when they were computed: intervals and comparisons come from here."""
        path = self.folder / "metrics.parquet"
        try:
            return read_evaluation(pl.read_parquet(path, glob=False), self.said["evaluation"])
        except (OSError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
            raise RunError(path, f"it cannot be read ({type(error).__name__}: {error})", AGAIN) from None

    def lists(self, users: Vocabulary, items: Vocabulary) -> TopK:
        """The ranked lists in codes of the given vocabularies."""
        path = self.folder / "lists.parquet"
        try:
            frame = pl.read_parquet(path, glob=False)
            return lists_of(frame, users, items)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise RunError(path, f"it cannot be read ({type(error).__name__}: {error})", AGAIN) from None

    def model(self) -> Fitted:
        """The fitted model."""
        if self.said["model"]["kind"] in ("ensemble", "outside"):
            found = "it is made of lists, there is no model in it"
            raise RunError(self.folder, found, "Name a run of a model, as `matinee board` lists them.")
        if not (self.folder / "model").is_dir():
            raise RunError(self.folder, "it kept no model", "Run the experiment again with keep_models = true.")
        return models.load(self.folder / "model")


def open_run(folder: str | Path) -> Run:
    """The run in a folder. Raises `RunError` where the folder is no finished run, damaged, or of another version."""
    folder = Path(folder)
    path = folder / "run.json"
    if not path.is_file():
        raise RunError(folder, "there is no run.json in it", "Name a run folder, as `matinee board` lists them.")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        found = said["format"]
        missing = {"model", "split", "task", "experiment", "metrics", "evaluation"} - said.keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(path, f"it is damaged ({type(error).__name__}: {error})", AGAIN) from None
    if found != FORMAT:
        raise RunError(folder, f"it was written in format {found}, this version reads format {FORMAT}", AGAIN)
    for name in ("lists.parquet", "metrics.parquet"):
        missing |= set() if (folder / name).is_file() else {name}
    if missing:
        raise RunError(folder, f"it is damaged: {', '.join(sorted(missing))} missing", AGAIN)
    return Run(folder, said)


def runs_in(root: str | Path) -> list[Run]:
    """The finished runs directly under `root`, oldest first; folders without run.json are none."""
    root = Path(root)
    folders = sorted(path.parent for path in root.glob("*/run.json")) if root.is_dir() else []
    return sorted((open_run(folder) for folder in folders), key=lambda run: (run.said.get("created", ""), run.name))


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


def lists_of(frame: pl.DataFrame, users: Vocabulary, items: Vocabulary) -> TopK:
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


def metrics_frame(evaluation: Evaluation) -> pl.DataFrame:
    """Values and weights a person, one pair of columns a metric and part."""
    table = evaluation.table
    columns: dict[str, Any] = {"user": table.users.decode(table.user), "listed": table.listed}
    columns |= {f"answered|{part}": mask for part, mask in table.answered.items()}
    for (part, metric), column in table.columns.items():
        columns |= {f"value|{part}|{metric}": column.value, f"weight|{part}|{metric}": column.weight}
    return pl.DataFrame(columns)


def evaluation_said(evaluation: Evaluation) -> dict[str, Any]:
    """What `metrics.parquet` does not hold of an evaluation."""
    return {
        "names": list(evaluation.names),
        "parts": list(evaluation.parts),
        "profile": evaluation.profile,
        "catalogue": dict(evaluation.catalogue),
        "n_asked": evaluation.table.n_asked,
        "resamples": evaluation.table.resamples,
        "seed": evaluation.table.seed,
    }


def read_evaluation(frame: pl.DataFrame, said: dict[str, Any]) -> Evaluation:
    """The evaluation that `metrics_frame` and `evaluation_said` were made from, over the people in it alone."""
    columns: dict[Key, Column] = {}
    for name in frame.columns:
        if name.startswith("value|"):
            _, part, metric = name.split("|")
            weight = frame[f"weight|{part}|{metric}"].to_numpy()
            columns[part, parse(metric).metrics[0]] = Column(frame[name].to_numpy(), weight)
    answered = {name.split("|")[1]: frame[name].to_numpy() for name in frame.columns if name.startswith("answered|")}
    users = Vocabulary.of(frame["user"])
    table = Table(
        users.encode(frame["user"]),
        users,
        frame["listed"].to_numpy(),
        answered,
        columns,
        said["n_asked"],
        said["resamples"],
        said["seed"],
    )
    return Evaluation(tuple(said["names"]), tuple(said["parts"]), said["profile"], table, said["catalogue"])
