"""The split of an experiment, stored once beside its runs: user and item statistics for reports.

split-<fingerprint>/
split.json      protocol, counts of the log, size and hash of the other files
split.sha256    the hash of split.json
users.parquet   one row a query: user, history_length, last_time (null without times), n_targets
items.parquet   one row an item: item, title (null if unknown), n_train_users, first_time, last_time (null without
training interactions)
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl

from matinee.data import Interactions
from matinee.errors import RunError
from matinee.observer import Observer
from matinee.runs.files import damaged_file, file_records, sync_file, sync_tree, writing
from matinee.runs.folder import catalogue_frame, checksum_text
from matinee.runs.lock import locked
from matinee.runs.record import FileRecord
from matinee.runs.store import PARTIAL, discard, move_away
from matinee.split import Split

SPLIT, CHECKSUM = "split.json", "split.sha256"


def split_folder(root: Path, fingerprint: str) -> Path:
    """The folder of a split."""
    return root / f"split-{fingerprint[:10]}"


def keep_split(split: Split, log: Interactions, root: Path, observer: Observer) -> Path:
    """The folder of the split, written if it is missing or damaged."""
    place = split_folder(root, split.fingerprint)
    work = root / PARTIAL / place.name
    if place.is_dir() and split_damage(place) is None:
        discard(work)
        return place
    with locked(work, observer), writing(place):
        damage = split_damage(place) if place.is_dir() else None
        if damage is not None:
            move_away(place, damage, observer)
        if not place.is_dir():
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            about = {"fingerprint": split.fingerprint, "source": split.source, "protocol": split.protocol.to_dict()}
            users_frame(split).write_parquet(work / "users.parquet")
            items_frame(split.train).write_parquet(work / "items.parquet")
            files = {name: one.model_dump() for name, one in file_records(work).items()}
            content = json.dumps({**about, "log": log.summary(), "files": files}, indent=2) + "\n"
            (work / SPLIT).write_text(content)
            (work / CHECKSUM).write_text(checksum_text(content.encode(), SPLIT))
            sync_tree(work)
            work.rename(place)
            sync_file(root)
    return place


def split_damage(folder: Path) -> RunError | None:
    """The error of a damaged split folder; None means it is intact."""
    todo = "Delete the folder and run the experiment again."
    try:
        content = (folder / SPLIT).read_bytes()
        intact = (folder / CHECKSUM).read_text() == checksum_text(content, SPLIT)
        files = {name: FileRecord(**known) for name, known in json.loads(content)["files"].items()} if intact else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return RunError(folder, f"it is damaged ({type(error).__name__}: {error})", todo)
    name = damaged_file(folder, files) if intact else SPLIT
    return None if name is None else RunError(folder / name, "it is damaged: its hash is not the recorded one", todo)


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
