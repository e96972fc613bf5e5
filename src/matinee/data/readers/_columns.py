"""Which column is which, and raw columns made ids, seconds and weights: shared by all readers of tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import polars as pl

from matinee.data.interactions import Clock
from matinee.data.source import DataSpec
from matinee.errors import DataError, UnknownName

Place: TypeAlias = Callable[[int], str]
"""Where a row stands, for messages."""

ALIASES: dict[str, tuple[str, ...]] = {
    "user": (
        "user", "userid", "uid", "useridx", "userindex", "profileid", "profile", "customer", "customerid", "memberid",
        "member", "visitorid", "visitor", "accountid", "account", "reviewerid", "personid", "person", "sessionid",
    ),
    "item": (
        "item", "itemid", "iid", "itemidx", "itemindex", "movieid", "movie", "videoid", "video", "albumid", "album",
        "productid", "product", "parentasin", "asin", "trackid", "track", "songid", "song", "artistid", "artist",
        "bookid", "book", "articleid", "article", "newsid", "gameid", "game", "businessid", "poi", "stockcode", "sku",
    ),
    "time": (
        "timestamp", "time", "datetime", "date", "ts", "ratedat", "createdat", "eventtime", "unixtime", "purchasedat",
        "watchedat", "invoicedate",
    ),
    "weight": (
        "rating", "weight", "score", "count", "value", "stars", "playcount", "plays", "overall", "quantity",
    ),
}  # fmt: skip
"""Column names understood for each role, in order of preference, without case, spaces, hyphens and underscores."""

UNITS: dict[str, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
MOMENTS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
)
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
DAYS = ("%Y-%m-%d", "%Y/%m/%d")
SAMPLE = 10_000
"""How many times are looked at to judge their magnitude."""

EARLIEST = 1e8
"""Seconds of March 1973: a log whose median is below holds positions, years or days, not seconds."""


class Columned(DataSpec):
    """The knobs of every reader of tables with named columns."""

    user: str | None = None
    """The column of the user; by default found by its name."""

    item: str | None = None
    """The column of the item; by default found by its name."""

    time: str | None = None
    """The column of the time; by default found by its name, '' reads no times."""

    weight: str | None = None
    """The column of the weight; by default found by its name, '' reads no weights."""

    ids: Literal["auto", "text"] = "auto"
    """Ids are whole numbers where all of a column are, or always text; leading zeros make a column text."""

    time_unit: Literal["s", "ms", "us", "ns", "order"] = "s"
    """The unit of times that are numbers, counted from 1970; "order" where they only say what came first."""


def choose(columns: Sequence[str], spec: Columned, where: str) -> dict[str, str]:
    """The column of each role, user and item at least. Named columns must exist; others are found by alias."""
    found: dict[str, str] = {}
    named: dict[str, str | None] = {"user": spec.user, "item": spec.item, "time": spec.time, "weight": spec.weight}
    for role, name in named.items():
        if name == "" and role in ("time", "weight"):
            continue
        if name is not None:
            if name not in columns:
                raise UnknownName("column", name, columns, where)
            found[role] = name
            continue
        column = by_alias(role, [c for c in columns if c not in named.values()])
        if column is not None:
            found[role] = column
        elif role in ("user", "item"):
            raise _no_column(role, columns, where)
    return found


def by_alias(role: str, columns: Sequence[str]) -> str | None:
    """The column that goes by the most preferred alias of a role, or None."""
    plain = {_plain(column): column for column in reversed(columns)}
    return next((plain[alias] for alias in ALIASES[role] if alias in plain), None)


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c not in " _-.'\"")


def _no_column(role: str, columns: Sequence[str], where: str) -> DataError:
    headless = all(c.strip().lstrip("-").replace(".", "", 1).isdigit() for c in columns)
    todo = f"Name it with {role} = '…'."
    if headless:
        todo = "The first line looks like a row: add a line of column names above it."
    return DataError(
        where,
        f"no column for the {role} among {', '.join(map(repr, columns))}",
        f"one named like {', '.join(ALIASES[role])}",
        todo,
    )


def typed(raw: pl.DataFrame, spec: Columned, place: Place, where: str) -> tuple[pl.DataFrame, Clock]:
    """The table's frame from raw columns `user`, `item`, and where there are `time` and `weight`; and its clock."""
    columns = {name: ids(raw[name], spec.ids, place) for name in ("user", "item")}
    clock: Clock = "none"
    if "time" in raw.columns:
        columns["time"] = times(raw["time"], spec.time_unit, place, where)
        clock = "order" if spec.time_unit == "order" else "seconds"
    if "weight" in raw.columns:
        columns["weight"] = weights(raw["weight"], place)
    return pl.DataFrame(columns), clock


