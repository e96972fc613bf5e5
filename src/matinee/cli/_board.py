"""The board as a picture for people."""

from __future__ import annotations

from rich.table import Table

from matinee.cli._screen import err, out
from matinee.runs.board import Board, changed_knobs
from matinee.runs.folder import Run
from matinee.runs.text import warnings


def show(board: Board) -> None:
    """Print the board: intervals, the gap to the best and whether it is noise, the parts, the times."""
    first = board.runs[0]
    parts = list(first.record.metrics[board.metric].parts)
    others = [name for name in first.record.metrics if name != board.metric]
    task, protocol = first.record.task, first.record.split.protocol
    title = f"{board.metric} ({task.profile}) on split {board.runs[0].split[:10]} ({protocol.kind})"
    made = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    made.add_column("model")
    for header in (board.metric, "95 % interval", "behind the best", *parts, *others, "fit s", "lists s"):
        made.add_column(header, justify="right", no_wrap=True)
    for run in board.runs:
        made.add_row(*_row(board, run, parts, others))
    out.print(made)
    for run in board.runs:
        for warning in warnings(run):
            err.print(f"warning: {run.name}: {warning}", style="yellow", markup=False)


def _row(board: Board, run: Run, parts: list[str], others: list[str]) -> list[str]:
    numbers = run.record.metrics
    main = numbers[board.metric]
    knobs = ", ".join(f"{name}={value}" for name, value in changed_knobs(run).items())
    return [
        run.kind + (f" ({knobs})" if knobs else ""),
        f"{main.mean:.4f}",
        f"{main.low:.4f} – {main.high:.4f}" if main.low is not None else "–",
        _behind(board, run),
        *(f"{main.parts[part].mean:.4f}" for part in parts),
        *(f"{numbers[name].mean:.4f}" if name in numbers else "–" for name in others),
        f"{run.record.seconds.fit:.2f}",
        f"{run.record.seconds.lists:.2f}",
    ]


def _behind(board: Board, run: Run) -> str:
    gap = board.gaps.get(run.name)
    if gap is None:
        return "best" if run is board.runs[0] else "–"
    return f"{gap.mean:+.4f}" + (" noise" if gap.noise else f" (p {gap.adjusted:.0e})")
