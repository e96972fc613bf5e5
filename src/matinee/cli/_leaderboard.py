"""The board as a picture for people."""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len
from rich.table import Table

from matinee.cli._screen import err, out
from matinee.runs.folder import Run
from matinee.runs.leaderboard import Leaderboard, non_default_params
from matinee.runs.record import Interval
from matinee.runs.text import warnings

NAME_WIDTH = 24
"""Characters that a longer name may be folded to where the terminal is narrow; a kind is never folded."""

GAP, FRAME = 3, 2
"""Characters between two columns, and of both edges."""

MISSING = "–"


class LeaderboardColumn(NamedTuple):
    """A header and one cell a run."""

    header: str
    cells: list[str]

    @property
    def width(self) -> int:
        """Characters of the widest line."""
        return max(map(cell_len, [self.header, *self.cells]))


def print_leaderboard(board: Leaderboard) -> None:
    """Print the board: intervals, the gap to the best and whether it is noise, the parts, the times."""
    first = board.runs[0]
    task, protocol = first.record.task, first.record.split.protocol
    title = f"{board.metric} ({task.profile}) on split {first.split[:10]} ({protocol.kind})"
    names, numbers = LeaderboardColumn("model", [_name(run) for run in board.runs]), _numbers(board)
    least = max(len(run.kind) for run in board.runs)
    fitting = _n_fitting(numbers, min(names.width, max(least, NAME_WIDTH)))
    made = Table(title=title, title_justify="left", caption_justify="left", header_style="bold", pad_edge=False)
    if not out.is_terminal:
        made.width = _width(names.width, numbers)
    elif fitting < len(numbers):
        made.caption = f"not shown at this width: {', '.join(one.header for one in numbers[fitting:])}"
    made.add_column("model", overflow="fold")
    for one in numbers[:fitting]:
        made.add_column(one.header, justify="right", no_wrap=True)
    for cells in zip(names.cells, *(one.cells for one in numbers[:fitting]), strict=True):
        made.add_row(*cells)
    out.print(made)
    for run in board.runs:
        for warning in warnings(board.findings(run)):
            err.print(f"warning: {run.name}: {warning}", style="yellow")


def _n_fitting(numbers: list[LeaderboardColumn], names: int) -> int:
    """How many columns, from the first, leave `names` characters to the names; one at least."""
    if not out.is_terminal:
        return len(numbers)
    for n in range(len(numbers), 1, -1):
        if _width(names, numbers[:n]) <= out.width:
            return n
    return 1


def _width(names: int, numbers: list[LeaderboardColumn]) -> int:
    return FRAME + names + sum(GAP + one.width for one in numbers)


def _name(run: Run) -> str:
    knobs = ", ".join(f"{name}={value}" for name, value in non_default_params(run).items())
    return run.kind + (f" ({knobs})" if knobs else "")


def _numbers(board: Leaderboard) -> list[LeaderboardColumn]:
    """Every column but the names, the most important first."""
    metrics = [run.record.metrics for run in board.runs]
    main = [one[board.metric] for one in metrics]
    parts = [part for part, numbers in main[0].parts.items() if numbers.mean is not None]
    others = [name for name in metrics[0] if name != board.metric]
    return [
        LeaderboardColumn(board.metric, [_mean(one) for one in main]),
        LeaderboardColumn("95 % interval", [_interval(one) for one in main]),
        LeaderboardColumn("behind the best", [_gap_text(board, run) for run in board.runs]),
        *(LeaderboardColumn(part, [_mean(one.parts.get(part)) for one in main]) for part in parts),
        *(LeaderboardColumn(name, [_mean(one.get(name)) for one in metrics]) for name in others),
        LeaderboardColumn("fit s", [f"{run.record.seconds.fit:.2f}" for run in board.runs]),
        LeaderboardColumn("lists s", [f"{run.record.seconds.lists:.2f}" for run in board.runs]),
    ]


def _mean(numbers: Interval | None) -> str:
    return MISSING if numbers is None or numbers.mean is None else f"{numbers.mean:.4f}"


def _interval(numbers: Interval) -> str:
    return MISSING if numbers.low is None else f"{numbers.low:.4f} – {numbers.high:.4f}"


def _gap_text(board: Leaderboard, run: Run) -> str:
    gap = board.differences.get(run.name)
    if gap is None:
        return "best" if run is board.runs[0] else MISSING
    return f"{gap.mean:+.4f} " + (f"({_p(gap.p_adjusted)})" if gap.significant else "not significant")


def _p(p: float) -> str:
    """As papers print it: three decimals, and no smaller than .001."""
    return "p < .001" if p < 0.001 else f"p {p:.3f}".replace("0.", ".")
