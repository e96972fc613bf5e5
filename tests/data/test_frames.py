"""The same log from polars, pandas, Arrow, a mapping and a file."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from matinee.data.read import read
from matinee.errors import DataError

COLUMNS = {
    "user_id": ["u2", "u1", "u1"],
    "itemId": [7, 5, 6],
    "rating": [1.0, 2.5, 3.0],
    "timestamp": [1_400_000_009, 1_400_000_000, 1_400_000_001],
    "other": [None, "x", "y"],
}


@pytest.fixture
def want(tmp_path):
    pl.DataFrame(COLUMNS).write_csv(tmp_path / "log.csv")
    return read(tmp_path / "log.csv")


FRAMES = {
    "polars": pl.DataFrame(COLUMNS),
    "lazy": pl.LazyFrame(COLUMNS),
    "mapping": COLUMNS,
    "pandas": pd.DataFrame(COLUMNS),
    "pandas object": pd.DataFrame(COLUMNS).astype({"user_id": object}),
    "pandas category": pd.DataFrame(COLUMNS).astype({"user_id": "category", "itemId": "Int64"}),
    "pandas float ids": pd.DataFrame(COLUMNS).astype({"itemId": float}),
    "arrow": pa.table(COLUMNS),
    "arrow dictionary": pa.table({**COLUMNS, "user_id": pa.array(COLUMNS["user_id"]).dictionary_encode()}),
    "polars categorical": pl.DataFrame(COLUMNS).with_columns(pl.col("user_id").cast(pl.Categorical)),
    "text numbers": pl.DataFrame(COLUMNS).with_columns(pl.col("itemId", "rating", "timestamp").cast(pl.String)),
}


@pytest.mark.parametrize("name", list(FRAMES))
def test_frames_equal_the_file(name, want):
    log = read(FRAMES[name])
    assert log.fingerprint == want.fingerprint
    assert log.time_kind == "seconds"


MOMENTS = [datetime.fromtimestamp(t, UTC) for t in COLUMNS["timestamp"]]


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({**COLUMNS, "timestamp": MOMENTS}),
        pl.DataFrame({**COLUMNS, "timestamp": [m.replace(tzinfo=None) for m in MOMENTS]}),
        pl.DataFrame({**COLUMNS, "timestamp": MOMENTS}).with_columns(
            pl.col("timestamp").dt.convert_time_zone("Asia/Seoul").dt.cast_time_unit("ns")
        ),
        pd.DataFrame({**COLUMNS, "timestamp": pd.to_datetime(COLUMNS["timestamp"], unit="s")}),
        pd.DataFrame({**COLUMNS, "timestamp": pd.to_datetime(COLUMNS["timestamp"], unit="s", utc=True)}).assign(
            timestamp=lambda f: f["timestamp"].dt.tz_convert("Asia/Seoul")
        ),
        pa.table({**COLUMNS, "timestamp": MOMENTS}),
        {**COLUMNS, "timestamp": [m.isoformat() for m in MOMENTS]},
    ],
    ids=["polars utc", "polars naive", "polars zoned ns", "pandas", "pandas zoned", "arrow", "iso text"],
)
def test_moments_equal_seconds(frame, want):
    assert read(frame).fingerprint == want.fingerprint


def test_days_in_a_frame():
    frame = pl.DataFrame({"user": [1], "item": [2], "date": [datetime(2014, 5, 13).date()]})
    assert read(frame).time.tolist() == [1_399_939_200]


def test_knobs_work_on_frames():
    log = read(pd.DataFrame(COLUMNS), min_weight=2, time="", item="itemId", ids="text")
    assert log.frame().rows() == [("u1", "5", 2.5), ("u1", "6", 3.0)]


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_refusals_name_the_row(frame):
    table = frame({"user": ["a", None, "b"], "item": [1, 2, 3]})
    with pytest.raises(DataError, match=r"Table|DataFrame") as caught:
        read(table)
    assert "row 2: the user is empty" in str(caught.value)


def test_broken_numbers_in_frames():
    with pytest.raises(DataError, match=r"row 2: the item is 1\.5; expected a whole number or text"):
        read(pl.DataFrame({"user": [1, 1], "item": [1.0, 1.5]}))
    with pytest.raises(DataError, match="row 2: the user is empty"):
        read(pd.DataFrame({"user": [1.0, np.nan], "item": [1, 2]}))
    with pytest.raises(DataError, match="the item is a List"):
        read(pl.DataFrame({"user": [1], "item": [[1, 2]]}))
    with pytest.raises(DataError, match="row 2: the time is empty"):
        read(pd.DataFrame({"user": [1, 1], "item": [1, 2], "time": pd.to_datetime(["2014-01-01", None])}))


def test_the_caller_keeps_writable_arrays():
    user = np.array([1, 2], dtype=np.int64)
    frame = pl.DataFrame({"user": user, "item": [1, 2], "time": np.array([1_400_000_000, 1_400_000_001])})
    read(frame)
    user[0] = 5
    assert frame["user"].to_list() in ([1, 2], [5, 2])
