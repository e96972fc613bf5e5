"""List files: the refit on the whole log, the check of a file, the evaluation on a file of targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.contract import FitContext, Mask, ModelSpec, Task
from matinee.data import Histories, Interactions, Targets, Vocabulary
from matinee.errors import DataError, SpecError, SubmissionError
from matinee.metrics import Evaluation, evaluate, parse
from matinee.runs.list_file import ListRows, read_pairs, write_lists
from matinee.threads import limit_threads
from matinee.topk import TopK, recommend

__all__ = ["CheckedSubmission", "check_file", "evaluate_against_file", "refit", "row_faults", "write_lists"]

MAX_SHOWN = 3
"""Examples of a fault that a message names."""


@dataclass(frozen=True, eq=False)
class CheckedSubmission:
    """A list file that follows the rules of its task."""

    lists: TopK
    rows: int
    short: int
    """Users with fewer than k rows because no more items are allowed for them."""

    repeats: int | None = None
    """Rows with an item of the user's history; None where seen items are excluded."""

    def summary(self, k: int) -> str:
        """Counts of the file, and the rules that it follows."""
        counts = f"{self.rows:,} rows, {len(self.lists):,} users, {k} items each"
        reason = f"; {self.short} users have fewer because no more items are allowed for them"
        seen = "no seen item"
        if self.repeats is not None:
            share = self.repeats / max(self.rows, 1)
            seen = f"seen items allowed ({share:.0%} of rows repeat an item of the user's history)".replace("%", " %")
        return counts + (reason if self.short else "") + f"; {seen}, no item twice, all ids known"


def refit(
    spec: ModelSpec, log: Interactions, users: NDArray[np.int32], task: Task, ctx: FitContext = FitContext()
) -> TopK:
    """The lists for user codes (m,) of a model fitted on the whole log."""
    if task.k > log.n_items:
        raise SpecError("task.k", f"found {task.k}", f"at most the {log.n_items:,} items of the log")
    model = spec.fit(log, ctx)
    mask = Mask(seen=task.seen == "exclude", available=task.available_items(log))
    with limit_threads(ctx.threads):
        return recommend(model, log.histories(users), task.k, mask, ctx.observer)


def check_file(path: str | Path, log: Interactions, task: Task, queries: Histories | None = None) -> CheckedSubmission:
    """The lists of a file that follow the rules of the task.

    Rules: exactly k items for every target user, or all that are allowed for them; no seen item if seen items are
    excluded; no item twice; only ids of the log. `queries` (m,) are the target users with their histories; None means
    every user of the log. Raises `SubmissionError` with the count and the first lines of every kind of fault.
    """
    queries = log.histories() if queries is None else queries
    rows = read_pairs(path, queries.users, queries.items)
    faults = row_faults(rows, queries, log, task)
    allowed = np.minimum(task.k, _max_items(log, task, queries))
    faults += _length_faults(rows, queries, allowed, task.k)
    if faults:
        raise SubmissionError(path, faults)
    repeats = int(_seen(rows, queries).sum()) if task.seen == "include" else None
    return CheckedSubmission(rows.lists(queries), len(rows.table.frame), int((allowed < task.k).sum()), repeats)


def row_faults(rows: ListRows, queries: Histories, log: Interactions, task: Task) -> list[str]:
    """The faults of single rows: unknown ids, repeats, seen items, unavailable items."""
    user, item, width = rows.user, rows.item, len(queries.items)
    known = (user >= 0) & (item >= 0)
    code = user.astype(np.int64) * width + item
    first = np.zeros(len(code), dtype=np.bool_)
    first[np.unique(code, return_index=True)[1]] = True
    available = task.available_items(log)
    faulty = {
        "unknown user": user < 0,
        "unknown item": item < 0,
        "row that repeats an item of the same user": known & ~first,
    }
    if task.seen == "exclude":
        faulty["seen item"] = known & _seen(rows, queries)
    if available is not None:
        faulty["item that is not available"] = known & ~available[np.maximum(item, 0)]
    return [_fault(name, np.flatnonzero(where), rows) for name, where in faulty.items() if where.any()]


