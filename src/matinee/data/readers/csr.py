"""Sparse matrices as SciPy saves them."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import load_npz

from matinee.data.readers._bytes import check_file
from matinee.data.readers._size import admit_zip
from matinee.data.source import DataSpec, Table
from matinee.errors import DataError

DAMAGED = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What zipfile, NumPy and SciPy raise at a file that is no sparse matrix."""


class Csr(DataSpec):
    """A `scipy.sparse.save_npz` file, users by items; ids are positions, entries weights unless all are 1.

    An entry that is stored and 0 is no interaction.
    """

    path: Path
    """The .npz file."""

    def table(self) -> Table:
        """Read the raw table."""
        path = self.path.expanduser()
        check_file(path)
        row, column, value = _entries(path)
        if value.dtype.kind not in "buif":
            raise DataError(path, f"its entries are {value.dtype}", "real numbers", "Save the matrix as float32.")
        columns: dict[str, NDArray[Any]] = {"user": row, "item": column}
        weight = value.astype(np.float32)
        if not np.isfinite(weight).all():
            at = int((~np.isfinite(weight)).argmax())
            place = f"{path} row {row[at]} column {column[at]}"
            raise DataError(place, f"weight {float(weight[at])}", "a finite number", "Mend the matrix.")
        if (weight != 1).any():
            columns["weight"] = weight
        return Table(pl.DataFrame(columns), str(path))


def _entries(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Row, column and value of every entry that is not 0, with all indices checked to lie in the matrix."""
    try:
        admit_zip(path)
        loaded: Any = load_npz(path)
        if loaded.format in ("csr", "csc", "bsr"):
            loaded.check_format(full_check=True)
        entries = loaded.tocoo()
        row, column = (np.asarray(index, dtype=np.int64) for index in entries.coords)
        stored = entries.data != 0
        return row[stored], column[stored], entries.data[stored]
    except DAMAGED as error:
        found = f"it holds no sparse matrix ({(str(error) or type(error).__name__).splitlines()[0]})"
        raise DataError(path, found, "a file of scipy.sparse.save_npz", "Save the matrix with save_npz.") from None
