"""`log.jsonl` of a run: one line a stage, appended while the run is computed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias, cast

from matinee.runs.files import writing

LOG = "log.jsonl"

Line: TypeAlias = dict[str, Any]


def append_log(work: Path, stage: str, **said: Any) -> None:
    """One line in the run's log: when, which stage, and what is said of it, such as its seconds."""
    line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "stage": stage, **said}
    with writing(work), (work / LOG).open("ab+") as log:
        _drop_cut_line(log.fileno())
        log.write(json.dumps(line).encode() + b"\n")


def read_log(work: Path, stage: str) -> list[Line]:
    """The lines of a run's log about a stage, the last one of each fold."""
    return [line for line in last_lines(work) if line["stage"] == stage]


def last_lines(work: Path) -> list[Line]:
    """The last line of each stage and fold, in the order they were written; a damaged line is left out.

    A run that was killed and goes on writes some lines again.
    """
    found: dict[tuple[str, str], Line] = {}
    path = work / LOG
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        line = _read(text)
        if line is not None:
            key = (str(line["stage"]), str(line.get("fold")))
            found.pop(key, None)
            found[key] = line
    return list(found.values())


def write_lines(lines: list[Line], path: Path) -> None:
    """Write a log anew."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _read(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("Line", line) if isinstance(line, dict) and "stage" in line else None


def _drop_cut_line(log: int) -> None:
    """Cut off a last line without its end, which a killed process leaves."""
    size = os.lseek(log, 0, os.SEEK_END)
    os.lseek(log, 0, os.SEEK_SET)
    content = os.read(log, size)
    if content and not content.endswith(b"\n"):
        os.ftruncate(log, content.rfind(b"\n") + 1)
