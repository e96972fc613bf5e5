"""The file that is delivered: written from a refit on everything, and checked like one that came from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.contract import Context, Mask, ModelSpec, Task
from matinee.data import Answers, Interactions, Vocabulary
from matinee.data.read import READERS, guess
from matinee.data.source import Table
from matinee.errors import DataError, SpecError, SubmissionError
from matinee.metrics import Evaluation, evaluate, parse
from matinee.spec import build
from matinee.threads import limit_threads
from matinee.topk import TopK, recommend

SHOWN = 3
"""How many examples of a fault a message names."""


@dataclass(frozen=True, eq=False)
class Checked:
    """A list file that follows the rules of its task."""

    lists: TopK
    rows: int
    short: int
    """Users with fewer than k rows, which is allowed because no more items were allowed for them."""

    def sentence(self, k: int) -> str:
        """What was found, in words."""
        said = f"{self.rows:,} rows, {len(self.lists):,} users, {k} items each"
        why = f"; {self.short} users have fewer because no more items are allowed for them"
        return said + (why if self.short else "") + "; no seen item, no item twice, all ids known"


def refit(spec: ModelSpec, log: Interactions, users: NDArray[np.int32], task: Task, ctx: Context = Context()) -> TopK:
    """Fit on the whole log and make the lists to deliver, for the given user codes (m,)."""
    if task.k > log.n_items:
        raise SpecError("task.k", f"found {task.k}", f"at most the {log.n_items:,} items of the log")
    model = spec.fit(log, ctx)
    mask = Mask(seen=task.seen == "exclude", available=task.allowed(log))
    with limit_threads(ctx.threads):
        return recommend(model, log.histories(users), task.k, mask, ctx.progress)


def write(lists: TopK, path: str | Path) -> None:
    """Write `user,item` rows, best first, as .csv or .parquet; the file appears whole or not at all."""
    path = Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise SpecError(str(path), f"its ending is {path.suffix!r}", "a submission in .csv or .parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    frame, half = lists.frame().select("user", "item"), path.with_name(f".{path.name}.half")
    if path.suffix == ".csv":
        frame.write_csv(half)
    else:
        frame.write_parquet(half)
    half.replace(path)


def check(path: str | Path, log: Interactions, task: Task, users: NDArray[np.int32] | None = None) -> Checked:
    """Read a list file and hold it against the rules: exactly k items for every user asked for, or all that are
    allowed for them; no seen item where seen are excluded; nothing twice; only ids the log knows.

    `users` (m,) are the codes that must be served; nothing means every user of the log. Raises `SubmissionError` naming
    every kind of fault with its count and the first lines it stands on.
    """
    table = pairs(path)
    wanted = np.arange(log.n_users, dtype=np.int32) if users is None else users
    user, item = log.users.encode(table.frame["user"]), log.items.encode(table.frame["item"])
    faults = faults_of(table, (user, item), log, task)
    known = (user >= 0) & (item >= 0)
    user, item = user[known], item[known]
    allowed = np.minimum(task.k, _room(log, task, wanted))
    count = np.bincount(user, minlength=log.n_users)
    faults += _wrong_lengths(count, wanted, allowed, log, task.k)
    if faults:
        raise SubmissionError(path, faults)
    lists = as_lists(user, item, wanted, log)
    return Checked(lists, len(table.frame), int((allowed < task.k).sum()))


def faults_of(
    table: Table, codes: tuple[NDArray[np.int32], NDArray[np.int32]], log: Interactions, task: Task
) -> list[str]:
    """Faults of single rows: unknown ids, repeats, seen items, items that are not available."""
    user, item = codes
    known = (user >= 0) & (item >= 0)
    code = user.astype(np.int64) * log.n_items + item
    first = np.zeros(len(code), dtype=np.bool_)
    first[np.unique(code, return_index=True)[1]] = True
    available = task.allowed(log)
    taken = np.repeat(np.arange(log.n_users), np.diff(log.matrix.indptr)) * log.n_items + log.matrix.indices
    rows = {
        "unknown user": user < 0,
        "unknown item": item < 0,
        "row that repeats an item of the same user": known & ~first,
        "seen item": known & np.isin(code, taken) if task.seen == "exclude" else np.zeros_like(known),
        "item that is not available": known & ~available[np.maximum(item, 0)]
        if available is not None
        else ~first & first,
    }
    return [_fault(name, np.flatnonzero(wrong), table) for name, wrong in rows.items() if wrong.any()]


def _fault(name: str, at: NDArray[np.intp], table: Table) -> str:
    where = Path(table.where).name
    rows = [(table.place(int(i)).rpartition(where)[2].strip(), table.frame.row(int(i), named=True)) for i in at[:SHOWN]]
    shown = "; ".join(f"{line}: {row['user']},{row['item']}" for line, row in rows)
    return f"{len(at):,} × {name} ({shown}{', …' if len(at) > SHOWN else ''})"


def _wrong_lengths(
    count: NDArray[np.intp], wanted: NDArray[np.int32], allowed: NDArray[np.int64], log: Interactions, k: int
) -> list[str]:
    faults: list[str] = []
    rows = count[wanted]
    for name, wrong in (
        ("without a row", rows == 0),
        (f"with fewer than {k} rows", (rows > 0) & (rows < allowed)),
        (f"with more than {k} rows", rows > k),
    ):
        if wrong.any():
            ids = log.users.decode(wanted[wrong][:SHOWN]).to_list()
            more = ", …" if wrong.sum() > SHOWN else ""
            faults.append(f"{int(wrong.sum()):,} users {name} (user {', '.join(map(str, ids))}{more})")
    surplus = count.copy()
    surplus[wanted] = 0
    if surplus.any():
        ids = log.users.decode(np.flatnonzero(surplus)[:SHOWN].astype(np.int32)).to_list()
        faults.append(f"{int((surplus > 0).sum()):,} users nobody asked for (user {', '.join(map(str, ids))})")
    return faults


def _room(log: Interactions, task: Task, wanted: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many items each wanted user may get at all (m,)."""
    available = task.allowed(log)
    total = log.n_items if available is None else int(available.sum())
    if task.seen == "include":
        return np.full(len(wanted), total, dtype=np.int64)
    matrix = log.matrix
    own = matrix if available is None else matrix[:, np.flatnonzero(available)]
    return total - np.diff(own.indptr).astype(np.int64)[wanted]


