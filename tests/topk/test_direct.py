"""Few rows: weight rows added over the catalogue have the bits of tiles, so a row alone is the row in a batch."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from matinee.contract import Mask
from matinee.data import Histories
from matinee.fitted import ItemItem
from matinee.models.popularity import Popularity
from matinee.topk import item_item, recommend
from matinee.topk.query import BinaryQuery, DecayedQuery, PairQuery
from tests.logs import random_log


def digest(*arrays):
    return sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


@st.composite
def problems(draw):
    """Real weights, dense or sparse, whose sums show the order of adds; every query map; a bias row or none."""
    n, m = draw(st.integers(2, 150)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    pairs = np.array([[a, a + 1] for a in range(0, n - 1, 3)], dtype=np.int32)
    query = draw(st.sampled_from([BinaryQuery(), DecayedQuery(2.5), PairQuery(pairs)]))
    bias = draw(st.booleans())
    weights = rng.normal(size=(query.n_rows(n) + bias, n)) * 10.0 ** rng.integers(-3, 4, n)
    weights = weights.astype(np.float32)
    if draw(st.booleans()):
        weights = csr_array(weights * (rng.random(weights.shape) < draw(st.sampled_from([0.1, 0.9]))))
    rows = [rng.choice(n, rng.integers(0, n + 1), replace=False).tolist() for _ in range(m)]
    items = random_log(items=n, rows=100 + n).items
    model = ItemItem(Popularity(), items, weights, np.ones(n, dtype=np.float32), query, bias)
    return model, Histories.of(rows, items)


@given(problems())
@settings(max_examples=150, deadline=None)
def test_rows_have_the_bits_of_tiles(problem):
    model, histories = problem
    query = model.encode_query(histories)
    tiled = item_item.score_tiled(query, model.weights)
    assert digest(item_item.score_rows(query, model.weights)) == digest(tiled)


@pytest.mark.parametrize("query", [BinaryQuery(), DecayedQuery(4.0)], ids=["binary", "decayed"])
@pytest.mark.parametrize("kind", ["dense", "crowded sparse", "thin sparse"])
def test_a_row_alone_has_the_bits_of_the_batch(kind, query):
    n, rng = 200, np.random.default_rng(4)
    dense = rng.normal(size=(n, n)).astype(np.float32)
    share = {"dense": 1.0, "crowded sparse": 0.7, "thin sparse": 0.01}[kind]
    weights = dense if kind == "dense" else csr_array(dense * (rng.random((n, n)) < share))
    items = random_log(items=n, rows=400).items
    model = ItemItem(Popularity(), items, weights, np.ones(n, dtype=np.float32), query)
    assert model._tiled is (kind != "thin sparse")
    rows = [rng.choice(n, rng.integers(0, 40), replace=False).tolist() for _ in range(60)]
    histories = Histories.of(rows, items)
    assert not item_item.reads_fewer_rows(model.encode_query(histories), weights)
    scores = model.score(histories)
    for mask in (Mask(), Mask(seen=False, available=rng.random(n) < 0.6)):
        lists = recommend(model, histories, 7, mask)
        for r in range(len(histories)):
            alone, one = histories.rows(r, r + 1), recommend(model, histories.rows(r, r + 1), 7, mask)
            assert digest(model.score(alone)) == digest(scores[r])
            assert digest(one.item, one.score) == digest(lists.item[r], lists.score[r])


def test_few_rows_pack_no_tiles(monkeypatch):
    n = 200
    items = random_log(items=n, rows=400).items
    model = ItemItem(Popularity(), items, np.ones((n, n), dtype=np.float32), np.ones(n, dtype=np.float32))
    monkeypatch.setattr(item_item, "tiles", lambda weights: pytest.fail("weights were packed"))
    one = Histories.of([[3, 4, 5]], items)
    recommend(model, one, 3)
    recommend(replace(model, weights=csr_array(model.weights)), one, 3)
    model.score(one)
