"""How commands talk: tables and warnings for people, plain text for pipes, progress only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from matinee.contract import Advance

out = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def say(line: str) -> None:
    """A line about what is going on, on stderr; a warning is yellow."""
    err.print(line, style="yellow" if "warning" in line else "dim", markup=False)


@contextmanager
def progress(what: str, total: int) -> Generator[Advance]:
    """A bar on stderr while the step runs; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def placed(device: str) -> str:
    """The device, if this machine has it. Torch is asked only about another than the CPU."""
    if device == "cpu":
        return device
    from matinee.nn.device import found

    return found(device)


def table(title: str, headers: list[str], rows: list[list[Any]]) -> Table:
    """A table of text; numbers stand to the right."""
    made = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for at, header in enumerate(headers):
        numeric = all(isinstance(row[at], int | float) or row[at] in ("", "–") for row in rows)
        made.add_column(header, justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        made.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    return made
