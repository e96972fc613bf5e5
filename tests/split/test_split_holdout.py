"""Mixture, random and tail: whose rows go where, by definition and under every change that must not matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from split_logs import Row, answer_pairs, answers, asked, check_sound, pairs, picture, renamed, rows, shuffled, without
from split_timelines import log_of

from matinee import split
from matinee.data import Interactions
from matinee.errors import SplitError
from matinee.split import Split

Cut = Callable[[Interactions], Split]
CUTS: dict[str, Cut] = {
    "mixture": lambda log: split.mixture(log, n_random=2, n_last=1, seed=3),
    "random": lambda log: split.random(log, n=2, seed=3),
    "fraction": lambda log: split.random(log, fraction=0.4, seed=3),
    "last_n": lambda log: split.last_n(log, n=2),
}


def longest(of: list[Row]) -> int:
    return max(Counter(u for u, _, _ in of).values())


@pytest.mark.parametrize("name", CUTS)
@given(of=rows())
def test_learn_and_answer_are_the_log(name: str, of: list[Row]):
    assume(longest(of) > 1)
    log = log_of(of)
    found = CUTS[name](log)
    check_sound(found, log)
    assert pairs(found.train) + answer_pairs(found) == pairs(log)
    assert not pairs(found.train).keys() & answer_pairs(found).keys()
    for user, history in asked(found).items():
        assert Counter(item for item, _ in history) == Counter(
            {i: n for (u, i), n in pairs(found.train).items() if u == user}
        )
        assert [t for _, t in history] == sorted(t for _, t in history)
    everybody = {u for u, _, _ in of}
    assert {u for u, _ in pairs(found.train)} == everybody


@pytest.mark.parametrize("name", CUTS)
@given(of=rows(repeats=True), data=st.data())
def test_nothing_but_the_person_matters(name: str, of: list[Row], data: st.DataObject):
    assume(longest(of) > 1)
    try:
        found = CUTS[name](log_of(of))
    except SplitError:
        return
    assert picture(CUTS[name](log_of(shuffled(of, 1)))) == picture(found)
    here = answers(found)
    who = data.draw(st.sampled_from(sorted(here)))
    assert answers(CUTS[name](renamed(of, who)))[who] == here[who]
    others = sorted({u for u, _, _ in of} - {who})
    if others:
        left = CUTS[name](without(of, data.draw(st.sampled_from(others))))
        assert answers(left)[who] == here[who]
        assert asked(left)[who] == asked(found)[who]


@given(of=rows(repeats=True), r=st.integers(0, 4), t=st.integers(0, 4))
def test_mixture_by_definition(of: list[Row], r: int, t: int):
    assume(r + t > 0)
    log = log_of(of)
    try:
        found = split.mixture(log, n_random=r, n_last=t, seed=1)
    except SplitError:
        assert all(len({i for u2, i, _ in of if u2 == u}) == 1 or r + t == 0 for u, _, _ in of)
        return
    check_sound(found, log)
    for user, row in answers(found).items():
        own = sorted((s, i) for u, i, s in of if u == user)
        n = len(own)
        total = min(r + t, n - 1)
        tail = t if total == r + t else int(total * t / (r + t) + 0.5)
        rest, end = [i for _, i in own[: n - tail]], {i for _, i in own[n - tail :]}
        assert {i for i, part in row.items() if part == "last"} == end
        drawn = {i for i, part in row.items() if part == "random"}
        pool = set(rest) - end
        assert drawn <= pool
        assert len(drawn) == min(total - tail, len(pool), len(set(rest)) - 1)
        kept = Counter(i for i in rest if i not in drawn)
        assert Counter(i for i, _ in asked(found)[user]) == kept


@given(of=rows(), k=st.integers(1, 5))
def test_tail_is_no_earlier_than_what_is_learnt(of: list[Row], k: int):
    assume(longest(of) > 1)
    found = split.last_n(log_of(of), n=k)
    when = {(u, i): s for u, i, s in of}
    for user, row in answers(found).items():
        n = sum(u == user for u, _, _ in of)
        assert len(row) == min(k, n - 1)
        first = min((when[user, i], i) for i in row)
        assert max((s, i) for i, s in asked(found)[user]) < first


@pytest.mark.parametrize(
    ("length", "expected"), [(1, None), (2, (1, 0)), (3, (1, 1)), (6, (3, 2)), (9, (6, 2)), (11, (7, 3)), (30, (7, 3))]
)
def test_short_histories_give_fewer_of_each(length: int, expected: tuple[int, int] | None):
    of = [("long", f"i{i:02}", i) for i in range(30)] + [("own", f"i{i:02}", i) for i in range(length)]
    parts = answers(split.mixture(log_of(of), n_random=7, n_last=3)).get("own")
    count = Counter((parts or {}).values())
    assert (None if parts is None else (count["random"], count["last"])) == expected


def test_short_is_skipped_or_refused():
    of = (
        [("long", f"i{i:02}", i) for i in range(11)] + [("own", f"i{i:02}", i) for i in range(10)] + [("one", "i00", 0)]
    )
    log = log_of(of)
    skipped = split.mixture(log, short_histories="skip")
    assert set(answers(skipped)) == {"long"}
    assert pairs(skipped.train) + answer_pairs(skipped) == pairs(log)
    with pytest.raises(SplitError, match=r"2 of 3 users are too short for 10 targets, the shortest has 1 row;"):
        split.mixture(log, short_histories="error")
    assert len(split.mixture(log_of(of[:11]), short_histories="error").target) == 1
    with pytest.raises(SplitError, match="no user has enough interactions"):
        split.random(log_of([("one", "i00", 0), ("one", "i00", 1), ("two", "i01", 0)]), n=1)
    with pytest.raises(SplitError, match="no user has enough interactions"):
        split.mixture(log_of(of[11:]), short_histories="skip")


def test_most_caps_the_share_of_a_history():
    log = log_of([("own", f"i{i:02}", i) for i in range(10)] + [("two", "i00", 0), ("two", "i01", 1)])
    capped = answers(split.last_n(log, n=8, max_fraction=0.3))
    assert set(capped["own"]) == {"i07", "i08", "i09"}
    assert set(capped["two"]) == {"i01"}
    assert len(answers(split.random(log, n=8, max_fraction=0.5))["own"]) == 5


def test_a_fraction_is_of_the_different_items():
    of = [("own", f"i{i % 10:02}", i) for i in range(40)]
    found = split.random(log_of(of), fraction=0.25)
    assert len(answers(found)["own"]) == 3
    assert len(found.train) == 28


def test_equal_lengths_do_not_share_their_draw():
    """The seed systems drew the same positions for all users of one length."""
    of = [(f"u{u}", f"i{i:02}", i) for u in range(400) for i in range(20)]
    found = answers(split.random(log_of(of), n=5, seed=22))
    assert len({frozenset(row) for row in found.values()}) > 380
    where = np.array([int(i[1:]) for row in found.values() for i in row])
    assert abs(where.mean() - 9.5) < 4 * 5.77 / np.sqrt(len(where))
    share = np.bincount(where, minlength=20) / 400
    assert share.min() > 0.25 - 4.5 * 0.0217
    assert share.max() < 0.25 + 4.5 * 0.0217


def test_all_sets_of_items_are_drawn_alike():
    of = [(f"u{u}", f"i{i}", i) for u in range(6000) for i in range(4)]
    found = Counter(frozenset(row) for row in answers(split.random(log_of(of), n=2, seed=5)).values())
    assert len(found) == 6
    assert sum((n - 1000) ** 2 / 1000 for n in found.values()) < 20.5  # chi², 5 degrees of freedom, p = .001


@pytest.mark.parametrize("cut", [split.mixture, split.last_n])
def test_order_is_needed(cut: Cut):
    log = log_of([("u", f"i{i}", 0) for i in range(5)], clock="none")
    with pytest.raises(SplitError, match="the log has no times"):
        cut(log)
    assert len(split.mixture(log, n_random=2, n_last=0).target) == 1
    assert len(split.random(log, n=2).target) == 1
