"""Which column is which, and raw columns made ids, seconds and weights: shared by all readers of tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import polars as pl

from matinee.data.interactions import TimeKind
from matinee.data.readers._ids import IdRule, Locator, pair_ids
from matinee.data.source import DataSpec
from matinee.data.time_range import UNITS
from matinee.errors import DataError, UnknownNameError

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

DATETIME_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
)
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
DAYS = ("%Y-%m-%d", "%Y/%m/%d")


class TabularSpec(DataSpec):
    """Options of all readers of tables with named columns."""

    user: str | None = None
    """The column of the user; by default found by its name."""

    item: str | None = None
    """The column of the item; by default found by its name."""

    time: str | None = None
    """The column of the time; by default found by its name, '' reads no times."""

    weight: str | None = None
    """The column of the weight, 0 or more; by default found by its name, '' reads no weights."""

    ids: IdRule = "auto"
    """Ids are whole numbers where all of a column are, or always text; 007 and +7 make a column text."""

    time_unit: Literal["s", "ms", "us", "ns", "order"] = "s"
    """The unit of times that are numbers, counted from 1970; "order" where they only say what came first."""


def resolve_columns(columns: Sequence[str], spec: TabularSpec, where: str) -> dict[str, str]:
    """Column of each role; named columns must exist, others are found by alias."""
    found: dict[str, str] = {}
    named: dict[str, str | None] = {"user": spec.user, "item": spec.item, "time": spec.time, "weight": spec.weight}
    for role, name in named.items():
        if name == "" and role in ("time", "weight"):
            continue
        if name is not None:
            if name not in columns:
                raise UnknownNameError("column", name, columns, where)
            found[role] = name
            continue
        column = by_alias(role, [c for c in columns if c not in named.values()])
        if column is not None:
            found[role] = column
        elif role in ("user", "item"):
            raise _no_column(role, columns, where)
    refuse_twice(columns, found.values(), where)
    return found


def refuse_twice(columns: Sequence[str], names: Iterable[str], where: str) -> None:
    """Refuse a name of several columns."""
    for name in names:
        number = list(columns).count(name)
        if number > 1:
            raise DataError(where, f"{number} columns are named {name!r}", "one", "Rename or remove the others.")


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


def convert_columns(raw: pl.DataFrame, spec: TabularSpec, place: Locator) -> tuple[pl.DataFrame, TimeKind, str]:
    """The table's frame from raw columns `user`, `item`, and where there are `time` and `weight`; clock and unit."""
    columns = {column.name: column for column in pair_ids(raw, spec.ids, place)}
    clock: TimeKind = "none"
    unit = ""
    if "time" in raw.columns:
        columns["time"], is_number = times(raw["time"], spec.time_unit, place)
        clock = "order" if spec.time_unit == "order" else "seconds"
        unit = spec.time_unit if is_number else ""
    if "weight" in raw.columns:
        columns["weight"] = weights(raw["weight"], place, allow_negative=spec.min_weight is not None)
    return pl.DataFrame(columns), clock, unit


def weights(values: pl.Series, place: Locator, *, allow_negative: bool) -> pl.Series:
    """Weights as float32; what is no finite number is refused, and unless allowed what is below 0."""
    numbers = _numbers(values, place, "weight").cast(pl.Float32)
    broken = (numbers.is_null() | ~numbers.is_finite()).fill_null(value=True).arg_true()
    if len(broken):
        row = int(broken[0])
        found = "the weight is empty" if values[row] is None else f"weight {_shown(values[row])}"
        raise DataError(place(row), found, "a finite number", "Mend the row or drop it, or say weight = ''.")
    least = numbers.min()
    if isinstance(least, float) and least < 0 and not allow_negative:
        row = int((numbers < 0).arg_true()[0])
        todo = "Say min_weight = 0 to drop such rows, a smaller min_weight to keep them, or weight = ''."
        raise DataError(place(row), f"weight {_shown(values[row])}", "0 or more", todo)
    return numbers