def _seen(rows: ListRows, queries: Histories) -> NDArray[np.bool_]:
    """Rows (n,) with an item of the user's query."""
    width = len(queries.items)
    seen = np.repeat(queries.user.astype(np.int64), np.diff(queries.offsets)) * width + queries.item
    return np.isin(rows.user.astype(np.int64) * width + rows.item, seen)


def _fault(name: str, at: NDArray[np.intp], rows: ListRows) -> str:
    table = rows.table
    where = Path(table.where).name
    lines = [
        (table.place(int(i)).rpartition(where)[2].strip(), table.frame.row(int(i), named=True)) for i in at[:MAX_SHOWN]
    ]
    shown = "; ".join(f"{line}: {row['user']},{row['item']}" for line, row in lines)
    return f"{len(at):,} × {name} ({shown}{', …' if len(at) > MAX_SHOWN else ''})"


def _length_faults(rows: ListRows, queries: Histories, allowed: NDArray[np.int64], k: int) -> list[str]:
    """The faults of whole lists: missing, too short, too long, or of a user that is no target user."""
    known = rows.user[(rows.user >= 0) & (rows.item >= 0)]
    count = np.bincount(known, minlength=len(queries.users))
    own = count[queries.user]
    surplus = count.copy()
    surplus[queries.user] = 0
    faults: list[str] = []
    for name, users in (
        ("without a row", queries.user[(own == 0) & (allowed > 0)]),
        (f"with fewer than {k} rows", queries.user[(own > 0) & (own < allowed)]),
        (f"with more than {k} rows", queries.user[own > k]),
        ("that are no target users", np.flatnonzero(surplus)),
    ):
        if len(users):
            ids = ", ".join(map(str, queries.users.decode(users[:MAX_SHOWN]).to_list()))
            faults.append(f"{len(users):,} users {name} (user {ids}{', …' if len(users) > MAX_SHOWN else ''})")
    return faults


def _max_items(log: Interactions, task: Task, queries: Histories) -> NDArray[np.int64]:
    """Number of allowed items of each user (m,)."""
    available = task.available_items(log)
    total = log.n_items if available is None else int(available.sum())
    if task.seen == "include":
        return np.full(len(queries), total, dtype=np.int64)
    own = queries.matrix if available is None else queries.matrix[:, np.flatnonzero(available)]
    return total - np.diff(own.indptr).astype(np.int64)


def evaluate_against_file(lists: TopK, path: str | Path, task: Task) -> Evaluation:
    """The evaluation of lists on a file of targets, `user,item` rows; unknown items are misses."""
    rows = read_pairs(path, lists.users, lists.items)
    if (rows.user < 0).any():
        place = rows.table.place(int(np.flatnonzero(rows.user < 0)[0]))
        raise DataError(place, "its user is not in the log", "targets of users of the log", "Remove the row.")
    ids = [lists.items.ids, rows.table.frame["item"]]
    if ids[0].dtype != ids[1].dtype:
        ids = [one.cast(pl.String) for one in ids]
    items = Vocabulary.of(pl.concat(ids))
    recoded = np.where(lists.item >= 0, items.encode(lists.items.ids)[lists.item], np.int32(-1)).astype(np.int32)
    user, row = np.unique(rows.user, return_inverse=True)
    part = np.zeros(len(row), dtype=np.int8)
    targets = Targets.from_rows(lists.users, items, user.astype(np.int32), row, items.encode(ids[1]), part, ("all",))
    names = [name for name in dict.fromkeys([task.metric, *task.extra_metrics]) if not name.startswith("popularity@")]
    recoded_lists = TopK(lists.user, recoded, lists.score, lists.users, items)
    return evaluate(recoded_lists, targets, [name for name in names if parse(name).k <= lists.k], task.profile)
