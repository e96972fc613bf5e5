"""Memory checks of compressed files, before anything is allocated."""

from __future__ import annotations

import gzip
from pathlib import Path
from zipfile import ZipFile

from matinee.errors import InsufficientMemoryError
from matinee.memory import free_memory

ADVICE = "Unpack it and keep the rows and columns you need, or use a machine with more memory."

DEFLATE = 1032
"""Bytes that one byte of a gzip or zip file can stand for at most."""

CHUNK = 1 << 20

TEXT_COPIES = 2
"""A text, and the copy of it that is cut into columns."""

MATRIX_COPIES = 4
"""A sparse matrix as it lies in the file, its coordinates, and the columns of a log made of them."""

CELL, ROW_COPIES = 16, 2
"""Bytes of a value in a table, at most where it is a number; a table, and the columns of a log made of it."""


def admit_gzip(path: Path) -> None:
    """Refuse a gzip file with a text larger than memory.

    The size in its header may be wrong, so the bytes are counted.
    """
    available = free_memory()
    if TEXT_COPIES * DEFLATE * path.stat().st_size <= available:
        return
    size = 0
    with gzip.open(path, "rb") as file:
        while part := file.read(CHUNK):
            size += len(part)
            _admit(path, TEXT_COPIES * size, available)


def admit_zip(path: Path) -> None:
    """Refuse a zip file of arrays larger than memory, by the sizes in its directory."""
    with ZipFile(path) as bundle:
        _admit(path, MATRIX_COPIES * sum(member.file_size for member in bundle.infolist()), free_memory())


def admit_rows(path: Path, n_rows: int, n_columns: int) -> None:
    """Refuse a table with columns larger than memory."""
    _admit(path, ROW_COPIES * CELL * n_rows * n_columns, free_memory())


def _admit(path: Path, needed: int, available: int) -> None:
    if needed > available:
        raise InsufficientMemoryError(f"{path}: reading it", needed, available, ADVICE)
