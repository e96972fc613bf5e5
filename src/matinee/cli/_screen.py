"""How commands talk: tables and warnings for people, plain text for pipes, progress as a bar or as lines."""

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
"""Characters a line where standard output is no terminal."""


class Screen(Console):
    """A console that prints texts as they are: no markup in titles and ids, no control characters.

    Under NO_COLOR no style is sent at all, bold and dim included.
    """

    def __init__(self, **options: Any) -> None:
        colours = None if os.environ.get("NO_COLOR") else "auto"
        super().__init__(markup=False, emoji=False, color_system=colours, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A text as rich lays it out."""
        return super().render_str(visible(text), **options)


out = Screen(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Screen(stderr=True, soft_wrap=True, highlight=False)


def message(line: str) -> None:
    """A line about what is going on, on stderr; a warning is yellow."""
    err.print(line, style="yellow" if "warning" in line else "dim")


class Bars:
    """Progress on a terminal: one bar a stage, nested ones below, all gone at the end."""

    def __init__(self) -> None:
        self._shown: Progress | None = None

    @contextmanager
    def __call__(self, what: str, total: int) -> Generator[Advance]:
        """A bar of `total` steps while the stage runs."""
        outermost = self._shown is None
        bars = self._shown = self._shown or _started()
        task = bars.add_task(what, total=total)
        try:
            yield lambda done: bars.advance(task, done)
        finally:
            bars.remove_task(task)
            if outermost:
                bars.stop()
                self._shown = None


def _started() -> Progress:
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
    """Progress in a log file: one line a stage; nested ones only after `EVERY` seconds without a line."""

    EVERY = 60.0

    def __init__(self) -> None:
        self._open, self._printed = 0, 0.0

    @contextmanager
    def __call__(self, what: str, total: int) -> Generator[Advance]:
        """A line when the stage starts; its steps are not shown."""
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
    """The device, if this machine has it. Torch is asked only about another than the CPU."""
    if device == "cpu":
        return device
    from matinee.nn.device import resolve_device

    return resolve_device(device)


def table(title: str, headers: list[str], rows: list[list[Any]]) -> Table:
    """A table of text; numbers stand to the right."""
    made = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for at, header in enumerate(headers):
        numeric = all(isinstance(row[at], int | float) or row[at] in ("", "–") for row in rows)
        made.add_column(header, justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        made.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    return made
