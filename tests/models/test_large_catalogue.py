"""A catalogue of 200,000 items: what fits, fits in memory and gives lists; what cannot is refused beforehand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matinee import models
from matinee.contract import Context
from matinee.data import Interactions, Vocabulary
from matinee.errors import TooLarge
from matinee.topk import recommend

USERS, ITEMS, ROWS = 40_000, 200_000, 2_000_000
SQUARE = 4 * ITEMS**2
ROOM = 3_000_000_000
"""Bytes a fit may take here: a fiftieth of the square."""


@pytest.fixture(scope="module")
def log() -> Interactions:
    """Zipf items, taken by anybody."""
    rng = np.random.default_rng(0)
    law = np.cumsum(1.0 / (np.arange(1, ITEMS + 1) + 50.0) ** 0.9)
    item = rng.permutation(ITEMS)[np.searchsorted(law, rng.random(ROWS) * law[-1])]
    pair = np.unique(rng.integers(0, USERS, ROWS) * ITEMS + item)
    vocabularies = (Vocabulary.of(pl.Series(range(USERS))), Vocabulary.of(pl.Series(range(ITEMS))))
    user, item = (pair // ITEMS).astype(np.int32), (pair % ITEMS).astype(np.int32)
    return Interactions.of(vocabularies, user, item, rng.integers(10**9, 10**9 + 10**8, len(pair)))


@pytest.mark.parametrize("kind", ["ease", "slim", "directional"])
def test_squares_are_refused_before_they_are_allocated(log, kind):
    spec = models.get(kind)()
    assert spec.memory(USERS, ITEMS, ROWS) >= SQUARE == 160_000_000_000
    with pytest.raises(TooLarge, match=r"item_knn|mrf"):
        spec.fit(log, Context(memory=ROOM))


def peak() -> int:
    """Bytes this process ever held at once since it was last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(("kind", "knobs"), [("popularity", {}), ("item_knn", {}), ("mrf", {"neighbours": 30})])
def test_what_fits_gives_lists(log, kind, knobs):
    spec = models.get(kind)(**knobs)
    assert spec.memory(USERS, ITEMS, ROWS) < ROOM
    fitted = spec.fit(log, Context(memory=ROOM))
    asked = log.histories(np.arange(0, USERS, 100))
    lists = recommend(fitted, asked, 10)
    assert (lists.item >= 0).all()
    taken = np.asarray(asked.matrix[np.arange(len(asked))[:, None], lists.item])
    assert not taken.any()
    assert peak() < ROOM
