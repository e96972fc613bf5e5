"""The three people drawn in a protocol's docstring: read as a log, and drawn again from the split."""

from __future__ import annotations

import re
from types import ModuleType

import polars as pl

from matinee.data import Interactions, Vocabulary
from matinee.split import Split

DAY = 86_400
LINE = re.compile(r"^    (ann|ben|cat) +(.+?) +→ +(.+)$", re.M)


def drawn(module: ModuleType) -> list[tuple[str, list[str], list[str]]]:
    """Each person of the timeline: name, items by day, marks by day."""
    found = [(name, items.split(), marks.split()) for name, items, marks in LINE.findall(module.__doc__ or "")]
    assert [name for name, _, _ in found] == ["ann", "ben", "cat"]
    assert all(len(items) == len(marks) for _, items, marks in found)
    return found


def log_of(rows: list[tuple[str, str, int]], clock: str = "seconds") -> Interactions:
    """A log of (user, item, second)."""
    users, items = Vocabulary.of([r[0] for r in rows]), Vocabulary.of([r[1] for r in rows])
    user, item = users.encode([r[0] for r in rows]), items.encode([r[1] for r in rows])
    time = None if clock == "none" else pl.Series([r[2] for r in rows], dtype=pl.Int64).to_numpy()
    return Interactions.of((users, items), user, item, time, clock)  # pyright: ignore[reportArgumentType]


def before(module: ModuleType, marks: str | None = None) -> Interactions:
    """The log of the timeline; with `marks`, only the rows that carry one of them."""
    rows = [
        (name, item, day * DAY)
        for name, items, signs in drawn(module)
        for day, (item, sign) in enumerate(zip(items, signs, strict=True))
        if item != "." and (marks is None or sign in marks)
    ]
    return log_of(rows)


def after(module: ModuleType, split: Split, letters: dict[str, str]) -> list[list[str]]:
    """The marks of each person, found in the split alone."""
    learn = {tuple(row) for row in split.train.frame().select("user", "item", "time").rows()}
    asked = split.target.users.decode(split.target.user).to_list()
    past, answers = {}, {}
    for r, name in enumerate(asked):
        low, high = split.query.offsets[r : r + 2]
        items = split.query.items.decode(split.query.item[low:high]).to_list()
        past[name] = set(zip(items, split.query.time[low:high].tolist(), strict=True))
        low, high = split.target.offsets[r : r + 2]
        labels = [split.target.parts[p] for p in split.target.part[low:high]]
        answers[name] = dict(zip(split.target.items.decode(split.target.item[low:high]), labels, strict=True))

    def mark(name: str, item: str, day: int) -> str:
        row = (name, item, day * DAY)
        if item == ".":
            return "."
        if row in learn:
            return "=" if row[1:] in past.get(name, ()) else "·"
        if row[1:] in past.get(name, ()):
            return "?"
        return letters[answers[name][item]] if item in answers.get(name, ()) else "x"

    return [[mark(name, item, day) for day, item in enumerate(items)] for name, items, _ in drawn(module)]
