"""Sparse matrices as SciPy saves them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import load_npz

from matinee.data.readers._bytes import check_file
from matinee.data.source import DataSpec, Table
from matinee.errors import DataError


class Csr(DataSpec):
    """A `scipy.sparse.save_npz` file, users by items; ids are positions, entries weights unless all are 1."""

    path: Path
    """The .npz file."""

    def table(self) -> Table:
        """Read the raw table."""
        path = self.path.expanduser()
        check_file(path)
        matrix = _loaded(path).tocoo()
        columns = {"user": matrix.row.astype(np.int64), "item": matrix.col.astype(np.int64)}
        weight = matrix.data.astype(np.float32)
        if not np.isfinite(weight).all():
            at = int((~np.isfinite(weight)).argmax())
            place = f"{path} row {columns['user'][at]} column {columns['item'][at]}"
            raise DataError(place, f"weight {float(weight[at])}", "a finite number", "Mend the matrix.")
        if (weight != 1).any():
            columns["weight"] = weight
        return Table(pl.DataFrame(columns), str(path))


def _loaded(path: Path) -> Any:
    try:
        return load_npz(path)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        found = f"it holds no sparse matrix ({str(error).splitlines()[0]})"
        raise DataError(path, found, "a file of scipy.sparse.save_npz", "Save the matrix with save_npz.") from None
