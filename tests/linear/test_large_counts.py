"""Counts above 2²⁴, where a float32 sum of ones stops growing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from matinee.data.ragged import count_csr
from matinee.errors import DataError
from matinee.linear.gram import EXACT, gram
from matinee.linear.neighbours import top_k_similar
from matinee.topk.similarity import SimilarityRule

MANY = EXACT + 4


@pytest.fixture(scope="module")
def popular():
    """Every user took the only item: 16.8 million of them."""
    one = np.ones(MANY, dtype=np.float32)
    return csr_array((one, np.zeros(MANY, dtype=np.int32), np.arange(MANY + 1, dtype=np.int32)), shape=(MANY, 1))


def test_a_gram_goes_on_counting(popular):
    assert gram(popular)[0, 0] == MANY


def test_counts_of_a_user_go_on():
    counts = count_csr(np.array([0, MANY]), np.zeros(MANY, dtype=np.int32), 1)
    assert counts.data.dtype == np.float32
    assert counts.data[0] == MANY


def test_neighbours_of_an_item_that_cannot_be_counted_are_refused(popular):
    one = np.ones(1)
    with pytest.raises(DataError, match="an item has 16,777,220 users"):
        top_k_similar(popular, np.ones(MANY), one, SimilarityRule(1.0, 1.0), 1)
