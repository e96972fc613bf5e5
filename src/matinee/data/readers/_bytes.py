"""Text files as bytes: opened, unpacked, checked, with line numbers of records."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matinee.data.readers._size import admit_gzip
from matinee.errors import DataError
from matinee.kernel import kernel

NO_QUOTE = 256
"""The code of a quote that no byte equals."""

GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, eq=False)
class Bytes:
    """Bytes of a text file (n,) uint8, mapped or unpacked in memory.

    `plain` is true if they are the file as stored on disk.
    """

    path: Path
    data: NDArray[np.uint8]
    plain: bool
    quote: int = ord('"')

    @cached_property
    def records(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First line number (r,) and length in bytes (r,) of every record; computed only for an error message."""
        return _records(self.data, self.quote)

    def line(self, record: int) -> int:
        """The line number, from 1, of a record counted from 0; blank lines are records too."""
        lines = self.records[0]
        return int(lines[min(record, len(lines) - 1)])

    def blank(self) -> NDArray[np.bool_]:
        """Which records (r,) are blank lines."""
        return self.records[1] == 0

    def source(self) -> Path | bytes:
        """What polars should read."""
        return self.path if self.plain else self.data.tobytes()

    def first_line(self) -> str:
        """The first line, without its end and without a byte order mark."""
        size = 65536
        while size < len(self.data) and not (self.data[:size] == ord("\n")).any():
            size *= 8
        head = self.data[:size].tobytes().decode("utf-8", "replace")
        return head.removeprefix("\ufeff").split("\n", 1)[0].rstrip("\r")

    def odd_numbers(self, separator: str) -> bool:
        """True if a field starts like 007, +7, -0 or with a blank."""
        quote = ord("\n") if self.quote == NO_QUOTE else self.quote
        return _odd_numbers(self.data, np.uint8(ord(separator)), np.uint8(quote))

    def check_fields(self, separator: str, fields: int) -> None:
        """Refuse a line with more or fewer fields, and bytes that are not text."""
        line, found = _first_ragged(self.data, ord(separator), fields - 1, self.quote)
        if found >= 0:
            raise DataError(
                f"{self.path} line {line}",
                f"it has {found + 1} fields",
                f"{fields}, as the first line has",
                "Mend the line.",
            )
        if line:
            raise not_text(self.path, f"line {line} holds a zero byte")

    def check_utf8(self) -> None:
        """Refuse bytes that are not UTF-8, naming the first."""
        try:
            self.data.tobytes().decode("utf-8")
        except UnicodeDecodeError as error:
            line = int(np.count_nonzero(self.data[: error.start] == ord("\n"))) + 1
            raise DataError(
                f"{self.path} line {line}",
                f"byte 0x{self.data[error.start]:02x} is not UTF-8",
                "text in UTF-8",
                "Save the file as UTF-8, e.g. iconv -f latin1 -t utf-8.",
            ) from None


def read_bytes(path: Path) -> Bytes:
    """The bytes of a text file, unpacked if gzip.

    Raises `DataError` if the file is missing, empty or not text.
    """
    check_file(path)
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
    if packed:
        return Bytes(path, np.frombuffer(_unpacked(path), dtype=np.uint8), plain=False)
    data = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    if (data[:4096] == 0).any():
        raise not_text(path, "it holds zero bytes")
    return Bytes(path, data, plain=True)


def check_file(path: Path) -> None:
    """Refuse a path that is no file, or an empty one."""
    if not path.exists():
        near = path.parent if path.parent.is_dir() else None
        beside = f"; {near} has {_listing(near)}" if near else ""
        raise DataError(path, f"there is no such file{beside}", "a file", "Check the path.")
    if path.is_dir():
        raise DataError(path, f"it is a folder with {_listing(path)}", "a file", "Name a file in it.")
    if path.stat().st_size == 0:
        raise DataError(path, "it is empty", "a log with at least one row", "Check how it was written.")


def not_text(path: Path, found: str) -> DataError:
    """The refusal of a file that is not text."""
    return DataError(path, f"{found}, so it is not a text file", "text, plain or gzip", "Name its kind, e.g. parquet.")


def _listing(folder: Path) -> str:
    names = sorted(p.name for p in folder.iterdir())
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"


def _unpacked(path: Path) -> bytes:
    try:
        admit_gzip(path)
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, f"it is a damaged gzip file ({error})", "a whole one", "Fetch it again.") from None
    if not data:
        raise DataError(path, "it is empty", "a log with at least one row", "Check how it was written.")
    if b"\x00" in data[:4096]:
        raise not_text(path, "unpacked it holds zero bytes")
    return data


@kernel
def _odd_numbers(data: NDArray[np.uint8], separator: np.uint8, quote: np.uint8) -> bool:
    """One look at each three neighbours; all are bytes and nothing branches, so that the loop is vectorised."""
    odd = False
    for i in range(len(data) - 2):
        before, first, second = data[i], data[i + 1], data[i + 2]
        starts = (before == separator) | (before == 10) | (before == quote)
        digit = (second >= 48) & (second <= 57)
        zero = ((first == 48) & digit) | ((first == 45) & (second == 48))
        blank = (first == 32) | ((first == 9) & (separator != 9))
        odd |= starts & (zero | (first == 43) | blank)
    return odd


@kernel
def _first_ragged(data: NDArray[np.uint8], separator: int, expected: int, quote: int) -> tuple[int, int]:
    """First (line, number of separators) where that is not `expected`; (line, −1) of a zero byte; (0, −1) if fine.

    A quote counts where it opens a field; what it encloses may hold separators and line ends.
    """
    line, start, count, length = 1, 1, 0, 0
    inside, field_start, after_quote = False, True, False
    for b in data:
        if b == quote and (inside or field_start or after_quote):
            after_quote = inside
            inside = not inside
            field_start = False
            length += 1
            continue
        after_quote = False
        if b == 10:
            line += 1
            if not inside:
                if length > 0 and count != expected:
                    return start, count
                count, length, start, field_start = 0, 0, line, True
        elif b == separator and not inside:
            count += 1
            length += 1
            field_start = True
        elif b == 0:
            return line, -1
        elif b != 13:
            length += 1
            field_start = False
    if length > 0 and count != expected:
        return start, count
    return 0, -1


@kernel
def _records(data: NDArray[np.uint8], quote: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Line number and length, line end not counted, of every record."""
    most = 1
    for b in data:
        if b == 10:
            most += 1
    lines, lengths = np.zeros(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
    line, start, length, n = 1, 1, 0, 0
    inside = False
    for b in data:
        if b == quote:
            inside = not inside
        if b == 10:
            line += 1
            if not inside:
                lines[n], lengths[n] = start, length
                n, length, start = n + 1, 0, line
        elif b != 13:
            length += 1
    if length > 0:
        lines[n], lengths[n] = start, length
        n += 1
    return lines[:n], lengths[:n]
