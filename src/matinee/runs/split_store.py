"""The split of an experiment, kept once beside its runs: what tables by user and item need besides lists.

split-<fingerprint>/
split.json      how it was cut, and counts of the log
users.parquet   user, history_length, last_time (null without times), n_targets: one row a query
items.parquet   item, title, n_train_users, first_time, last_time: null where the training set has no row of it
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from matinee.data import Interactions
from matinee.runs.files import sync_file, sync_tree, writing
from matinee.runs.folder import catalogue_frame
from matinee.runs.lock import locked
from matinee.runs.store import PARTIAL, discard
from matinee.split import Split


def split_folder(root: Path, fingerprint: str) -> Path:
    """Where a split is kept."""
    return root / f"split-{fingerprint[:10]}"


def keep_split(split: Split, log: Interactions, root: Path, say: Callable[[str], None]) -> Path:
    """The folder of the split, written where there is none yet; it appears whole or not at all."""
    place = split_folder(root, split.fingerprint)
    work = root / PARTIAL / place.name
    if place.is_dir():
        discard(work)
        return place
    with locked(work, say), writing(place):
        if not place.is_dir():
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            about = {"fingerprint": split.fingerprint, "source": split.source, "protocol": split.protocol.to_dict()}
            (work / "split.json").write_text(json.dumps({**about, "log": log.summary()}, indent=2) + "\n")
            users_frame(split).write_parquet(work / "users.parquet")
            items_frame(split.train).write_parquet(work / "items.parquet")
            sync_tree(work)
            work.rename(place)
            sync_file(root)
    return place


def users_frame(split: Split) -> pl.DataFrame:
    """One row a query."""
    query, target = split.query, split.target
    length = np.diff(query.offsets)
    last = pl.Series(query.time[np.maximum(query.offsets[1:] - 1, 0)] if len(query.time) else np.zeros(len(query)))
    known = pl.Series(length > 0) & (split.train.time_kind != "none")
    frame = pl.DataFrame(
        {"user": target.users.decode(target.user), "history_length": length, "n_targets": target.count}
    )
    return frame.with_columns(last_time=pl.when(known).then(last.cast(pl.Int64)))


def items_frame(train: Interactions) -> pl.DataFrame:
    """One row an item."""
    times = pl.DataFrame({"code": train.item, "time": train.time}).group_by("code")
    spans = times.agg(first_time=pl.min("time"), last_time=pl.max("time"))
    catalogue = catalogue_frame(train, None).with_columns(code=pl.int_range(train.n_items, dtype=pl.Int32, eager=True))
    frame = catalogue.join(spans, on="code", how="left", maintain_order="left")
    if train.time_kind == "none":
        frame = frame.with_columns(pl.lit(None, dtype=pl.Int64).alias(name) for name in ("first_time", "last_time"))
    return frame.select("item", "title", pl.col("popularity").alias("n_train_users"), "first_time", "last_time")
