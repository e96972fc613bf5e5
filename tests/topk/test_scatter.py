"""Lists from sparse item–item weights against a slow twin that holds every score, and against `choose`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from matinee.contract import Mask
from matinee.data import Histories
from matinee.errors import TrainingError
from matinee.fitted import ItemItem
from matinee.models.popularity import Popularity
from matinee.topk import StreamsTopK, item_item, recommend, top_k_of_scores
from matinee.topk.query import BinaryQuery, DecayedQuery, append_bias
from tests.logs import random_log


def slow_scores(asked, weights):
    """Row by row, entry by entry, in float32."""
    scores = np.zeros((len(asked.rows.indptr) - 1, weights.shape[1]), dtype=np.float32)
    for r in range(len(scores)):
        for p in range(asked.rows.indptr[r], asked.rows.indptr[r + 1]):
            value = asked.value[p] if len(asked.value) else np.float32(1)
            i = asked.rows.item[p]
            for q in range(weights.indptr[i], weights.indptr[i + 1]):
                scores[r, weights.indices[q]] += value * weights.data[q]
    return scores


def slow_top(scores, histories, k, mask):
    """All that may be listed, sorted by (−score, code)."""
    item, score = np.full((len(scores), k), -1), np.full((len(scores), k), -np.inf, dtype=np.float32)
    for r in range(len(scores)):
        own = set(histories.item[histories.offsets[r] : histories.offsets[r + 1]].tolist()) if mask.seen else set()
        left = [c for c in np.flatnonzero(mask.available_or_all(scores.shape[1])).tolist() if c not in own]
        best = sorted(left, key=lambda c: (-scores[r, c], c))[:k]
        item[r, : len(best)], score[r, : len(best)] = best, scores[r, best]
    return item, score


def ragged(rng, shape, longest, entries):
    """Sparse weights with rows of any length up to `longest`; `entries` draws their values."""
    rows = [np.sort(rng.choice(shape[1], rng.integers(0, longest + 1), replace=False)) for _ in range(shape[0])]
    indptr = np.cumsum([0, *map(len, rows)])
    return csr_array((entries(indptr[-1]).astype(np.float32), np.concatenate(rows), indptr), shape=shape)


@st.composite
def questions(draw):
    """Weights with many ties, sums that cancel and stored zeros, or such that the order of adds shows; every mask."""
    n, m = draw(st.integers(1, 60)), draw(st.integers(1, 90))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    shifted = draw(st.booleans())
    entries = {
        "ties": lambda size: rng.integers(-2, 3, size),
        "negative": lambda size: -rng.integers(0, 3, size),
        "real": lambda size: rng.normal(size=size) * 10.0 ** rng.integers(-3, 4, size),
    }[draw(st.sampled_from(["ties", "negative", "real"]))]
    longest = draw(st.integers(0, min(n, draw(st.sampled_from([3, 60])))))
    weights = ragged(rng, (n + shifted, n), longest, entries)
    rows = [rng.integers(0, n, rng.integers(0, draw(st.sampled_from([3, 20])))).tolist() for _ in range(m)]
    histories = Histories.of(rows, random_log(items=n, rows=70 + n).items)
    asked = (DecayedQuery(2.5) if draw(st.booleans()) else BinaryQuery()).encode(histories)
    asked = append_bias(asked, n) if shifted else asked
    available = rng.random(n) < draw(st.sampled_from([0.1, 0.8])) if draw(st.booleans()) else None
    return asked, weights, histories, draw(st.integers(1, n)), Mask(draw(st.booleans()), available)


@given(questions())
@settings(max_examples=300, deadline=None)
def test_scattered_lists_are_a_sort_of_everything(question):
    asked, weights, histories, k, mask = question
    scores = slow_scores(asked, weights)
    np.testing.assert_array_equal(item_item.score_scattered(asked, weights), scores)
    item, score = item_item.top_scattered(asked, weights, k, mask)
    slow_item, slow_score = slow_top(scores, histories, k, mask)
    np.testing.assert_array_equal(item, slow_item)
    np.testing.assert_array_equal(score, slow_score)
    for one, other in zip((item, score), top_k_of_scores(scores, histories, k, mask, "test"), strict=True):
        np.testing.assert_array_equal(one, other)


@given(questions())
@settings(max_examples=50, deadline=None)
def test_a_row_alone_is_the_row_among_others(question):
    asked, weights, _, k, mask = question
    item, score = item_item.top_scattered(asked, weights, k, mask)
    indptr, code = asked.rows
    for r in range(min(4, len(item))):
        low, high = indptr[r], indptr[r + 1]
        rows = replace_rows(asked, np.array([0, high - low]), code[low:high], slice(low, high))
        alone = item_item.top_scattered(rows, weights, k, mask)
        np.testing.assert_array_equal(alone[0][0], item[r])
        np.testing.assert_array_equal(alone[1][0], score[r])


def replace_rows(asked, indptr, code, part):
    return asked._replace(rows=asked.rows._replace(indptr=indptr, item=code), value=asked.value[part])


def model(weights, n, **knobs):
    """Two items' votes in a catalogue of n, asked on the path of sparse weights."""
    one = ItemItem(Popularity(), random_log(items=n, rows=70 + n).items, weights, np.arange(n, 0, -1.0, "f4"), **knobs)
    assert isinstance(one, StreamsTopK)
    assert not one._tiled
    return one


