"""`log.jsonl` of a run: one line an event, appended while the run is computed.

    {"at": …, "event": "epoch", "split": "validation", "step": 3, "loss": …, "metric": …, "seconds": …}
    {"at": …, "event": "fit", "seconds": …}

Events: epoch, validate, fit, lists, search, evaluate. `split` is that of a fit, validation or train. A stage of a fit
precedes the name of its events: `pretraining/epoch`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias, cast

from matinee.observer import Advance, EventValue, Observer
from matinee.runs.files import writing

LOG = "log.jsonl"

Line: TypeAlias = dict[str, Any]


@dataclass(frozen=True, eq=False)
class LogObserver:
    """Appends events to the log of a run and passes everything on."""

    observer: Observer
    work: Path
    """The folder of the log."""

    run: str
    """The run's name, which is added to the events that are passed on."""

    split: str | None = None
    """The split of a fit, validation or train; None outside a fit."""

    def progress(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """The progress of the observer behind this one."""
        return self.observer.progress(what, total)

    def message(self, text: str) -> None:
        """Passes on the line."""
        self.observer.message(text)

    def event(self, name: str, step: int | None, values: Mapping[str, EventValue]) -> None:
        """Appends a line and passes on the event."""
        split = {} if self.split is None else {"split": self.split}
        append_log(self.work, name, **split, **({} if step is None else {"step": step}), **values)
        self.observer.event(name, step, {"run": self.run, **split, **values})


def append_log(work: Path, event: str, **values: Any) -> None:
    """Append a line to the run's log: the time, the event and its values."""
    line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **values}
    with writing(work), (work / LOG).open("ab+") as log:
        _drop_cut_line(log.fileno())
        log.write(json.dumps(line).encode() + b"\n")


def read_log(work: Path, event: str) -> list[Line]:
    """The lines of an event, one for each split and step."""
    return [line for line in merged_lines(work) if line["event"] == event]


def merged_lines(work: Path) -> list[Line]:
    """The lines of a log; those of the same event, split and step are merged.

    A damaged line is omitted. A run that was killed and resumed writes some lines again. The last value of each key
    counts; the order is that of the last lines.
    """
    lines: dict[tuple[str, str, str], Line] = {}
    path = work / LOG
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        line = _read(text)
        if line is not None:
            key = (str(line["event"]), str(line.get("split")), str(line.get("step")))
            lines[key] = {**lines.pop(key, {}), **line}
    return list(lines.values())


def write_lines(lines: list[Line], path: Path) -> None:
    """Write a log, replacing an older one."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _read(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("Line", line) if isinstance(line, dict) and "event" in line else None


def _drop_cut_line(log: int) -> None:
    """Remove an incomplete last line, which a killed process leaves."""
    size = os.lseek(log, 0, os.SEEK_END)
    os.lseek(log, 0, os.SEEK_SET)
    content = os.read(log, size)
    if content and not content.endswith(b"\n"):
        os.ftruncate(log, content.rfind(b"\n") + 1)