def as_lists(user: NDArray[np.int32], item: NDArray[np.int32], wanted: NDArray[np.int32], log: Interactions) -> TopK:
    """Lists from rows in rank order: row r of a user is their rank r; scores fall by one a rank."""
    place = np.full(log.n_users, -1, dtype=np.int64)
    place[wanted] = np.arange(len(wanted))
    keep = place[user] >= 0
    row, item = place[user[keep]], item[keep]
    order = np.argsort(row, kind="stable")
    row, item = row[order], item[order]
    lengths = np.bincount(row, minlength=len(wanted))
    at = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    k = max(1, int(lengths.max(initial=0)))
    items = np.full((len(wanted), k), -1, dtype=np.int32)
    items[row, at] = item
    score = np.where(items >= 0, -np.arange(k, dtype=np.float32)[None, :], np.float32(-np.inf)).astype(np.float32)
    return TopK(wanted, items, score, log.users, log.items, log.titles)


def pairs(path: str | Path) -> Table:
    """The `user,item` rows of a list file in their order; a column `rank` puts each user's rows in its order."""
    path = Path(path)
    table = build(READERS.get(guess(path)), {"path": path}, str(path)).table()
    if len(table.frame) == 0:
        raise DataError(path, "it has no rows", "user,item rows", "Write the lists again.")
    return table


def judge(lists: TopK, path: str | Path, task: Task) -> Evaluation:
    """Score lists against a file of answers, `user,item` rows. An answer with an item the log lacks is a miss."""
    table = pairs(path)
    user = lists.users.encode(table.frame["user"])
    if (user < 0).any():
        place = table.place(int(np.flatnonzero(user < 0)[0]))
        raise DataError(place, "its user is not in the log", "answers of known users", "Drop the row.")
    items = Vocabulary.of(pl.concat([lists.items.ids, table.frame["item"].cast(lists.items.ids.dtype)]))
    recoded = np.where(lists.item >= 0, items.encode(lists.items.ids)[lists.item], np.int32(-1)).astype(np.int32)
    who, row = np.unique(user, return_inverse=True)
    asked = (who.astype(np.int32), lists.users, items)
    answers = Answers.of(row, items.encode(table.frame["item"]), np.zeros(len(row), dtype=np.int8), ("all",), asked)
    names = [name for name in dict.fromkeys([task.metric, *task.also]) if not name.startswith("popularity@")]
    judged = TopK(lists.user, recoded, lists.score, lists.users, items)
    return evaluate(judged, answers, [name for name in names if parse(name).k <= lists.k], task.profile)