def times(values: pl.Series, unit: str, place: Locator) -> tuple[pl.Series, bool]:
    """Times as int64 seconds or positions; and whether they were numbers."""
    seconds, is_number = _seconds(values, unit, place)
    missing = seconds.is_null().arg_true()
    if len(missing):
        row = int(missing[0])
        found = "the time is empty" if values[row] is None else f"time {_shown(values[row])}"
        raise DataError(place(row), found, "a time", "Mend the row or drop it, or say time = ''.")
    if is_number and unit in ("ms", "us", "ns"):
        seconds = seconds // UNITS[unit]
    return seconds, is_number


def _shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _seconds(values: pl.Series, unit: str, place: Locator) -> tuple[pl.Series, bool]:
    """Seconds, and False; or numbers as they stand, and True; null where they are beyond 64 bits."""
    if values.dtype == pl.Date:
        return values.cast(pl.Int32).cast(pl.Int64) * 86_400, False
    if values.dtype == pl.Datetime:
        return values.dt.epoch("us") // 1_000_000, False
    if values.dtype == pl.String and not looks_numeric(values):
        return _datetimes(values, place), False
    numbers = _numbers(values, place, "time")
    if numbers.dtype.is_float():
        numbers = numbers.fill_nan(None)
        numbers = numbers.rank("dense") if unit == "order" else numbers.floor()
    return numbers.cast(pl.Int64, strict=False), True


def looks_numeric(values: pl.Series) -> bool:
    """Whether most of the first texts are numbers."""
    head = values.drop_nulls().head(100).str.strip_chars()
    return len(head) > 0 and head.cast(pl.Float64, strict=False).null_count() * 2 <= len(head)


def _numbers(values: pl.Series, place: Locator, name: str) -> pl.Series:
    """A numeric series as it is; text parsed, the first that is no number refused."""
    if values.dtype.is_numeric():
        return values if values.dtype.is_integer() or values.dtype.is_float() else values.cast(pl.Float64)
    if values.dtype == pl.Null or values.dtype == pl.Boolean:
        return values.cast(pl.Int64)
    if not any(values.dtype == kind for kind in (pl.String, pl.Categorical, pl.Enum)):
        raise DataError(place(0), f"the {name} is a {values.dtype}", "a number", "Convert it.")
    text = values.cast(pl.String).str.strip_chars()
    text = text.set(text == "", None) if (text == "").any() else text
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return whole
    numbers = text.cast(pl.Float64, strict=False)
    broken = (numbers.is_null() & text.is_not_null()).arg_true()
    if len(broken):
        row = int(broken[0])
        raise DataError(place(row), f"{name} {_shown(values[row])}", "a number", "Mend the row or drop it.")
    return numbers


def _datetimes(values: pl.Series, place: Locator) -> pl.Series:
    """Seconds since 1970 of dates written year first; without a zone they are UTC."""
    text = values.str.strip_chars()
    seconds = pl.Series(values.name, [None], dtype=pl.Int64).new_from_index(0, len(text))
    for form in (*DATETIME_FORMATS, *ZONED, *DAYS):
        open_rows = seconds.is_null() & text.is_not_null()
        if not open_rows.any():
            break
        seconds = seconds.zip_with(~open_rows, _parsed(text.set(~open_rows, None), form))
    broken = (seconds.is_null() & text.is_not_null() & (text != "")).arg_true()
    if len(broken):
        row = int(broken[0])
        found, wanted = f"time {_shown(values[row])}", "seconds since 1970 or a date like 2024-03-31 20:15:00"
        raise DataError(place(row), found, wanted, "Rewrite the times.")
    return seconds


def _parsed(text: pl.Series, form: str) -> pl.Series:
    if form in DAYS:
        return text.str.to_date(form, strict=False).cast(pl.Int32).cast(pl.Int64) * 86_400
    return text.str.to_datetime(form, time_unit="us", strict=False).dt.epoch("us") // 1_000_000
