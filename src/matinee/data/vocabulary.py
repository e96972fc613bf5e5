"""Raw ids ↔ codes: sorted, dense, made once per experiment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.kernel import kernel

LOOKUP_SPREAD = 64
"""A table of all possible integer ids is used while it has at most this many cells an id."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Raw ids in ascending order; the code of an id is its position, 0..n−1.

    `ids` is a series of int64 or of text. −1 is the code of an id that is not here.
    """

    ids: pl.Series

    @staticmethod
    def of(values: pl.Series | Iterable[int] | Iterable[str]) -> Vocabulary:
        """Vocabulary of the distinct values; whole numbers become int64, others text.

        Nulls are dropped.
        """
        series = _normalize_dtype(values if isinstance(values, pl.Series) else pl.Series(list(values)))
        if series.dtype == pl.Int64 and len(series):
            present = _presence(series)
            if present is not None:
                low = int(series.min())  # pyright: ignore[reportArgumentType]
                return Vocabulary(pl.Series("id", np.flatnonzero(present) + low))
        return Vocabulary(series.drop_nulls().unique().sort().rename("id"))

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Vocabulary) and self.fingerprint == other.fingerprint)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def is_text(self) -> bool:
        """Whether the raw ids are text and not whole numbers."""
        return self.ids.dtype == pl.String

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the ids in order."""
        if self.is_text:
            return hashlib.sha256("\x00".join(self.ids.to_list()).encode()).hexdigest()
        return hashlib.sha256(self.ids.to_numpy().tobytes()).hexdigest()

    def encode(self, values: pl.Series | Iterable[int] | Iterable[str]) -> NDArray[np.int32]:
        """Codes (n,) of raw ids (n,); −1 for unknown ids and null."""
        series = values if isinstance(values, pl.Series) else pl.Series(list(values))
        if len(series) == 0 or len(self) == 0:
            return np.full(len(series), -1, dtype=np.int32)
        series = _cast(_normalize_dtype(series), self.ids.dtype)
        if self.is_text:
            codes = series.cast(pl.Enum(self.ids), strict=False).to_physical()
            return codes.cast(pl.Int32).fill_null(-1).to_numpy()
        return _encode_integers(self.ids.to_numpy(), series)

    def decode(self, codes: NDArray[np.integer]) -> pl.Series:
        """Raw ids (n,) of codes (n,); null where the code is −1."""
        wanted = pl.Series("code", codes)
        if len(wanted) and int(codes.min()) < 0:
            wanted = wanted.set(wanted < 0, None)
        return self.ids.gather(wanted)


def raw_ids(values: Iterable[Any]) -> pl.Series:
    """Series of raw ids from Python, NumPy or Polars values; mixed types become text."""
    return pl.Series([value.item() if isinstance(value, np.generic) else value for value in values], strict=False)


def _normalize_dtype(series: pl.Series) -> pl.Series:
    """Whole numbers as int64, everything else as text."""
    if series.dtype.is_integer():
        return series.cast(pl.Int64)
    return series if series.dtype == pl.String else series.cast(pl.String)


def whole_numbers(text: pl.Series) -> pl.Series:
    """Text as int64; null for words and spellings such as `007`, `+7` and `-0`."""
    plain = text.str.strip_chars()
    if plain.str.contains(".", literal=True).any():
        plain = plain.str.replace(r"\.0+$", "")
    whole = plain.cast(pl.Int64, strict=False)
    if whole.null_count() == len(whole):
        return whole
    other = plain.str.contains(r"^(?:\+|-?0\d|-0$)")
    return whole.set(other, None) if other.any() else whole


def _cast(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """`series` in the type of the vocabulary; what does not convert is null, hence unknown."""
    if series.dtype == dtype:
        return series
    return (
        whole_numbers(series) if dtype == pl.Int64 and series.dtype == pl.String else series.cast(dtype, strict=False)
    )


def _presence(series: pl.Series) -> NDArray[np.bool_] | None:
    """A table low..high of which integers occur, or None where it would be sparse."""
    low, high = series.min(), series.max()
    if not isinstance(low, int) or not isinstance(high, int) or high - low > LOOKUP_SPREAD * len(series):
        return None
    present = np.zeros(high - low + 1, dtype=np.bool_)
    present[series.drop_nulls().to_numpy() - low] = True
    return present


def _encode_integers(ids: NDArray[np.int64], series: pl.Series) -> NDArray[np.int32]:
    low, high = int(ids[0]), int(ids[-1])
    values = series.fill_null(high + 1 if high < np.iinfo(np.int64).max else low - 1).to_numpy()
    if high - low <= LOOKUP_SPREAD * max(len(ids), len(values)):
        table = np.full(high - low + 2, -1, dtype=np.int32)
        table[ids - low] = np.arange(len(ids), dtype=np.int32)
        return _look_up(table, low, values)
    at = np.minimum(np.searchsorted(ids, values), len(ids) - 1)
    return np.where(ids[at] == values, at, -1).astype(np.int32)


@kernel
def _look_up(table: NDArray[np.int32], low: int, values: NDArray[np.int64]) -> NDArray[np.int32]:
    codes = np.empty(len(values), dtype=np.int32)
    last = len(table) - 1
    for i in range(len(values)):
        at = values[i] - low
        codes[i] = table[at] if 0 <= at < last else -1
    return codes
