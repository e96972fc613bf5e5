"""Kernels against their slow obvious twins: sort everything, take the first k."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from matinee.contract import Mask
from matinee.data import Histories
from matinee.errors import SpecError, TrainingError
from matinee.fitted import ItemItem, PopularityScorer
from matinee.models.popularity import Popularity
from matinee.topk import item_item, recommend, top_k_of_scores
from matinee.topk.query import BinaryQuery, DecayedQuery, PairQuery
from tests.logs import random_log


def slow_top(scores, histories, k, mask):
    """Sort every row by (−score, code) after barring; the obvious twin of every path."""
    scores = scores.astype(np.float32).copy()
    if mask.seen:
        scores[np.asarray(histories.matrix.todense()) > 0] = -np.inf
    if mask.available is not None:
        scores[:, ~mask.available] = -np.inf
    if mask.candidates is not None:
        scores[np.asarray(mask.candidates.todense()) == 0] = -np.inf
    order = np.lexsort((np.broadcast_to(np.arange(scores.shape[1]), scores.shape), -scores))[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    return np.where(best > -np.inf, order, -1), best


@st.composite
def questions(draw):
    """Scores with many ties, histories, and every kind of mask."""
    m, n = draw(st.integers(1, 8)), draw(st.integers(1, 90))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    scores = rng.integers(-3, 4, (m, n)).astype(np.float32)
    scores[rng.random((m, n)) < 0.05] = -np.inf
    rows = [rng.choice(n, size=rng.integers(0, n + 1), replace=False).tolist() for _ in range(m)]
    items = random_log(items=n, rows=70 + n, users=60).items
    available = rng.random(n) < 0.7 if draw(st.booleans()) else None
    candidates = csr_array((rng.random((m, n)) < 0.4).astype(np.float32)) if draw(st.booleans()) else None
    mask = Mask(seen=draw(st.booleans()), available=available, candidates=candidates)
    return scores, Histories.of(rows, items), draw(st.integers(1, n)), mask


@given(questions())
@settings(max_examples=150, deadline=None)
def test_choose_is_a_sort_of_everything(question):
    scores, histories, k, mask = question
    item, score = top_k_of_scores(scores, histories, k, mask, "test")
    slow_item, slow_score = slow_top(scores, histories, k, mask)
    np.testing.assert_array_equal(item, slow_item)
    np.testing.assert_array_equal(score, slow_score)


@pytest.mark.parametrize("n", [1, 15, 64, 65, 130])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("seen", [False, True])
def test_tiles_and_scatter_are_a_matrix_product(n, sparse, seen):
    """Whole-number weights with ties, so that sums are exact and the order of equal scores is tested."""
    rng = np.random.default_rng(n)
    dense = rng.integers(-2, 3, (n, n)).astype(np.float32) * (rng.random((n, n)) < 0.5)
    weights = csr_array(dense) if sparse else dense
    histories = Histories.of(
        [rng.integers(0, n, rng.integers(0, 12)).tolist() for _ in range(50)], random_log(items=n, rows=90 + n).items
    )
    slow = np.asarray(histories.matrix @ dense)
    np.testing.assert_array_equal(item_item.score_tiled(BinaryQuery().encode(histories), weights), slow)
    if sparse:
        np.testing.assert_array_equal(item_item.score_scattered(BinaryQuery().encode(histories), weights), slow)
    mask, k = Mask(seen=seen, available=rng.random(n) < 0.8), max(1, n // 2)
    item, score = item_item.top_tiled(BinaryQuery().encode(histories), weights, k, mask)
    slow_item, slow_score = slow_top(slow, histories, k, mask)
    np.testing.assert_array_equal(item, slow_item)
    np.testing.assert_array_equal(score, slow_score)


def test_narrow_tiles_too(monkeypatch):
    """The width of large catalogues, on a small one."""
    monkeypatch.setattr(item_item.kernels, "WIDE", 16)
    rng = np.random.default_rng(0)
    weights = rng.integers(-2, 3, (70, 70)).astype(np.float32)
    histories = Histories.of([rng.integers(0, 70, 9).tolist() for _ in range(20)], random_log(items=70, rows=200).items)
    np.testing.assert_array_equal(
        item_item.score_tiled(BinaryQuery().encode(histories), weights), np.asarray(histories.matrix @ weights)
    )


@pytest.mark.parametrize("sparse", [False, True])
def test_fading_weighs_by_the_newest_take(sparse):
    rng = np.random.default_rng(5)
    dense = rng.normal(size=(30, 30)).astype(np.float32)
    rows = [rng.integers(0, 30, rng.integers(0, 15)).tolist() for _ in range(40)]
    slow = np.zeros((40, 30))
    for r, row in enumerate(rows):
        value = {item: np.exp(-(len(row) - 1 - p) / 3.0) for p, item in enumerate(row)}
        for item, v in value.items():
            slow[r] += v * dense[item]
    asked = DecayedQuery(3.0).encode(Histories.of(rows, random_log(items=30, rows=200).items))
    np.testing.assert_allclose(item_item.score_tiled(asked, dense), slow, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(item_item.score_scattered(asked, csr_array(dense)), slow, rtol=1e-4, atol=1e-5)


def test_pairs_stand_where_both_items_do():
    rng = np.random.default_rng(6)
    rows = [rng.choice(20, size=rng.integers(0, 12), replace=False).tolist() for _ in range(40)]
    pairs = np.array(
        sorted({tuple(sorted(rng.choice(20, 2, replace=False).tolist())) for _ in range(30)}), dtype=np.int32
    )
    asked = PairQuery(pairs).encode(Histories.of(rows, random_log(items=20, rows=150).items))
    for r, row in enumerate(rows):
        found = asked.rows.item[asked.rows.indptr[r] : asked.rows.indptr[r + 1]].tolist()
        wanted = [20 + p for p, (a, b) in enumerate(pairs.tolist()) if a in row and b in row]
        assert found == sorted(row) + wanted


def popular(n, scores=None) -> PopularityScorer:
    items = random_log(items=n, rows=100 + n).items
    return PopularityScorer(Popularity(), items, np.arange(n, dtype=np.float32) if scores is None else scores)


def test_fewer_allowed_items_than_k_make_a_short_list():
    model = popular(5)
    lists = recommend(model, Histories.of([[4, 3, 2], [0, 1, 2, 3, 4], []], model.items), 4)
    assert lists.item.tolist() == [[1, 0, -1, -1], [-1, -1, -1, -1], [4, 3, 2, 1]]
    assert lists.length.tolist() == [2, 0, 4]
    assert np.isneginf(lists.score[0, 2:]).all()


def test_ties_go_to_the_smaller_code():
    model = popular(6, np.array([1, 2, 2, 1, 2, 0], dtype=np.float32))
    assert recommend(model, Histories.of([[]], model.items), 5).item.tolist() == [[1, 2, 4, 0, 3]]


def test_blocks_do_not_change_lists(monkeypatch):
    log = random_log()
    model = Popularity(repeat_weight=1.0).fit(log)
    one = recommend(model, log, 7, Mask(seen=False))
    monkeypatch.setattr("matinee.topk.rank.BLOCK_BYTES", 4 * log.n_items * 7)
    other = recommend(model, log, 7, Mask(seen=False))
    np.testing.assert_array_equal(one.item, other.item)
    np.testing.assert_array_equal(one.score, other.score)


def test_candidates_of_blocks_belong_to_their_rows(monkeypatch):
    log = random_log()
    monkeypatch.setattr("matinee.topk.rank.BLOCK_BYTES", 4 * log.n_items * 7)
    offered = csr_array(
        (np.arange(log.n_items)[None, :] % log.n_users == np.arange(log.n_users)[:, None]).astype(np.float32)
    )
    lists = recommend(popular(log.n_items), Histories.of([[]] * log.n_users, log.items), 1, Mask(candidates=offered))
    assert lists.item[:, 0].tolist() == [u if u < log.n_items else -1 for u in range(log.n_users)]


def test_nan_scores_are_refused():
    log = random_log()
    model = popular(log.n_items, np.full(log.n_items, np.nan, dtype=np.float32))
    with pytest.raises(TrainingError, match="NaN"):
        recommend(model, log, 3)


@pytest.mark.parametrize("k", [0, 41])
def test_k_must_fit_the_catalogue(k):
    with pytest.raises(SpecError, match=r"found \d+; expected at least 1 and at most the 40 items"):
        recommend(popular(40), random_log(), k)


def test_a_model_of_another_catalogue_is_refused():
    with pytest.raises(SpecError, match="one vocabulary"):
        recommend(popular(7), random_log(), 3)


def test_frame_has_raw_ids_titles_and_ranks():
    model = popular(5)
    lists = recommend(model, Histories.of([[4]], model.items), 2)
    frame = lists.frame()
    assert frame["item"].to_list() == [5003, 5002]
    assert frame["rank"].to_list() == [1, 2]
    assert frame["row"].to_list() == [0, 0]
    assert frame["user"].null_count() == 2


def test_weights_choose_their_path_by_density_alone():
    n = 400
    thin = csr_array((np.ones(n, dtype=np.float32), np.arange(n), np.arange(n + 1)), shape=(n, n))
    dense = np.ones((n, n), dtype=np.float32)
    some = np.ones(n, dtype=np.float32)
    assert item_item.prefers_tiles(dense, some)
    assert item_item.prefers_tiles(csr_array(dense), some)
    assert not item_item.prefers_tiles(thin, some)
    items = random_log(items=n, rows=900).items
    one = ItemItem(Popularity(), items, thin, some)
    lists = recommend(one, Histories.of([[3, 1]], items), 2, Mask(seen=False))
    assert lists.item.tolist() == [[1, 3]]
