"""Output of commands: tables, messages, and the observer that shows progress as bars or as lines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from matinee.cli._streams import visible
from matinee.observer import Advance, EventValue, Observer

PIPE_WIDTH = 160
"""Characters of a line if standard output is no terminal."""


class Screen(Console):
    """A console without markup and control characters in titles and ids.

    With NO_COLOR no style is used, bold and dim included.
    """

    def __init__(self, **options: Any) -> None:
        colours = None if os.environ.get("NO_COLOR") else "auto"
        super().__init__(markup=False, emoji=False, color_system=colours, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text for rich, with control characters as escapes."""
        return super().render_str(visible(text), **options)


out = Screen(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Screen(stderr=True, soft_wrap=True, highlight=False)


class Messages:
    """The part that terminal observers share: messages on stderr, a warning in yellow."""

    def message(self, text: str) -> None:
        """Print a line."""
        err.print(text, style="yellow" if "warning" in text else "dim")

    def event(self, name: str, step: int | None, values: Mapping[str, EventValue]) -> None:
        """Print nothing: the texts of progress have the loss and the metric of an epoch."""


class Bars(Messages):
    """Progress on a terminal: one bar a stage, nested ones below."""

    def __init__(self) -> None:
        self._live: Progress | None = None

    @contextmanager
    def progress(self, what: str, total: int) -> Generator[Advance]:
        """A bar of `total` steps while the stage runs."""
        outermost = self._live is None
        bars = self._live = self._live or _start_bars()
        task = bars.add_task(what, total=total)
        try:
            yield lambda done: bars.advance(task, done)
        finally:
            bars.remove_task(task)
            if outermost:
                bars.stop()
                self._live = None


def _start_bars() -> Progress:
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )
    bars.start()
    return bars


class Lines(Messages):
    """Progress in a log file: one line a stage, for nested stages every `EVERY` seconds."""

    EVERY = 60.0

    def __init__(self) -> None:
        self._open, self._printed = 0, 0.0

    @contextmanager
    def progress(self, what: str, total: int) -> Generator[Advance]:
        """A line when the stage starts; its steps are not shown."""
        if self._open == 0 or time.monotonic() - self._printed >= self.EVERY:
            err.print(what)
            self._printed = time.monotonic()
        self._open += 1
        try:
            yield lambda done: None
        finally:
            self._open -= 1


observer: Observer = Bars() if err.is_interactive else Lines()


def resolve_device(device: str) -> str:
    """The device, if this machine has it; the CPU needs no torch."""
    if device == "cpu":
        return device
    from matinee.nn.device import resolve_device

    return resolve_device(device)


def table(title: str, headers: list[str], rows: list[list[Any]]) -> Table:
    """A table of text; numbers are aligned to the right."""
    result = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for at, header in enumerate(headers):
        numeric = all(isinstance(row[at], int | float) or row[at] in ("", "–") for row in rows)
        result.add_column(header, justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        result.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    return result
