"""Negatives: never a positive, from the law asked for, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import chi2

from matinee.errors import UnsupportedError
from matinee.nn.losses import sampled_softmax
from matinee.nn.sampling import NegativeSampler, hardest_negative


@st.composite
def matrices(draw):
    """Who took what, nobody everything."""
    n = draw(st.integers(2, 12))
    rows = draw(st.lists(st.sets(st.integers(0, n - 1), max_size=n - 1), min_size=1, max_size=6))
    x = np.zeros((len(rows), n))
    for r, row in enumerate(rows):
        x[r, sorted(row)] = 1
    return x


@settings(deadline=None)
@given(matrices(), st.integers(0, 2**32 - 1))
def test_a_negative_is_never_a_positive(x, seed):
    rng = np.random.default_rng(seed)
    user = rng.integers(0, len(x), 40)
    drawn = NegativeSampler.of("m", csr_array(x)).draw(user, 5, rng)
    assert drawn.shape == (40, 5)
    assert ((drawn >= 0) & (drawn < x.shape[1])).all()
    assert not x[user[:, None], drawn].any()


@settings(deadline=None)
@given(matrices(), st.sampled_from([-0.5, 0.5, 0.75, 1.0, 3.0]), st.integers(0, 2**32 - 1))
def test_a_negative_by_law_is_neither_a_positive_nor_an_item_nobody_took(x, power, seed):
    rng = np.random.default_rng(seed)
    popular = x.sum(axis=0) > 0
    some = np.flatnonzero(x[:, popular].sum(axis=1) < popular.sum())
    if len(some) == 0:
        return
    user = rng.choice(some, 20)
    drawn = NegativeSampler.of("m", csr_array(x), power).draw(user, 5, rng)
    assert not x[user[:, None], drawn].any()
    assert popular[drawn].all()


def skewed(seed: int = 0):
    """30 people, 25 items, item 0 taken by nearly everybody; person 0 took all the items with much weight."""
    rng = np.random.default_rng(seed)
    x = (rng.random((30, 25)) < 3 / np.arange(3, 28)).astype(float)
    x[0, :23], x[0, 23:] = 1, 0
    x[1:3, 23], x[3:9, 24] = 1, 1
    return x


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("user", [0, 7])
def test_draws_follow_the_law(power, user):
    """Chi-square, both tails: too good a fit is as suspicious as a bad one."""
    x, m = skewed(), 20_000
    law = np.where(x[user] > 0, 0.0, x.sum(axis=0) ** power)
    law /= law.sum()
    drawn = NegativeSampler.of("m", csr_array(x), power).draw(np.full(m, user), 1, np.random.default_rng(11))
    count = np.bincount(drawn[:, 0], minlength=25)
    assert (count[law == 0] == 0).all()
    there = law * m >= 5
    statistic = ((count - law * m)[there] ** 2 / (law * m)[there]).sum()
    low, high = chi2.ppf([1e-4, 1 - 1e-4], there.sum() - 1)
    assert low < statistic < high


@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("apart", [(0, 1), (1, -1), (1, 0), (1, 1)])
def test_places_are_independent(power, apart):
    """A draw and the one so many rows and places further, counted as pairs, chi-square with both tails."""
    rows, places = apart
    matrix = csr_array(np.vstack([np.zeros(4), np.ones((3, 4))]))
    drawn = NegativeSampler.of("m", matrix, power).draw(np.zeros(20_000, dtype=int), 4, np.random.default_rng(2))
    one, other = drawn[: 20_000 - rows, 1], drawn[rows:, 1 + places]
    count = np.bincount(one * 4 + other, minlength=16)
    low, high = chi2.ppf([1e-4, 1 - 1e-4], 15)
    assert low < ((count - len(one) / 16) ** 2 / (len(one) / 16)).sum() < high


def test_the_same_generator_gives_the_same_draws_and_another_does_not():
    x, user = csr_array(skewed()), np.arange(30)
    for power in (0.0, 0.75):
        one, two, other = (NegativeSampler.of("m", x, power).draw(user, 9, np.random.default_rng(s)) for s in (1, 1, 2))
        np.testing.assert_array_equal(one, two)
        assert (one != other).any()


def test_who_took_everything_is_refused():
    x = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    everything = np.vstack([x, np.ones(4)])
    with pytest.raises(
        UnsupportedError, match="'mf' cannot draw a negative for a user with interactions with all 4 items"
    ):
        NegativeSampler.of("mf", csr_array(everything)).draw(np.array([1, 2]), 3, np.random.default_rng(0))
    with pytest.raises(UnsupportedError, match="all 2 items"):
        NegativeSampler.of("mf", csr_array(x), 0.5).draw(np.array([0]), 3, np.random.default_rng(0))
    NegativeSampler.of("mf", csr_array(everything)).draw(np.array([0, 1]), 3, np.random.default_rng(0))


def test_rows_out_of_order_are_put_in_order():
    x = csr_array((np.ones(3), np.array([4, 0, 2]), np.array([0, 3])), shape=(1, 6))
    drawn = NegativeSampler.of("m", x).draw(np.zeros(300, dtype=int), 1, np.random.default_rng(0))
    assert set(drawn[:, 0].tolist()) == {1, 3, 5}


@settings(deadline=None)
@given(matrices(), st.integers(0, 2**32 - 1))
def test_in_batch_negatives_are_masked_where_they_were_taken(x, seed):
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, len(x), 6), rng.integers(0, x.shape[1], 9)
    np.testing.assert_array_equal(NegativeSampler.of("m", csr_array(x)).is_negative(user, item), x[user][:, item] == 0)


def test_log_expected_counts_the_draws():
    x = skewed()
    item = np.array([[0, 3], [24, 24]])
    np.testing.assert_allclose(np.exp(NegativeSampler.of("m", csr_array(x)).log_expected(item, 50)), 50 / 25)
    q = x.sum(axis=0) ** 0.75 / (x.sum(axis=0) ** 0.75).sum()
    np.testing.assert_allclose(np.exp(NegativeSampler.of("m", csr_array(x), 0.75).log_expected(item, 50)), 50 * q[item])


@pytest.mark.parametrize("power", [0.0, 0.75])
def test_the_sampled_softmax_of_verified_draws_is_that_of_the_positive_and_all_negatives(power):
    """Its sum is unbiased: the mean of e^loss over many draws is the whole catalogue's without other positives."""
    x, user, m = skewed(), np.array([0, 7, 2]), 40_000
    scores = np.random.default_rng(1).normal(size=(3, 25))
    there = (x[user] == 0) & (x.sum(axis=0) > 0)
    positive = scores[np.arange(3), x[user].argmax(axis=1)]
    negatives = NegativeSampler.of("m", csr_array(x), power)
    drawn = negatives.draw(user, m, np.random.default_rng(5))
    expected = torch.from_numpy(negatives.log_expected(drawn, m, user))
    of_drawn = torch.from_numpy(np.take_along_axis(scores, drawn.astype(int), axis=1))
    loss = sampled_softmax(torch.from_numpy(positive), of_drawn, expected)
    whole = np.log(np.exp(positive) + (np.exp(scores) * there).sum(axis=1)) - positive
    np.testing.assert_allclose(loss.numpy(), whole, rtol=0.01)


def test_a_crowded_law_leaves_the_others_their_share():
    """Item 0 is in every history and has all but 1e-17 of the law; of five draws each is one of the others."""
    x = np.zeros((20_000, 3))
    x[:, 0], x[0, 1], x[1, 2] = 1, 1, 1
    negatives, user = NegativeSampler.of("m", csr_array(x), 4.0), np.array([0, 1, 2])
    drawn = negatives.draw(user, 5, np.random.default_rng(0))
    assert (drawn[0] == 2).all()
    assert (drawn[1] == 1).all()
    np.testing.assert_allclose(negatives.log_expected(np.array([[2], [1], [1]]), 5, user)[:, 0], np.log([5, 5, 2.5]))


def test_the_hardest_is_the_best_scored():
    candidates = torch.tensor([[5, 3, 9], [1, 1, 2]])
    scores = torch.tensor([[0.1, 0.4, -2.0], [7.0, 7.0, 6.0]])
    assert hardest_negative(candidates, scores).tolist() == [3, 1]
