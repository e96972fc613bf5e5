"""Checks of codes and ragged rows, done once in constructors; kernels do not repeat them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matinee.errors import DataError

ENCODE = "Vocabulary.encode gives codes, −1 for an unknown id: leave it out. Histories.from_raw takes raw ids."


def codes_of(where: str, values: ArrayLike, n: int, *, missing: bool = False) -> NDArray[np.int32]:
    """Codes 0..n−1 as int32, or −1 if `missing`; raises `DataError` otherwise."""
    try:
        code = np.asarray(values)
    except ValueError:  # rows of different lengths
        code = np.empty(0, dtype=object)
    if code.size == 0 and code.ndim == 1 and code.dtype != object:
        return np.zeros(0, dtype=np.int32)
    if code.dtype.kind not in "iu" or code.ndim != 1:
        found = f"found {_described(code)}"
        raise DataError(where, found, f"whole numbers, {_range(n, missing=missing)}, in one dimension", ENCODE)
    _check_range(where, code, n, missing=missing)
    return code.astype(np.int32, copy=False)


def check_codes(where: str, code: NDArray[np.int32], n: int, *, missing: bool = False) -> None:
    """Raise `DataError` unless `code` is an int32 array of codes 0..n−1, or −1 where `missing`."""
    check_array(where, code, np.int32, np.shape(code))
    _check_range(where, code, n, missing=missing)


def numbers_of(where: str, values: ArrayLike, dtype: type[np.int64 | np.float32]) -> NDArray[Any]:
    """Whole numbers as int64, or numbers as float32; raises `DataError` otherwise."""
    array = np.asarray(values)
    if array.size and array.dtype.kind not in ("iu" if dtype is np.int64 else "iuf"):
        expected = "whole numbers" if dtype is np.int64 else "numbers"
        raise DataError(where, f"found {_described(array)}", expected, "Convert the column first.")
    return array.astype(dtype, copy=False)


def check_columns(owner: str, n: int, **columns: tuple[NDArray[Any], type[np.generic]]) -> None:
    """Raise `DataError` unless every column is a flat array of its type with n entries."""
    for name, (array, dtype) in columns.items():
        check_array(f"{owner}.{name}", array, dtype, (n,))


def check_array(where: str, array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    """Raise `DataError` unless `array` is an array of this type and shape."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:  # pyright: ignore[reportUnnecessaryIsInstance]
        wanted = np.dtype(dtype).name
        found = f"found {_described(np.asarray(array))}"
        raise DataError(where, found, f"an array of {wanted}", f"Convert it with np.asarray(…, dtype=np.{wanted}).")
    if array.shape != shape:
        raise DataError(where, f"found the shape {array.shape}", f"{shape}", "Give one entry for each row.")


def check_offsets(where: str, offsets: NDArray[np.int64], n_rows: int, n_entries: int) -> None:
    """Raise `DataError` unless `offsets` (n_rows + 1,) ascend from 0 to `n_entries`."""
    check_array(where, offsets, np.int64, (n_rows + 1,))
    falling = bool((offsets[1:] < offsets[:-1]).any())
    if offsets[0] != 0 or offsets[-1] != n_entries or falling:
        found = f"found {offsets[0]} to {offsets[-1]}{', not ascending' if falling else ''}"
        raise DataError(where, found, f"offsets that ascend from 0 to the {n_entries:,} entries", "Add up the lengths.")


def _check_range(where: str, code: NDArray[np.integer], n: int, *, missing: bool) -> None:
    lowest = -1 if missing else 0
    if code.size == 0 or (int(code.min()) >= lowest and int(code.max()) < n):
        return
    bad = np.flatnonzero((code < lowest) | (code >= n))
    value, at = int(code.flat[bad[0]]), int(bad[0])
    more = f", and {len(bad) - 1:,} more" if len(bad) > 1 else ""
    raise DataError(where, f"found the code {value} at position {at}{more}", _range(n, missing=missing), ENCODE)


def _range(n: int, *, missing: bool) -> str:
    if n == 0:
        return "only −1: the vocabulary is empty" if missing else "no code at all: the vocabulary is empty"
    return f"codes 0 to {n - 1}" + (" or −1" if missing else "")


def _described(array: NDArray[Any]) -> str:
    """Description of an array for messages: type, shape unless flat, first value."""
    kinds = {"U": "text", "f": "fractions", "b": "booleans", "O": "mixed values", "i": str(array.dtype)}
    kind = kinds.get(array.dtype.kind, str(array.dtype))
    shape = "" if array.ndim == 1 else f" of the shape {array.shape}"
    return f"{kind}{shape}" + (f" ({array.flat[0]!s:.40})" if array.size else "")
