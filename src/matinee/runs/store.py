"""The folder of all runs: a run is opened, or written and moved to its place whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import polars as pl

from matinee.errors import RunError
from matinee.observer import Observer
from matinee.runs.files import file_records, link_tree, sync_file, sync_tree, writing
from matinee.runs.folder import CHECKSUM, RUN, Run, checksum_text, open_run
from matinee.runs.lock import lock_file, locked, locked_if_free
from matinee.runs.log import LOG, merged_lines, write_lines
from matinee.runs.record import Keys, RunRecord

PARTIAL = ".partial"
"""The folder of unfinished runs."""

DAMAGED = ".damaged"
"""The folder of damaged runs, which are computed again."""


def obtain(place: Path, work: Path, observer: Observer, compute: Callable[[], Run]) -> Run:
    """The finished run at `place`, or the one that `compute` publishes there from `work`.

    A finished run is verified first; a damaged one is moved away and computed again. `work` is locked, and remains if
    `compute` fails, so that the same call resumes from it.
    """
    run = _verified(place)
    if not isinstance(run, Run):
        with locked(work, observer):
            run = _verified(place)
            if not isinstance(run, Run):
                if run is not None:
                    move_away(place, run, observer)
                with writing(work):
                    work.mkdir(parents=True, exist_ok=True)
                run = compute()
                shutil.rmtree(work, ignore_errors=True)
                return run
    observer.message(f"{place.name}: finished before, nothing to compute")
    discard(work)
    return run


def discard(work: Path) -> None:
    """Remove the folder of an unfinished run and its lock, unless another process uses it."""
    if work.exists() or lock_file(work).exists():
        with locked_if_free(work) as free:
            if free:
                shutil.rmtree(work, ignore_errors=True)


def donors(root: Path, kind: str, keys: Keys) -> list[Run]:
    """Intact runs of the same fit, those with the same lists first."""
    runs: list[Run] = []
    for path in sorted(root.glob(f"{kind}-*/{RUN}")):
        with suppress(RunError):
            run = open_run(path.parent)
            if run.record.keys.fit == keys.fit:
                run.verify()
                runs.append(run)
    return sorted(runs, key=lambda run: run.record.keys.lists != keys.lists)


def publish(work: Path, place: Path, record: RunRecord, frames: Mapping[str, pl.DataFrame], model: Path | None) -> Run:
    """Write a run folder in `work` and move it to `place` as a whole."""
    whole = work / "run"
    with writing(place):
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir(parents=True)
        for name, frame in frames.items():
            frame.write_parquet(whole / name)
        write_lines(merged_lines(work), whole / LOG)
        if model is not None:
            link_tree(model, whole / "model")
        content = record.model_copy(update={"files": file_records(whole)}).model_dump_json(indent=2).encode() + b"\n"
        (whole / RUN).write_bytes(content)
        (whole / CHECKSUM).write_text(checksum_text(content))
        sync_tree(whole)
        try:
            whole.rename(place)
        except OSError:
            if not place.exists():
                raise
            found = "the folder exists but holds no finished run"
            raise RunError(place, found, "Move it to another place and run again.") from None
        sync_file(place.parent)
    return open_run(place)


def _verified(place: Path) -> Run | RunError | None:
    """The run of a folder, or the error of a damaged one; None if there is no run.json."""
    if not (place / RUN).is_file():
        return None
    try:
        run = open_run(place)
        run.verify()
    except RunError as error:
        return error
    return run


def move_away(place: Path, damage: RunError, observer: Observer) -> None:
    """Move a damaged folder to `.damaged`, with a warning."""
    with writing(place.parent):
        aside = place.parent / DAMAGED
        aside.mkdir(exist_ok=True)
        number = sum(path.name.startswith(place.name) for path in aside.iterdir()) + 1
        target = aside / f"{place.name}-{number}"
        place.rename(target)
    observer.message(f"{place.name}: warning: {damage} It was moved to {target} and is computed again")
