"""Times outside the decades that logs come from: another unit, a date in digits, or a word for missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.errors import DataError

Bounds: TypeAlias = tuple[date | datetime, date | datetime]
"""The first moment that a time may be, and the first that it may not."""

UNITS: dict[str, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
NAMES = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
DIGITS = {"YYYYMMDD": 8, "YYYYMMDDHHMM": 12, "YYYYMMDDHHMMSS": 14}
EARLIEST = 100_000_000
"""Seconds of March 1973: a log with a smaller median has positions, years or days, not seconds."""

SAMPLE = 10_000
"""Number of times inspected to detect their unit."""

DISTINCT = 10
"""Fewer different times than this may look like dates in digits by chance."""


def seconds_of(moment: date | datetime) -> int:
    """Seconds since 1970; a moment without a zone is UTC, a day begins at midnight."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def check_times(
    seconds: pl.Series,
    bounds: Bounds,
    unit: str,
    where: str,
    place: Callable[[int], str],
) -> None:
    """Refuse a log with times outside `bounds`, with the likely unit or first row.

    `unit` is that of the numbers in the file, "" where it has dates.
    """
    low, high = (seconds_of(bound) for bound in bounds)
    first, last = seconds.min(), seconds.max()
    if not isinstance(first, int) or not isinstance(last, int):
        return
    if first < low or last >= high:
        if unit == "s":
            _refuse_most(seconds, low, high, where)
        _refuse_row(seconds, (low, high), bounds, place)
    if unit == "s":
        _refuse_digits(seconds, where)


def _refuse_most(seconds: pl.Series, low: int, high: int, where: str) -> None:
    """Refuse numbers with a median outside the bounds: another unit, or no times."""
    typical = int(np.median(_sample(seconds).to_numpy()))
    if low <= typical < high:
        return
    found, column = f"half the times lie above {typical}", f"{where} column 'time'"
    for name, digits in DIGITS.items():
        start, stop = (int(str(year).ljust(digits, "0")) for year in (1900, 2101))
        if start <= typical < stop:
            raise DataError(
                column, f"{found}, which looks like {name}", "seconds since 1970", "Write dates as YYYY-MM-DD."
            )
    for unit, name in NAMES.items():
        if low <= typical // UNITS[unit] < high:
            todo = f"Divide by {UNITS[unit]}, or say time_unit = '{unit}'."
            raise DataError(column, f"{found}, which looks like {name}", "seconds since 1970", todo)
    if typical < EARLIEST:
        found = f"{found}, which is not a Unix timestamp in seconds (at least {EARLIEST})"
        todo = "Set time_unit = 'order' if they are positions, or time = '' to ignore them."
        raise DataError(column, found, "seconds since 1970", todo)


def _refuse_row(
    seconds: pl.Series,
    limits: tuple[int, int],
    bounds: Bounds,
    place: Callable[[int], str],
) -> None:
    rows = ((seconds < limits[0]) | (seconds >= limits[1])).arg_true()
    row = int(rows[0])
    more = f", and {len(rows) - 1:,} rows more are outside" if len(rows) > 1 else ""
    found = f"its time is {np.datetime64(int(seconds[row]), 's')} UTC ({int(seconds[row])} seconds since 1970){more}"
    start, stop = bounds
    todo = f"Mend or drop such rows, look at time_unit, or widen time_range = ['{start}', '{stop}']."
    raise DataError(place(row), found, f"times from {start} to {stop} (time_range)", todo)


def _refuse_digits(seconds: pl.Series, where: str) -> None:
    """Refuse numbers that are all dates in ten digits, which as seconds lie inside the bounds too."""
    number = np.unique(_sample(seconds).to_numpy())
    if len(number) < DISTINCT or number[0] < 10**9:
        return
    a, b, c, d = (number // 10**6, number // 10**4 % 100, number // 100 % 100, number % 100)
    with_hours = (a >= 1990) & (a < 2100) & _within(b, 1, 12) & _within(c, 1, 31) & _within(d, 0, 23)
    with_minutes = _within(a % 100, 1, 12) & _within(b, 1, 31) & _within(c, 0, 23) & _within(d, 0, 59)
    name = "YYYYMMDDHH" if with_hours.all() else "YYMMDDHHMM" if with_minutes.all() else ""
    if name:
        found = f"all times look like {name}, such as {number[0]}"
        raise DataError(f"{where} column 'time'", found, "seconds since 1970", "Write dates as YYYY-MM-DD HH:MM.")


def _within(value: NDArray[np.int64], low: int, high: int) -> NDArray[np.bool_]:
    return (value >= low) & (value <= high)


def _sample(seconds: pl.Series) -> pl.Series:
    return seconds.gather_every(len(seconds) // SAMPLE + 1)
