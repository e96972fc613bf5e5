"""Temporal: one moment for everybody, and several of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from split_logs import Row, answers, asked, check_sound, pairs, picture, rows, shuffled, without
from split_timelines import DAY, log_of

from matinee import split
from matinee.errors import SpecError, SplitError
from matinee.split import PROTOCOLS

HOUR = 3600


def moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR, UTC)


@given(of=rows(repeats=True), cut=st.integers(1, 12), hours=st.none() | st.integers(1, 12))
def test_by_definition(of: list[Row], cut: int, hours: int | None):
    log, end = log_of(of), 10**9 if hours is None else (cut + hours) * HOUR
    learnt = {u for u, _, t in of if t < cut * HOUR}
    expected = {(u, i) for u, i, t in of if cut * HOUR <= t < end and u in learnt}
    try:
        found = split.temporal(log, at=moment(cut), days=None if hours is None else hours / 24)
    except SplitError:
        assert not expected
        return
    check_sound(found, log)
    assert {(u, i) for u, row in answers(found).items() for i in row} == expected
    assert sorted(found.train.frame().rows()) == sorted(row for row in of if row[2] < cut * HOUR)
    for user, history in asked(found).items():
        assert sorted(history) == sorted((i, t) for u, i, t in of if u == user and t < cut * HOUR)


@given(of=rows(), data=st.data())
def test_nobody_else_matters_at_a_date(of: list[Row], data: st.DataObject):
    try:
        found = split.temporal(log_of(of), at=moment(6))
    except SplitError:
        return
    assert picture(split.temporal(log_of(shuffled(of, 1)), at=moment(6))) == picture(found)
    who = data.draw(st.sampled_from(sorted(answers(found))))
    others = sorted({u for u, _, _ in of} - {who})
    if others:
        left = split.temporal(log_of([row for row in of if row[0] != others[0]]), at=moment(6))
        assert answers(left)[who] == answers(found)[who]
        assert without(of, others[0]).n_users < log_of(of).n_users


YEAR = [(f"u{u}", f"i{(7 * u + d) % 50:02}", d * DAY) for u in range(12) for d in range(u % 3, 100, 3)]


@given(fraction=st.floats(0.02, 0.9))
def test_fraction_is_the_share_after_the_cut(fraction: float):
    log = log_of(YEAR)
    found = split.temporal(log, fraction=fraction)
    after = len(log) - len(found.train)
    assert fraction * len(log) - 1 <= after <= fraction * len(log) + 5  # ties at the cut stay together
    assert found.protocol == split.temporal(log, at=found.protocol.at).protocol  # pyright: ignore[reportAttributeAccessIssue]


def test_origins_and_step():
    log = log_of(YEAR)
    protocol = PROTOCOLS.read({"kind": "temporal", "at": date(1970, 3, 31), "days": 10, "origins": 3}, "split")
    cuts = protocol.splits(log)  # pyright: ignore[reportAttributeAccessIssue]
    assert [c.protocol.at.day for c in cuts] == [11, 21, 31]
    assert picture(cuts[-1]) == picture(protocol.split(log))
    assert len({c.fingerprint for c in cuts}) == 3
    for c in cuts:
        at = int(c.protocol.at.timestamp())
        assert c.train.time.max() < at
        assert sum(map(len, answers(c).values())) == len({(u, i) for u, i, t in YEAR if at <= t < at + 10 * DAY})


def test_stop_is_an_earlier_origin_at_the_same_horizon():
    log = log_of(YEAR)
    for outer in (split.temporal(log, at=moment(24 * 80), days=7), split.temporal(log, fraction=0.2)):  # type: ignore[arg-type]
        inner = outer.validation_split()
        horizon = timedelta(days=outer.protocol.days)  # pyright: ignore[reportAttributeAccessIssue]
        assert inner.protocol.at == outer.protocol.at - horizon  # pyright: ignore[reportAttributeAccessIssue]
        assert inner.protocol.days == outer.protocol.days  # pyright: ignore[reportAttributeAccessIssue]
        assert inner.train.time.max() < inner.protocol.at.timestamp()  # pyright: ignore[reportAttributeAccessIssue]
        assert not pairs(inner.train).keys() - pairs(outer.train).keys()
    with pytest.raises(SplitError, match="no user has rows both before"):
        split.temporal(log, at=moment(24 * 10)).validation_split()


def test_moments_are_utc_unless_said_otherwise():
    read = [
        PROTOCOLS.read({"kind": "temporal", "at": at}, "split").at  # pyright: ignore[reportAttributeAccessIssue]
        for at in (
            "1970-01-05",
            date(1970, 1, 5),
            datetime(1970, 1, 5),
            datetime(1970, 1, 5, 9, tzinfo=timezone(timedelta(hours=9))),
        )
    ]
    assert set(read) == {datetime(1970, 1, 5, tzinfo=UTC)}


def test_refusals():
    with pytest.raises(SplitError, match="only the order"):
        split.temporal(log_of(YEAR, clock="order"), fraction=0.1)
    with pytest.raises(SplitError, match="no times"):
        split.temporal(log_of(YEAR, clock="none"), fraction=0.1)
    with pytest.raises(SplitError, match="runs from 1970-01-01 to 1970-04-10"):
        split.temporal(log_of(YEAR), at=datetime(1980, 1, 1))
    with pytest.raises(SplitError, match="runs from 1970-01-01 to 1970-04-10"):
        split.temporal(log_of(YEAR), at=datetime(1969, 1, 1))
    for knobs in ({}, {"at": datetime(1970, 2, 1), "fraction": 0.1}, {"fraction": 0.1, "origins": 2}):
        with pytest.raises(SpecError):
            split.temporal(log_of(YEAR), **knobs)
