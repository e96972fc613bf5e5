"""Terminal output: tables, warnings and progress; plain text where the output is a pipe or a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from matinee.cli._streams import visible
from matinee.contract import Advance
from matinee.contract import Progress as Stages

PIPE_WIDTH = 160
"""Line width where standard output is not a terminal."""


class Screen(Console):
    """A console without markup; control characters are printed as escapes.

    With NO_COLOR set no style is sent, not even bold or dim.
    """

    def __init__(self, **options: Any) -> None:
        colours = None if os.environ.get("NO_COLOR") else "auto"
        super().__init__(markup=False, emoji=False, color_system=colours, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text for rich, with control characters as escapes."""
        return super().render_str(visible(text), **options)


out = Screen(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Screen(stderr=True, soft_wrap=True, highlight=False)


def message(line: str) -> None:
    """Print a status line on stderr; warnings are yellow."""
    err.print(line, style="yellow" if "warning" in line else "dim")


class Bars:
    """Progress on a terminal: one bar per stage, removed at the end."""

    def __init__(self) -> None:
        self._bars: Progress | None = None

    @contextmanager
    def __call__(self, what: str, total: int) -> Generator[Advance]:
        """A bar of `total` steps while the stage runs."""
        outermost = self._bars is None
        bars = self._bars = self._bars or _start_bars()
        task = bars.add_task(what, total=total)
        try:
            yield lambda done: bars.advance(task, done)
        finally:
            bars.remove_task(task)
            if outermost:
                bars.stop()
                self._bars = None


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


class Lines:
    """Progress in a log file: one line per stage.

    Nested stages print at most one line per `EVERY` seconds.
    """

    EVERY = 60.0

    def __init__(self) -> None:
        self._open, self._printed = 0, 0.0

    @contextmanager
    def __call__(self, what: str, total: int) -> Generator[Advance]:
        """Print a line when the stage starts; steps print no line."""
        if self._open == 0 or time.monotonic() - self._printed >= self.EVERY:
            err.print(what)
            self._printed = time.monotonic()
        self._open += 1
        try:
            yield lambda done: None
        finally:
            self._open -= 1


progress: Stages = Bars() if err.is_interactive else Lines()


def resolve_device(device: str) -> str:
    """The device, if this machine has it.

    Torch is imported only for devices other than the CPU.
    """
    if device == "cpu":
        return device
    from matinee.nn.device import resolve_device

    return resolve_device(device)


def table(title: str, headers: list[str], rows: list[list[Any]]) -> Table:
    """A table of text; columns of numbers are right-aligned."""
    text_table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for column, header in enumerate(headers):
        numeric = all(isinstance(row[column], int | float) or row[column] in ("", "–") for row in rows)
        text_table.add_column(header, justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        text_table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    return text_table
