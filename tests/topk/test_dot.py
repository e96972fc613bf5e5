"""Lists of dot products against a full sort of the same scores, and against a slow twin of the sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from matinee.contract import Mask
from matinee.data import Histories
from matinee.errors import TrainingError
from matinee.fitted import DotProduct, LinearFoldIn
from matinee.models.popularity import Popularity
from matinee.topk import StreamsTopK, recommend, top_k_of_scores
from matinee.topk.dot import score_dot, top_k_dot
from matinee.topk.rank import seen_rows
from tests.logs import random_log
from tests.topk.test_kernels import slow_top


def slow_dot(query, factors, bias):
    """Float32, four terms at a time, then one at a time."""
    out = np.zeros((len(query), len(factors)), dtype=np.float32)
    d = query.shape[1]
    for r in range(len(query)):
        for c in range(len(factors)):
            terms = query[r] * factors[c]
            for i in range(0, d - 3, 4):
                out[r, c] += (terms[i] + terms[i + 1]) + (terms[i + 2] + terms[i + 3])
            for i in range(d - d % 4, d):
                out[r, c] += terms[i]
            out[r, c] += np.float32(0) if bias is None else bias[c]
    return out


@st.composite
def problems(draw):
    """Whole numbers with ties, or real numbers; every mask; more rows than a chunk and more items than a tile."""
    m, n, d = draw(st.integers(1, 90)), draw(st.integers(1, 150)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    shapes = ((m, d), (n, d), (n,))
    if draw(st.booleans()):
        query, factors, bias = (rng.integers(-2, 3, shape).astype(np.float32) for shape in shapes)
    else:
        query, factors, bias = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    rows = [rng.choice(n, rng.integers(0, n + 1), replace=False).tolist() for _ in range(m)]
    histories = Histories.of(rows, random_log(items=n, rows=100 + n).items)
    available = rng.random(n) < 0.7 if draw(st.booleans()) else None
    candidates = csr_array((rng.random((m, n)) < 0.3).astype(np.float32)) if draw(st.booleans()) else None
    mask = Mask(draw(st.booleans()), available, candidates)
    return query, factors, bias if draw(st.booleans()) else None, histories, draw(st.integers(1, n)), mask


@given(problems())
@settings(max_examples=150, deadline=None)
def test_lists_are_a_full_sort_of_the_same_scores(problem):
    query, factors, bias, histories, k, mask = problem
    scores = score_dot(query, factors, bias)
    item, score = top_k_dot(query, factors, bias, seen_rows(histories, exclude=mask.seen), k, mask)
    slow_item, slow_score = slow_top(scores, histories, k, mask)
    np.testing.assert_array_equal(item, slow_item)
    np.testing.assert_array_equal(score, slow_score)
    for one, other in zip((item, score), top_k_of_scores(scores, histories, k, mask, "test"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("d", [1, 3, 4, 11])
@pytest.mark.parametrize("n", [1, 64, 70])
def test_scores_are_the_slow_sum_bit_for_bit(n, d):
    rng = np.random.default_rng(n + d)
    query, factors, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((70, d), (n, d), n))
    for one in (bias, None):
        scores = score_dot(query, factors, one)
        np.testing.assert_array_equal(scores, slow_dot(query, factors, one))
        for r in (0, 33, 69):
            np.testing.assert_array_equal(score_dot(query[r : r + 1], factors, one)[0], scores[r])
    wide = query.astype(np.float64) @ factors.astype(np.float64).T
    np.testing.assert_allclose(score_dot(query, factors, None), wide, rtol=1e-4, atol=1e-5)


def low_rank(n=150, d=7, **extra):
    rng = np.random.default_rng(8)
    left, factors = rng.normal(size=(2, n, d)).astype(np.float32)
    items = random_log(items=n, rows=100 + n).items
    return DotProduct(Popularity(), items, factors, np.arange(n, 0, -1.0, "f4"), LinearFoldIn(left), **extra)


def test_a_row_alone_has_the_list_it_has_in_a_batch(monkeypatch):
    model, rng = low_rank(item_bias=np.linspace(-1, 1, 150, dtype=np.float32)), np.random.default_rng(2)
    assert isinstance(model, StreamsTopK)
    histories = Histories.of([rng.integers(0, 150, rng.integers(0, 30)).tolist() for _ in range(100)], model.items)
    lists, scores = recommend(model, histories, 9), model.score(histories)
    for r in range(100):
        one = recommend(model, histories.rows(r, r + 1), 9)
        np.testing.assert_array_equal(one.item[0], lists.item[r])
        np.testing.assert_array_equal(one.score[0], lists.score[r])
        np.testing.assert_array_equal(scores[r, one.item[0]], one.score[0])
    monkeypatch.setattr("matinee.topk.rank.BLOCK_BYTES", 4 * 7 * 13)
    np.testing.assert_array_equal(recommend(model, histories, 9).item, lists.item)


def test_cold_rows_get_popular_candidates():
    model = low_rank()
    offered = np.zeros((2, 150), dtype=np.float32)
    offered[0, [3, 9]] = offered[1, [140, 20, 5]] = 1
    lists = recommend(model, Histories.of([[0, 1], []], model.items), 4, Mask(candidates=csr_array(offered)))
    assert set(lists.item[0].tolist()) == {3, 9, -1}
    assert lists.item[1].tolist() == [5, 20, 140, -1]


@pytest.mark.parametrize("candidates", [False, True])
def test_nan_among_scores_is_refused(candidates):
    model = low_rank()
    model.item_factors.flags.writeable = True
    model.item_factors[70, 2] = np.nan
    mask = Mask(candidates=csr_array(np.ones((1, 150), dtype=np.float32)) if candidates else None)
    with pytest.raises(TrainingError, match="NaN"):
        recommend(model, Histories.of([[1, 2]], model.items), 3, mask)


def test_shapes_that_do_not_fit_are_refused():
    model = low_rank()
    with pytest.raises(ValueError, match="left is"):
        DotProduct(model.spec, model.items, model.item_factors, model.popularity, LinearFoldIn(model.item_factors[:9]))
    with pytest.raises(ValueError, match="item_bias is"):
        low_rank(item_bias=np.zeros(3, dtype=np.float32))
