"""Files made to break a reader: refused in one line, before memory is taken and without touching what is not theirs."""

import gzip
import zipfile

import numpy as np
import polars as pl
import pytest
from scipy.sparse import coo_array, csr_array, save_npz

from matinee.data.read import read
from matinee.data.readers import _size
from matinee.errors import DataError, InsufficientMemoryError

ONES = np.ones(2, dtype=np.float32)


def npz(path, **arrays):
    np.savez(path, **{"format": b"csr", "shape": np.array([2, 3]), "data": ONES, **arrays})
    return path


@pytest.mark.parametrize(
    "arrays",
    [
        {"indices": [0, 1], "indptr": [0, 10**9, 2]},
        {"indices": [0, 1], "indptr": [0, 2, 10**9]},
        {"indices": [0, 10**8], "indptr": [0, 1, 2]},
        {"indices": [0, -1], "indptr": [0, 1, 2]},
        {"indices": [0, -(10**8)], "indptr": [0, 1, 2]},
        {"indices": [0, 5], "indptr": [0, 1, 2, 2], "format": b"csc"},
        {"indices": [0, 5], "indptr": [0, 1, 2], "format": b"bsr", "data": np.ones((2, 1, 1))},
        {"indices": [0, 1], "indptr": [0, 1, 2], "shape": np.array([-2, 3])},
        {"indices": [0, 1], "indptr": [0, 1, 2], "shape": np.array([2])},
        {"row": [0, 7], "col": [0, 0], "format": b"coo"},
        {"row": [0, -1], "col": [0, 0], "format": b"coo"},
        {"indices": [0, 1], "indptr": [0, 1, 2], "format": b"pickle"},
        {"indices": np.array([0, 1], dtype=object), "indptr": [0, 1, 2]},
    ],
    ids=lambda arrays: f"{arrays.get('format', b'csr').decode()}-{next(iter(arrays.values()))}",
)
def test_a_matrix_that_points_outside_itself_is_refused(tmp_path, arrays):
    with pytest.raises(DataError, match="it holds no sparse matrix") as caught:
        read(npz(tmp_path / "m.npz", **arrays))
    assert "\n" not in str(caught.value)


def test_a_matrix_with_a_header_that_lies_is_refused(tmp_path):
    """The header promises 8 TB of indices; the zip directory knows that there are few bytes."""
    with zipfile.ZipFile(npz(tmp_path / "m.npz", indices=[0, 1], indptr=[0, 1, 2])) as bundle:
        members = {name: bundle.read(name) for name in bundle.namelist()}
    wide = members["indices.npy"].replace(b"(2,), }" + b" " * 12, b"(1000000000000,), }")
    assert wide != members["indices.npy"]
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as bundle:
        for name, body in {**members, "indices.npy": wide}.items():
            bundle.writestr(name, body)
    with pytest.raises(DataError, match="it holds no sparse matrix"):
        read(tmp_path / "m.npz")


def test_entries_that_are_stored_and_zero_are_no_interactions(tmp_path):
    matrix = csr_array((np.array([1.0, 0.0, 1.0]), np.array([0, 1, 2]), np.array([0, 2, 3])), shape=(2, 3))
    save_npz(tmp_path / "m.npz", matrix)
    log = read(tmp_path / "m.npz")
    assert log.frame().rows() == [(0, 0), (1, 2)]
    assert log.weight is None


@pytest.mark.parametrize(("dtype", "found"), [(np.complex64, "complex64; expected real"), ("U3", "no sparse matrix")])
def test_entries_that_are_no_real_numbers_are_refused(tmp_path, dtype, found):
    entries = {"row": [0], "col": [0], "format": b"coo", "data": np.array([1], dtype=dtype)}
    with pytest.raises(DataError, match=found):
        read(npz(tmp_path / "m.npz", **entries))


def bomb(path):
    if path.suffix == ".gz":
        with gzip.open(path, "wb") as file:
            file.write(b"user,item\n" + b"1,2\n" * 5_000_000)
        data = bytearray(path.read_bytes())
        data[-4:] = b"\x01\x00\x00\x00"  # the trailer states a size of one byte
        path.write_bytes(data)
    elif path.suffix == ".npz":
        ones = np.zeros(5_000_000, dtype=np.int64)
        save_npz(path, coo_array((ones, (ones, ones)), shape=(2, 2)))
    else:
        pl.select(user=pl.repeat(1, 2_000_000), item=pl.repeat(2, 2_000_000)).write_parquet(path)
    assert path.stat().st_size < 1_000_000
    return path


@pytest.mark.parametrize("name", ["log.csv.gz", "log.npz", "log.parquet"])
def test_what_has_no_room_unpacked_is_refused_before_it_is(tmp_path, monkeypatch, name):
    monkeypatch.setattr(_size, "free_memory", lambda: 30_000_000)
    with pytest.raises(InsufficientMemoryError, match=rf"{name}: reading it would need about .* 30.00 MB are free"):
        read(bomb(tmp_path / name))


@pytest.mark.parametrize("name", ["log.csv.gz", "log.parquet"])
def test_what_has_room_is_read(tmp_path, monkeypatch, name):
    monkeypatch.setattr(_size, "free_memory", lambda: 150_000_000)
    path = tmp_path / name
    frame = pl.select(user=pl.int_range(500_000), item=pl.int_range(500_000) % 7)
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    else:
        frame.write_parquet(path)
    assert len(read(path)) == 500_000
