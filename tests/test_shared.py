"""The store of shared work: computed once, within its limit, by several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier

import numpy as np
import pytest
from scipy.sparse import csr_array

from matinee.shared import SharedWork, writable


class Maker:
    """Arrays of zeros, counted."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return np.zeros(4)


def test_a_value_is_computed_once():
    shared, make = SharedWork(100), Maker()
    first = shared.get(("a",), make, 40)
    assert shared.get(("a",), make, 40) is first
    assert make.calls == 1
    assert shared.n_bytes == 40


def test_the_least_recently_used_value_is_dropped():
    shared, make = SharedWork(100), Maker()
    for key in "abac":  # b is older than a
        shared.get((key,), make, 50)
    assert make.calls == 3
    assert shared.latest(("a",), np.ndarray) is not None
    assert shared.latest(("b",), np.ndarray) is None
    assert shared.n_bytes == 100


def test_what_does_not_fit_is_computed_each_time_and_drops_nothing():
    shared, make = SharedWork(100), Maker()
    shared.get(("a",), make, 60)
    one, two = (shared.get(("b",), make, 101) for _ in range(2))
    assert one is not two
    assert make.calls == 3
    assert shared.n_bytes == 60
    assert one.flags.writeable


def test_a_lower_limit_drops_values_and_can_be_raised_again():
    shared, make = SharedWork(100), Maker()
    shared.get(("a",), make, 60)
    shared.set_limit(50)
    assert shared.n_bytes == 0
    shared.get(("a",), make, 60)
    assert shared.n_bytes == 0
    shared.set_limit(1000)
    shared.get(("a",), make, 60)
    assert shared.n_bytes == 60
    shared.get(("b",), make, 101)  # `max_bytes` is still the limit
    assert shared.n_bytes == 60
    shared.set_limit(-5)
    assert shared.n_bytes == 0


@dataclass(frozen=True)
class Pair:
    left: np.ndarray
    right: tuple[np.ndarray, float]


def test_arrays_of_stored_values_are_read_only():
    shared = SharedWork(100)
    pair = shared.get(("pair",), lambda: Pair(np.zeros(2), (np.zeros(3), 1.0)), 40)
    matrix = shared.get(("matrix",), lambda: csr_array(np.eye(3)), 40)
    for array in (pair.left, pair.right[0], matrix.data, matrix.indices, matrix.indptr):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    own = writable(pair.left)
    own[0] = 1.0
    assert pair.left[0] == 0.0
    assert writable(own) is own


def test_the_latest_value_of_a_key():
    shared = SharedWork(100)
    assert shared.latest(("start",), np.ndarray) is None
    for value in (1.0, 2.0):
        shared.put(("start",), np.full(2, value), 16)
    np.testing.assert_array_equal(shared.latest(("start",), np.ndarray), [2.0, 2.0])
    assert shared.n_bytes == 16
    with pytest.raises(TypeError, match="ndarray, not csr_array"):
        shared.latest(("start",), csr_array)


def test_a_failure_stores_nothing_and_blocks_nobody_after_it():
    shared = SharedWork(100)
    with pytest.raises(ZeroDivisionError):
        shared.get(("a",), lambda: 1 / 0, 8)
    assert shared.get(("a",), lambda: 7, 8) == 7


def test_threads_compute_one_key_once_and_different_keys_at_the_same_time():
    shared, make, both = SharedWork(1000), Maker(), Barrier(2, timeout=20)

    def slow():
        both.wait()  # passes only if both keys are being computed
        return make()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda key: shared.get((key,), slow, 8), "ab"))
    assert make.calls == 2
    started = Barrier(8, timeout=20)

    def get(_):
        started.wait()
        return shared.get(("c",), make, 8)

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(get, range(8)))
    assert all(value is values[0] for value in values)
    assert make.calls == 3
