"""Raw ids of users and items, checked alike in every reader: whole numbers or text without look-alikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import polars as pl

from matinee.data.vocabulary import whole_numbers
from matinee.errors import DataError

Locator: TypeAlias = Callable[[int], str]
"""Row number → file and line, for messages."""

IdRule: TypeAlias = Literal["auto", "text"]
"""The two values of the option `ids`."""

MISSING = ("NULL", "Null", "null", "NaN", "nan", "NAN", "None", "NA", "N/A", "n/a", "<NA>", "NaT", "#N/A", r"\N")
"""Words that programs write for a missing value; no user and no item has them as its id."""

STRAY = 100
"""Words in fewer than one row of so many are refused where the other ids are numbers."""

EXACT = 2.0**53
"""Floats from here on skip whole numbers."""


def ids(values: pl.Series, rule: IdRule, place: Locator) -> pl.Series:
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
    text = plain_text(values.cast(pl.String))
    _refuse_missing(text, place)
    if rule == "text":
        return text
    whole = whole_numbers(text)
    return whole if whole.null_count() == text.null_count() else text


def pair_ids(raw: pl.DataFrame, rule: IdRule, place: Locator) -> list[pl.Series]:
    """Ids of `user` and `item`; refuses a few words among numbers for rule "auto"."""
    both = [ids(raw[name], rule, place) for name in ("user", "item")]
    if rule == "auto" and not any(
        column.null_count() for column in both
    ):  # an empty id is refused elsewhere, and first
        for column in both:
            if column.dtype == pl.String:
                _refuse_strays(column, place)
    return both


def plain_text(text: pl.Series) -> pl.Series:
    """Text without blanks around it and in Unicode's form NFC; null where empty."""
    text = text.str.strip_chars()
    if (text.str.len_bytes() != text.str.len_chars()).any():
        text = text.str.normalize("NFC")
    empty = text == ""
    return text.set(empty, None) if empty.any() else text


def _whole(values: pl.Series, place: Locator) -> pl.Series:
    values = values.fill_nan(None)
    broken = ((values != values.floor()) | values.is_infinite() | (values.abs() > EXACT)).arg_true()
    if len(broken):
        row = int(broken[0])
        found = f"the {values.name} is {values[row]!r}"
        raise DataError(place(row), found, "a whole number or text", "Write ids as whole numbers or as text.")
    return values.cast(pl.Int64)


def _refuse_missing(text: pl.Series, place: Locator) -> None:
    rows = text.is_in(MISSING).arg_true()
    if len(rows):
        row = int(rows[0])
        more = f", and {len(rows) - 1:,} rows more have no id" if len(rows) > 1 else ""
        found = f"the {text.name} is {text[row]!r}, which means a missing value{more}"
        raise DataError(place(row), found, f"a {text.name} id in every row", "Fill it in or drop the row.")


def _refuse_strays(text: pl.Series, place: Locator) -> None:
    """Refuse a few words among numbers: what is left of a damaged line, a footer or a comment."""
    words = (~text.str.contains(r"^[+-]?\d+(?:\.0+)?$")).arg_true()
    if 0 < len(words) * STRAY < len(text):
        row = int(words[0])
        shown = text[row] if len(text[row]) <= 60 else f"{text[row][:60]}…"
        found = f"the {text.name} is {shown!r}, and all but {len(words):,} of {len(text):,} rows have numbers"
        todo = "Mend the row or drop it, or say ids = 'text'."
        raise DataError(place(row), found, f"{text.name} ids of one kind", todo)