def votes(n, *rows):
    """Weights (n, n) of which the first rows hold the given {item: weight}."""
    entries = [(i, c, w) for i, row in enumerate(rows) for c, w in row.items()]
    i, c, w = zip(*entries, strict=True)
    return csr_array((np.array(w, dtype=np.float32), (i, c)), shape=(n, n))


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        # untouched items stand at 0: behind what is above it, before what is below, among what is exactly 0
        ([{9: 2.0}], [9, 2, 3, 4, 5]),
        ([{2: -1.0, 3: -2.0, 9: 2.0}], [9, 4, 5, 6, 7]),
        ([{3: 1.0, 4: -1.0}, {3: -1.0, 4: 1.0}], [2, 3, 4, 5, 6]),
        ([{150: 1.0, 7: 3.0}, {150: -1.0}], [7, 2, 3, 4, 5]),
        # back to 0 and away again: listed once
        ([{7: 1.0, 8: 1.0}, {7: -1.0, 8: -1.0}, {7: 5.0, 8: -5.0}], [7, 3, 4, 5, 6]),
        ([{7: 0.0}, {7: 0.0}, {7: 1.0}], [7, 3, 4, 5, 6]),
    ],
)
def test_what_nobody_voted_for_has_score_zero(rows, wanted):
    fitted = model(votes(200, *rows), 200)
    history = Histories.of([list(range(max(2, len(rows))))], fitted.items)
    assert fitted.top_k(history, 5, Mask())[0][0].tolist() == wanted
    assert top_k_of_scores(fitted.score(history), history, 5, Mask(), "test")[0][0].tolist() == wanted


def test_below_zero_is_listed_when_nothing_else_is_left():
    fitted = model(votes(200, {3: -1.0, 5: -0.5, 7: 1.0}), 200)
    available = np.isin(np.arange(200), [0, 3, 5, 6, 7])
    item, score = fitted.top_k(Histories.of([[0]], fitted.items), 6, Mask(available=available))
    assert item[0].tolist() == [7, 6, 5, 3, -1, -1]
    assert score[0].tolist() == [1.0, 0.0, -0.5, -1.0, -np.inf, -np.inf]


def test_one_person_leaves_nothing_to_the_next():
    """Many people in one part, who touch the same items and bar them."""
    rng = np.random.default_rng(3)
    weights = ragged(rng, (300, 300), 6, lambda size: rng.normal(size=size))
    fitted = model(weights, 300)
    rows = [rng.integers(0, 300, rng.integers(1, 60)).tolist() for _ in range(700)]
    histories = Histories.of(rows, fitted.items)
    scores = slow_scores(BinaryQuery().encode(histories), weights)
    for seen in (True, False):
        item, score = fitted.top_k(histories, 20, Mask(seen=seen))
        slow_item, slow_score = slow_top(scores, histories, 20, Mask(seen=seen))
        np.testing.assert_array_equal(item, slow_item)
        np.testing.assert_array_equal(score, slow_score)


def test_an_empty_history_gets_what_many_took():
    fitted = model(votes(200, {9: 2.0}), 200)
    lists = recommend(fitted, Histories.of([[], [0], []], fitted.items), 3)
    assert lists.item.tolist() == [[0, 1, 2], [9, 1, 2], [0, 1, 2]]
    assert lists.score[0].tolist() == [200.0, 199.0, 198.0]


def test_candidates_are_chosen_from_scores():
    fitted = model(votes(200, {9: 2.0, 4: -1.0}), 200)
    offered = np.zeros((2, 200), dtype=np.float32)
    offered[0, [4, 7]] = offered[1, [9, 1]] = 1
    lists = recommend(fitted, Histories.of([[0], [0]], fitted.items), 3, Mask(candidates=csr_array(offered)))
    assert lists.item.tolist() == [[7, 4, -1], [9, 1, -1]]


def test_lists_hold_no_block_of_scores(monkeypatch):
    """Neither path of `top_k` computes (m, n_items) scores of many rows."""
    monkeypatch.setattr(ItemItem, "score", lambda self, histories: pytest.fail("scores were asked for"))
    thin = model(votes(200, {9: 2.0}), 200)
    for fitted in (thin, replace(thin, weights=np.ones((200, 200), dtype=np.float32))):
        many = Histories.of([list(range(150)), [], list(range(120))], fitted.items)
        assert recommend(fitted, many, 3).length.tolist() == [3, 3, 3]


@pytest.mark.parametrize("where", ["listed", "taken", "not allowed"])
@pytest.mark.parametrize("shape", ["thin", "crowded", "sparse tiles", "dense tiles"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_among_scores_is_refused_on_every_path(where, shape, bad):
    """As `choose` refuses it, wherever it stands; ∞ − ∞ is NaN too. A person it does not touch is served."""
    n, at = 200, {"listed": 9, "taken": 1, "not allowed": 150}[where]
    dense = np.zeros((n, n), dtype=np.float32)
    dense[0, at], dense[1, at], dense[0, 3] = bad, -bad, 1.0
    if shape != "thin":
        dense[1:3, 4:160] = np.where(dense[1:3, 4:160] == 0, 0.5, dense[1:3, 4:160])
    weights = dense if shape == "dense tiles" else csr_array(dense)
    fitted = replace(model(votes(n, {9: 2.0}), n), weights=weights)
    if shape == "sparse tiles":
        object.__setattr__(fitted, "_tiled", True)
    mask = Mask(available=np.arange(n) != 150)
    ask = [Histories.of(rows, fitted.items) for rows in ([[5], [0, 1], [6]], [[5], [2], []])]
    assert recommend(fitted, ask[1], 3, mask).length.tolist() == [3, 3, 3]
    for k in (1, 3, n):
        with pytest.raises(TrainingError, match="NaN"):
            recommend(fitted, ask[0], k, mask)