def ids(values: pl.Series, rule: Literal["auto", "text"], place: Place) -> pl.Series:
    """Ids as int64 where all are whole numbers, else as text; null where empty."""
    if values.dtype.is_float():
        values = _whole(values, place)
    if values.dtype.is_integer():
        as_whole = values.cast(pl.Int64, strict=False)
        fits = rule == "auto" and as_whole.null_count() == values.null_count()
        return as_whole if fits else values.cast(pl.String)
    if values.dtype == pl.Null:
        return values.cast(pl.Int64)
    if not any(values.dtype == kind for kind in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)):
        raise DataError(place(0), f"the {values.name} is a {values.dtype}", "a whole number or text", "Convert it.")
    text = values.cast(pl.String)
    text = text.set(text == "", None) if (text == "").any() else text
    if rule == "text" or text.str.contains(r"^\s*-?0\d").any():
        return text
    as_whole = text.str.strip_chars().cast(pl.Int64, strict=False)
    return as_whole if as_whole.null_count() == text.null_count() else text


def _whole(values: pl.Series, place: Place) -> pl.Series:
    values = values.fill_nan(None)
    broken = ((values != values.floor()) | values.is_infinite()).arg_true()
    if len(broken):
        row = int(broken[0])
        found = f"the {values.name} is {values[row]!r}"
        raise DataError(place(row), found, "a whole number or text", "Write ids as whole numbers or as text.")
    return values.cast(pl.Int64)


def weights(values: pl.Series, place: Place) -> pl.Series:
    """Weights as float32; what is no finite number is refused."""
    numbers = _numbers(values, place, "weight")
    broken = (numbers.is_null() | ~numbers.is_finite()).fill_null(value=True).arg_true()
    if len(broken):
        row = int(broken[0])
        found = "the weight is empty" if values[row] is None else f"weight {values[row]!r}"
        raise DataError(place(row), found, "a finite number", "Mend the row or drop it, or say weight = ''.")
    return numbers.cast(pl.Float32)


def times(values: pl.Series, unit: str, place: Place, where: str) -> pl.Series:
    """Times as int64 seconds since 1970, or as numbers that only say what came first."""
    seconds, is_number = _seconds(values, unit, place)
    missing = seconds.is_null().arg_true()
    if len(missing):
        row = int(missing[0])
        found = "the time is empty" if values[row] is None else f"time {values[row]!r}"
        raise DataError(place(row), found, "a time", "Mend the row or drop it, or say time = ''.")
    if is_number and unit == "s" and len(seconds):
        _check_magnitude(seconds, where)
    if is_number and unit in ("ms", "us", "ns"):
        seconds = seconds // UNITS[unit]
    return seconds


def _seconds(values: pl.Series, unit: str, place: Place) -> tuple[pl.Series, bool]:
    """Seconds, and False; or numbers as they stand, and True."""
    if values.dtype == pl.Date:
        return values.cast(pl.Int32).cast(pl.Int64) * 86_400, False
    if values.dtype == pl.Datetime:
        return values.dt.epoch("us") // 1_000_000, False
    if values.dtype == pl.String and not looks_numeric(values):
        return _moments(values, place), False
    numbers = _numbers(values, place, "time")
    if numbers.dtype.is_float():
        numbers = numbers.fill_nan(None)
        if unit == "order":
            numbers = numbers.rank("dense")
        infinite = numbers.is_infinite().fill_null(value=False)
        numbers = numbers.set(infinite, None).floor() if infinite.any() else numbers.floor()
    return numbers.cast(pl.Int64), True


