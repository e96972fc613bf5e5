"""splitmix64 against its published stream; every draw of the package that uses it, pinned to fixed values."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from matinee.data import Vocabulary
from matinee.data.canonical import canonical_order
from matinee.data.simulation.spec import Simulate
from matinee.hashing import GOLDEN, mix64, mix64_array
from matinee.metrics.bootstrap import draw
from matinee.nn.sampling import NegativeSampler
from matinee.split._draw import user_keys

# values of the versions before `hashing` existed
NUMBER_KEYS = [9910855899103923577, 14790506230408669705, 4695968105291030604]
TEXT_KEYS = [14357283545775935924, 1995487882880330525]
BOOTSTRAP = [0, 1, 2, 2, 2, 0, 0, 0, 0, 0, 2, 3]
NEGATIVES = {0.0: [[8, 8, 5, 5], [8, 7, 6, 4]], 0.5: [[3, 4, 3, 4], [5, 5, 4, 5]]}
SIMULATED = 575347565568579
CANONICAL = ([0, 4, 5, 8, 3, 2, 6, 7, 1], [2, 4, 1, 0, 3, 6, 5])


def digest(*arrays: np.ndarray) -> int:
    """A sum of the values weighted by their positions, modulo 2⁶⁴."""
    flat = np.concatenate([np.asarray(array).ravel().astype(np.uint64) for array in arrays])
    return int((flat * (2 * np.arange(len(flat), dtype=np.uint64) + np.uint64(1))).sum())


def test_the_stream_of_key_0_is_the_published_one():
    """The first words of Java's SplittableRandom with seed 0."""
    state = GOLDEN * np.arange(1, 4, dtype=np.uint64)
    words = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert mix64_array(state).tolist() == words
    assert [int(mix64(z)) for z in state] == words


def test_keys_of_users_keep_their_values():
    numbers, texts = Vocabulary.of(pl.Series([3, 5, 900])), Vocabulary.of(pl.Series(["a", "b"]))
    assert user_keys(numbers, 7, 1).tolist() == NUMBER_KEYS
    assert user_keys(texts, 7).tolist() == TEXT_KEYS


def test_bootstrap_draws_keep_their_values():
    count = np.zeros(12, dtype=np.int32)
    draw(count, np.uint64(42), 3)
    assert count.tolist() == BOOTSTRAP


def test_negatives_keep_their_values():
    for power, values in NEGATIVES.items():
        matrix = csr_array(np.tri(4, 9, 2))
        drawn = NegativeSampler.of("test", matrix, power).draw(np.arange(2), 4, np.random.default_rng(1))
        assert drawn.tolist() == values


def test_simulated_logs_keep_their_values():
    log = Simulate(users=30, items=20, rows=300, seed=4).read()
    assert digest(log.user, log.item, log.time) == SIMULATED


def test_the_canonical_order_keeps_its_values():
    rng = np.random.default_rng(3)
    order = canonical_order(csr_array((rng.random((9, 7)) < 0.4).astype(float)))
    assert (order.user.tolist(), order.item.tolist()) == CANONICAL
