"""The leaderboard as a table on the terminal."""

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
"""Width to which a longer name is folded on a narrow terminal; a kind is never folded."""

GAP, FRAME = 3, 2
"""Characters between two columns, and of both edges together."""

MISSING = "–"


class LeaderboardColumn(NamedTuple):
    """A header and one cell per run."""

    header: str
    cells: list[str]

    @property
    def width(self) -> int:
        """Width of the widest cell in characters."""
        return max(map(cell_len, [self.header, *self.cells]))


def print_leaderboard(leaderboard: Leaderboard) -> None:
    """Print intervals, the difference to the best run, parts and times of every run."""
    first = leaderboard.runs[0]
    task, protocol = first.record.task, first.record.split.protocol
    title = f"{leaderboard.metric} ({task.profile}) on split {first.split[:10]} ({protocol.kind})"
    names, numbers = LeaderboardColumn("model", [_name(run) for run in leaderboard.runs]), _numbers(leaderboard)
    longest_kind = max(len(run.kind) for run in leaderboard.runs)
    n_fitting = _n_fitting(numbers, min(names.width, max(longest_kind, NAME_WIDTH)))
    table = Table(title=title, title_justify="left", caption_justify="left", header_style="bold", pad_edge=False)
    if not out.is_terminal:
        table.width = _width(names.width, numbers)
    elif n_fitting < len(numbers):
        table.caption = f"not shown at this width: {', '.join(column.header for column in numbers[n_fitting:])}"
    table.add_column("model", overflow="fold")
    for column in numbers[:n_fitting]:
        table.add_column(column.header, justify="right", no_wrap=True)
    for cells in zip(names.cells, *(column.cells for column in numbers[:n_fitting]), strict=True):
        table.add_row(*cells)
    out.print(table)
    for run in leaderboard.runs:
        for warning in warnings(leaderboard.findings(run)):
            err.print(f"warning: {run.name}: {warning}", style="yellow")


def _n_fitting(numbers: list[LeaderboardColumn], names: int) -> int:
    """Number of leading columns, at least one, that leave `names` characters for the names."""
    if not out.is_terminal:
        return len(numbers)
    for n in range(len(numbers), 1, -1):
        if _width(names, numbers[:n]) <= out.width:
            return n
    return 1


def _width(names: int, numbers: list[LeaderboardColumn]) -> int:
    return FRAME + names + sum(GAP + column.width for column in numbers)


def _name(run: Run) -> str:
    params = ", ".join(f"{name}={value}" for name, value in non_default_params(run).items())
    return run.kind + (f" ({params})" if params else "")


def _numbers(leaderboard: Leaderboard) -> list[LeaderboardColumn]:
    """All columns except the names, most important first."""
    summaries = [run.record.metrics for run in leaderboard.runs]
    main = [summary[leaderboard.metric] for summary in summaries]
    parts = [part for part, numbers in main[0].parts.items() if numbers.mean is not None]
    others = [name for name in summaries[0] if name != leaderboard.metric]
    return [
        LeaderboardColumn(leaderboard.metric, [_mean(summary) for summary in main]),
        LeaderboardColumn("95 % interval", [_interval(summary) for summary in main]),
        LeaderboardColumn("vs. best", [_gap_text(leaderboard, run) for run in leaderboard.runs]),
        *(LeaderboardColumn(part, [_mean(summary.parts.get(part)) for summary in main]) for part in parts),
        *(LeaderboardColumn(name, [_mean(summary.get(name)) for summary in summaries]) for name in others),
        LeaderboardColumn("fit s", [f"{run.record.seconds.fit:.2f}" for run in leaderboard.runs]),
        LeaderboardColumn("lists s", [f"{run.record.seconds.lists:.2f}" for run in leaderboard.runs]),
    ]


def _mean(summary: Interval | None) -> str:
    return MISSING if summary is None or summary.mean is None else f"{summary.mean:.4f}"


def _interval(summary: Interval) -> str:
    return MISSING if summary.low is None else f"{summary.low:.4f} – {summary.high:.4f}"


def _gap_text(leaderboard: Leaderboard, run: Run) -> str:
    gap = leaderboard.differences.get(run.name)
    if gap is None:
        return "best" if run is leaderboard.runs[0] else MISSING
    return f"{gap.mean:+.4f} " + (f"({_p(gap.p_adjusted)})" if gap.significant else "not significant")


def _p(p: float) -> str:
    """A p-value with three decimals; smaller values are printed as `p < .001`."""
    return "p < .001" if p < 0.001 else f"p {p:.3f}".replace("0.", ".")
