"""Files of run folders: hashes, durable writing, small JSON files with their own hash."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import polars as pl
from safetensors import SafetensorError

from matinee.errors import RunError
from matinee.runs.record import FileRecord


def sha256_of(path: Path) -> str:
    """The hash of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_records(folder: Path) -> dict[str, FileRecord]:
    """Size and hash of every file below a folder, by its path in it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): FileRecord(size=path.stat().st_size, sha256=sha256_of(path))
        for path in paths
    }


def damaged_file(folder: Path, files: Mapping[str, FileRecord]) -> str | None:
    """The first file that differs from its record; None means all are intact."""
    for name, known in files.items():
        path = folder / name
        try:
            intact = path.stat().st_size == known.size and sha256_of(path) == known.sha256
        except OSError:
            intact = False
        if not intact:
            return name
    return None


@contextmanager
def writing(place: Path) -> Generator[None]:
    """Turns errors of writing, such as a full disk, into `RunError`."""
    try:
        yield
    except (OSError, SafetensorError, pl.exceptions.PolarsError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        todo = "Free space or name another folder with --runs, then run again: finished stages are not repeated."
        raise RunError(place, f"it cannot be written ({cause})", todo) from error


def write_checked(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file with its own hash, whole or not at all."""
    text = json.dumps(value, sort_keys=True)
    half = path.with_name(f"{path.name}.half")
    half.write_text(json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "value": value}, sort_keys=True))
    sync_file(half)
    half.replace(path)


def read_checked(path: Path) -> dict[str, Any] | None:
    """The value of a file of `write_checked`; None if it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        value, known = content["value"], content["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    intact = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest() == known
    return cast("dict[str, Any]", value) if intact and isinstance(value, dict) else None


def link_tree(source: Path, target: Path) -> None:
    """Replace a folder by hard links to the files of another, else copies."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def sync_file(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some file systems cannot sync folders
            raise
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until all files below a folder, and the folder, are on the disk."""
    for path in [*folder.rglob("*"), folder]:
        sync_file(path)