def looks_numeric(values: pl.Series) -> bool:
    """Whether most of the first texts are numbers."""
    head = values.drop_nulls().head(100).str.strip_chars()
    return len(head) > 0 and head.cast(pl.Float64, strict=False).null_count() * 2 <= len(head)


def _numbers(values: pl.Series, place: Place, name: str) -> pl.Series:
    """A numeric series as it is; text parsed, the first that is no number refused."""
    if values.dtype.is_numeric():
        return values if values.dtype.is_integer() or values.dtype.is_float() else values.cast(pl.Float64)
    if values.dtype == pl.Null or values.dtype == pl.Boolean:
        return values.cast(pl.Int64)
    text = values.cast(pl.String).str.strip_chars()
    text = text.set(text == "", None) if (text == "").any() else text
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return whole
    numbers = text.cast(pl.Float64, strict=False)
    broken = (numbers.is_null() & text.is_not_null()).arg_true()
    if len(broken):
        row = int(broken[0])
        raise DataError(place(row), f"{name} {values[row]!r}", "a number", "Mend the row or drop it.")
    return numbers


def _moments(values: pl.Series, place: Place) -> pl.Series:
    """Seconds since 1970 of dates written year first; without a zone they are UTC."""
    text = values.str.strip_chars()
    seconds = pl.Series(values.name, [None], dtype=pl.Int64).new_from_index(0, len(text))
    for form in (*MOMENTS, *ZONED, *DAYS):
        open_rows = seconds.is_null() & text.is_not_null()
        if not open_rows.any():
            break
        seconds = seconds.zip_with(~open_rows, _parsed(text.set(~open_rows, None), form))
    broken = (seconds.is_null() & text.is_not_null() & (text != "")).arg_true()
    if len(broken):
        row = int(broken[0])
        found, wanted = f"time {values[row]!r}", "seconds since 1970 or a date like 2024-03-31 20:15:00"
        raise DataError(place(row), found, wanted, "Rewrite the times.")
    return seconds


def _parsed(text: pl.Series, form: str) -> pl.Series:
    if form in DAYS:
        return text.str.to_date(form, strict=False).cast(pl.Int32).cast(pl.Int64) * 86_400
    return text.str.to_datetime(form, time_unit="us", strict=False).dt.epoch("us") // 1_000_000


def _check_magnitude(seconds: pl.Series, where: str) -> None:
    """Refuse numbers whose median is no moment of the last decades: another unit, or no moments at all."""
    median = seconds.gather_every(len(seconds) // SAMPLE + 1).median()
    typical = float(median) if isinstance(median, int | float) else 0.0
    for unit, above in (("ns", 1e17), ("us", 1e14), ("ms", 1e11)):
        if typical > above:
            name = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit]
            raise DataError(
                f"{where} column 'time'",
                f"half the times lie above {typical:.0f}, which looks like {name}",
                "seconds since 1970",
                f"Divide by {UNITS[unit]}, or say time_unit = '{unit}'.",
            )
    if typical >= EARLIEST:
        return
    todo = "If they only say what came first, say time_unit = 'order'; if they mean nothing, time = ''."
    found = f"half the times lie above {typical:.0f}, which no clock has shown since {EARLIEST:.0f}"
    if 19_000_101 <= typical <= 21_001_231:
        found, todo = f"half the times lie above {typical:.0f}, which looks like YYYYMMDD", "Write dates as YYYY-MM-DD."
    raise DataError(f"{where} column 'time'", found, "seconds since 1970", todo)
