"""New users: whole people held out, a part of each one's history shown."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from split_logs import Row, answer_pairs, answers, asked, check_sound, pairs, picture, renamed, rows, shuffled, without
from split_timelines import log_of

from matinee import split
from matinee.errors import SpecError, SplitError

MANY = [(f"u{u:03}", f"i{(3 * u + i) % 40:02}", i) for u in range(200) for i in range(1 + u % 20)]


@given(of=rows(), order=st.sampled_from(["random", "time"]), fold_in=st.sampled_from([0.2, 0.5, 0.8]))
def test_by_definition(of: list[Row], order: str, fold_in: float):
    sizes = Counter(u for u, _, _ in of)
    assume(len(sizes) > 1 and max(sizes.values()) > 1)
    log = log_of(of)
    found = split.new_users(log, users=1, order=order, fold_in=fold_in, seed=2)  # pyright: ignore[reportArgumentType]
    check_sound(found, log)
    assert found.query.user.tolist() == [-1]
    (who,) = answers(found)
    shown, answer = [i for i, _ in asked(found)[who]], set(answers(found)[who])
    assert not {u for u, _ in pairs(found.train)} & {who}
    assert pairs(found.train) + answer_pairs(found) + Counter((who, i) for i in shown) == pairs(log)
    assert len(answer) == min(max(int((1 - fold_in) * sizes[who] + 0.5), 1), sizes[who] - 1)
    if order == "time":
        assert shown + sorted(answer, key=lambda i: next((t, i) for u, j, t in of if (u, j) == (who, i))) == [
            i for _, i in sorted((t, i) for u, i, t in of if u == who)
        ]


@given(of=rows(repeats=True), data=st.data())
def test_nothing_but_the_person_matters(of: list[Row], data: st.DataObject):
    try:
        found = split.new_users(log_of(of), fraction=0.6, seed=4)
    except SplitError:
        return
    assert picture(split.new_users(log_of(shuffled(of, 1)), fraction=0.6, seed=4)) == picture(found)
    who = data.draw(st.sampled_from(sorted(answers(found))))
    changed = [renamed(of, who)]
    others = sorted({u for u, _, _ in of} - {who})
    changed += [without(of, other) for other in others[:1]]
    for log in changed:
        try:
            again = split.new_users(log, fraction=0.6, seed=4)
        except SplitError:  # nobody is left to learn from
            continue
        assert answers(again)[who] == answers(found)[who]
        assert asked(again)[who] == asked(found)[who]


def test_number_and_share():
    log = log_of(MANY)
    assert len(split.new_users(log, users=37).target) == 37
    share = len(split.new_users(log, fraction=0.3).target) / 190
    assert abs(share - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 190)
    assert answers(split.new_users(log, users=20)).keys() < answers(split.new_users(log, users=37)).keys()
    assert all(len([1 for u, _, _ in MANY if u == who]) > 1 for who in answers(split.new_users(log, users=190)))


def test_stop_asks_other_people():
    outer = split.new_users(log_of(MANY), users=120)
    inner = outer.validation_split()
    assert len(inner.target) == 35  # half of the 70 that are left
    assert not answers(inner).keys() & answers(outer).keys()
    assert not {u for u, _ in pairs(inner.train)} & answers(outer).keys()
    assert set(inner.query.user.tolist()) == {-1}


def test_refusals():
    log = log_of(MANY)
    with pytest.raises(SplitError, match="190 of 200 users can be held out with users = 191"):
        split.new_users(log, users=191)
    with pytest.raises(SplitError, match="at least one training user"):
        split.new_users(log_of([("u", "a", 0), ("u", "b", 1)]), users=1)
    with pytest.raises(SplitError, match="no times"):
        split.new_users(log_of(MANY, clock="none"), users=3, order="time")
    assert len(split.new_users(log_of(MANY, clock="none"), users=3).target) == 3
    for knobs in ({}, {"users": 3, "fraction": 0.1}, {"users": 0}):
        with pytest.raises(SpecError):
            split.new_users(log, **knobs)
