"""Published splits of real logs; skipped where the research data is absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matinee import split
from matinee.data.read import read

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [pytest.mark.real, pytest.mark.skipif(not DATA.is_dir(), reason="the research data is not here")]


def test_gowalla_as_lightgcn_cut_it():
    found = split.predefined(DATA / "gowalla/train.txt", DATA / "gowalla/test.txt")
    assert (len(found.train), len(found.target.item)) == (810_128, 217_242)
    assert (found.train.n_users, found.train.n_items, len(found.query)) == (29_858, 40_981, 29_858)
    assert len(found.drop_seen_targets().target.item) == 217_242
    assert np.diff(found.query.offsets).min() >= 8


def test_movielens_1m_as_ncf_cut_it():
    rows = np.load(DATA / "ml-1m/ncf/train_pairs.npz")
    learn = pl.DataFrame({"user": rows["user"], "item": rows["item"]})
    files = DATA / "ml-1m/ncf"
    found = split.predefined(learn, files / "ml-1m.test.rating", candidates=files / "ml-1m.test.negative")
    assert found.candidates is not None
    assert (len(found.train), len(found.query)) == (994_169, 6_040)
    assert (found.target.count == 1).all()
    count = np.diff(found.candidates.indptr)
    assert (count.min(), count.max(), count.sum()) == (
        99,
        100,
        603_844,
    )  # 156 positives stand among their own negatives
    assert found.candidates.multiply(found.target.matrix).count_nonzero() == 6_040


def test_movielens_1m_in_our_protocols():
    rows = np.load(DATA / "ml-1m/ratings_ordered.npz")
    table = pl.DataFrame({"user": rows["user"], "item": rows["item"], "time": rows["rank"]})
    log = read(table, time_unit="order")
    found = split.mixture(log, seed=7)
    assert (found.target.count == 10).all()
    assert len(found.train) + len(found.target.item) == 1_000_209
    assert (found.target.select_part("last").count == 3).all()
