"""Batches against rows taken one by one, and the order that does not know names."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from matinee.data.canonical import canonical_order
from matinee.nn.batches import Batch, batches, half_split_batches, make_batch
from tests.logs import random_log


def shown(batch: Batch) -> list[dict[int, float]]:
    o, i, w = batch.offsets.tolist(), batch.input_item.tolist(), batch.input_weight.tolist()
    return [dict(zip(i[a:b], w[a:b], strict=True)) for a, b in pairwise(o)]


def taken(batch: Batch) -> list[set[int]]:
    row, item = batch.target_row.numpy(), batch.target_item.numpy()
    return [set(item[row == r].tolist()) for r in range(len(batch))]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 30), st.integers(1, 9), st.integers(1, 12), st.booleans(), st.floats(0, 0.9), st.integers(0, 99))
def test_everybody_comes_once_with_what_they_took(m, n, size, shuffled, dropout, seed):
    rng = np.random.default_rng(seed)
    x = rng.random((m, n)) < 0.4
    come = []
    for batch in batches(csr_array(x.astype(float)), size, rng if shuffled else None, dropout):
        assert 0 < len(batch) <= size
        come += batch.user.tolist()
        for user, all_of, some in zip(batch.user.tolist(), taken(batch), shown(batch), strict=True):
            assert all_of == set(np.flatnonzero(x[user]).tolist())
            assert set(some) <= all_of
            kept = 1 - dropout if shuffled else 1
            np.testing.assert_allclose(list(some.values()), 1 / (max(1, len(all_of)) ** 0.5 * kept), rtol=1e-6)
            if not shuffled:
                assert set(some) == all_of
    assert sorted(come) == list(range(m))
    assert shuffled or come == list(range(m))


def test_weights_are_one_where_nothing_is_normalised():
    matrix = random_log().matrix
    batch = next(batches(matrix, 10, normal=False))
    assert (batch.input_weight == 1).all()
    np.testing.assert_array_equal(batch.input_item, matrix.indices[: matrix.indptr[10]])


@pytest.mark.parametrize("dropout", [0.2, 0.7])
def test_each_entry_is_dropped_as_often_as_said(dropout):
    """5,000 entries: the share left lies within four standard errors, on both sides; the mean weight stays."""
    matrix = csr_array(np.ones((100, 50)))
    batch = make_batch(matrix, np.arange(100), np.random.default_rng(5), dropout, normal=False)
    error = (dropout * (1 - dropout) / 5000) ** 0.5
    assert abs(len(batch.input_item) / 5000 - (1 - dropout)) < 4 * error
    assert abs(batch.input_weight.sum().item() / 5000 - 1) < 4 * error / (1 - dropout)
    assert len(set(np.diff(batch.offsets).tolist())) > 3


def test_the_generator_decides_everything():
    matrix = random_log().matrix
    one, two, other = (list(batches(matrix, 16, np.random.default_rng(seed), 0.5)) for seed in (1, 1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.user, b.user)
        np.testing.assert_array_equal(a.input_item, b.input_item)
    assert any((a.user != b.user).any() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_new_names_change_nothing(seed):
    """Rows and columns in any order come back as the same matrix; its columns are the items they are said to be."""
    x = random_log(seed).matrix.toarray()
    x[5] = 0  # somebody without an entry is left out
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(x)), rng.permutation(x.shape[1])
    order, other_order = canonical_order(csr_array(x)), canonical_order(csr_array(x[rows][:, columns]))
    one, other = order.reorder(csr_array(x)), other_order.reorder(csr_array(x[rows][:, columns]))
    people, items, renamed = order.user, order.item, other_order.item
    np.testing.assert_array_equal(one.toarray(), other.toarray())
    np.testing.assert_array_equal(items, columns[renamed])
    np.testing.assert_array_equal(one.toarray(), x[people][:, items])
    assert one.shape == (len(x) - 1, x.shape[1])
    assert one.has_sorted_indices
    counts = one.toarray().sum(axis=0)
    assert (np.diff(counts) <= 0).all()
    np.testing.assert_array_equal(counts, x.sum(axis=0)[items])
    assert sorted(map(bytes, one.toarray())) == sorted(map(bytes, x[np.arange(len(x)) != 5][:, items]))


def test_halves_are_shown_and_asked_for_both_ways():
    """Of each history the half that is larger is shown first; what is shown is never asked for, and nothing is lost."""
    matrix = random_log().matrix
    come, draws = [], []
    for batch in half_split_batches(matrix, 25, np.random.default_rng(4)):
        b = len(batch) // 2
        assert b <= 25
        assert batch.target_row.tolist() == sorted(batch.target_row.tolist())
        assert (batch.input_weight == 1).all()
        user, answers, seen = batch.user.tolist(), taken(batch), [set(one) for one in shown(batch)]
        assert user[:b] == user[b:]
        come += user[:b]
        for r in range(b):
            whole = set(matrix.indices[matrix.indptr[user[r]] : matrix.indptr[user[r] + 1]].tolist())
            assert (seen[r], answers[r]) == (answers[b + r], seen[b + r])
            assert not seen[r] & answers[r]
            assert seen[r] | answers[r] == whole
            assert len(seen[r]) - len(answers[r]) == len(whole) % 2
            draws.append((user[r], min(whole) in seen[r]))
    assert sorted(come) == list(range(matrix.shape[0]))
    assert 0.3 < np.mean([first for _, first in draws]) < 0.7
    again = next(half_split_batches(matrix, 25, np.random.default_rng(5)))
    assert [set(one) for one in shown(again)] != [
        set(one) for one in shown(next(half_split_batches(matrix, 25, np.random.default_rng(4))))
    ]


def test_who_took_one_item_is_asked_for_it_and_not_for_nothing_after_it():
    matrix = csr_array(np.array([[0, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 1]]))
    (batch,) = half_split_batches(matrix, 3, np.random.default_rng(4))
    assert sorted(batch.user.tolist()) == [0, 1, 1, 2]
    rows = {
        u: (seen, asked)
        for u, seen, asked in zip(batch.user.tolist(), shown(batch), taken(batch), strict=True)
        if u != 1
    }
    assert rows == {0: ({}, {1}), 2: ({}, {3})}
    several = [
        (set(seen), asked)
        for u, seen, asked in zip(batch.user.tolist(), shown(batch), taken(batch), strict=True)
        if u == 1
    ]
    assert [len(seen) for seen, _ in several] == [2, 1]
    assert several[0] == several[1][::-1]
