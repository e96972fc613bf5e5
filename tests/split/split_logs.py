"""Small logs for Hypothesis, and what a split says of one person in raw ids."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import strategies as st
from split_timelines import log_of

from matinee.data import Interactions
from matinee.split import Split

Row = tuple[str, str, int]


@st.composite
def rows(draw: st.DrawFn, *, repeats: bool = False, n_users: int = 5, longest: int = 9) -> list[Row]:
    """Rows (user, item, second) in no order; without repeats no (user, item) stands twice."""
    out: list[Row] = []
    for u in range(draw(st.integers(1, n_users))):
        items = draw(st.lists(st.integers(0, 11), min_size=1, max_size=longest, unique=not repeats))
        times = draw(st.lists(st.integers(0, 12), min_size=len(items), max_size=len(items)))
        out += [(f"u{u}", f"i{i:02}", t * 3600) for i, t in zip(items, times, strict=True)]
    return shuffled(out, draw(st.integers(0, 999)))


def shuffled(of: list[Row], seed: int) -> list[Row]:
    """The same rows in another order."""
    return [of[i] for i in np.random.default_rng(seed).permutation(len(of))]


def pairs(log: Interactions) -> Counter[tuple[str, str]]:
    """Rows of a log as (user, item), counted."""
    return Counter(zip(log.users.decode(log.user).to_list(), log.items.decode(log.item).to_list(), strict=True))


def answers(split: Split) -> dict[str, dict[str, str]]:
    """Person → item → the part it belongs to."""
    answer, out = split.target, {}
    item = answer.items.decode(answer.item).to_list()
    for r, user in enumerate(answer.users.decode(answer.user).to_list()):
        low, high = answer.offsets[r : r + 2]
        out[user] = {item[i]: answer.parts[answer.part[i]] for i in range(low, high)}
    return out


def answer_pairs(split: Split) -> Counter[tuple[str, str]]:
    """Answers as (user, item)."""
    return Counter((user, item) for user, row in answers(split).items() for item in row)


def asked(split: Split) -> dict[str, list[tuple[str, int]]]:
    """Person → the history asked about, oldest first."""
    ask, out = split.query, {}
    item = ask.items.decode(ask.item).to_list()
    for r, user in enumerate(split.target.users.decode(split.target.user).to_list()):
        low, high = ask.offsets[r : r + 2]
        out[user] = list(zip(item[low:high], ask.time[low:high].tolist(), strict=True))
    return out


def picture(split: Split) -> tuple[object, ...]:
    """All a split says, in raw ids: equal pictures are equal splits."""
    return sorted(split.train.frame().rows()), answers(split), asked(split)


def check_sound(split: Split, log: Interactions) -> None:
    """What every split keeps, whatever the protocol."""
    assert split.train.users == log.users
    assert split.train.items == log.items
    assert len(split.query) == len(split.target) > 0
    assert (split.target.count > 0).all()
    assert (np.diff(split.query.offsets) > 0).all()
    known = np.diff(split.train.offsets)[split.target.user] > 0
    assert split.query.user.tolist() == np.where(known, split.target.user, -1).tolist()
    assert split.source == log.fingerprint


def without(of: list[Row], user: str) -> Interactions:
    """The log had this person never been in it."""
    return log_of([row for row in of if row[0] != user])


def renamed(of: list[Row], keep: str) -> Interactions:
    """The log with everybody but one going by another name, before and behind in the alphabet."""
    return log_of([(u if u == keep else ("a" if int(u[1:]) % 2 else "z") + u, i, t) for u, i, t in of])
