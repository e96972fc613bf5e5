"""A catalogue of 200,000 items: what fits, fits in memory and gives lists; what cannot is refused beforehand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matinee import models
from matinee.contract import FitContext, Mask
from matinee.data import Interactions, Vocabulary
from matinee.errors import InsufficientMemoryError
from matinee.topk import StreamsTopK, recommend, top_k_of_scores
from matinee.topk.rank import BLOCK_BYTES

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
    assert spec.estimate_memory(USERS, ITEMS, ROWS) >= SQUARE == 160_000_000_000
    with pytest.raises(InsufficientMemoryError, match=r"item_knn|mrf"):
        spec.fit(log, FitContext(memory_limit=ROOM))


def status(name: str) -> int:
    """Bytes this process holds (VmRSS), or held at most since `forget_peak` (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def forget_peak() -> int:
    """Start a new peak and say what is held now; what other tests held before does not count."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        pytest.skip(f"the peak cannot be reset here: {error}")
    held = status("VmRSS")
    if status("VmHWM") > held + 50_000_000:
        pytest.skip("the peak was not reset: this system ignores /proc/self/clear_refs")
    return held


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(("kind", "knobs"), [("popularity", {}), ("item_knn", {}), ("mrf", {"neighbours": 30})])
def test_what_fits_gives_lists(log, kind, knobs):
    """A fit stays in its room, lists for everybody a sliver of their 32 GB of scores: less than a block."""
    spec, everybody = models.get(kind)(**knobs), log.histories()
    everybody.matrix  # noqa: B018 -- the data as rows, beside which a fit counts
    predicted = spec.estimate_memory(USERS, ITEMS, len(log))
    assert predicted < ROOM
    held = forget_peak()
    fitted = spec.fit(log, FitContext(memory_limit=ROOM))
    fit = status("VmHWM") - held
    assert fit < ROOM
    held = forget_peak()
    lists = recommend(fitted, everybody, 10)
    listing = status("VmHWM") - held
    assert listing < (BLOCK_BYTES if isinstance(fitted, StreamsTopK) else 2 * BLOCK_BYTES)
    assert (lists.item >= 0).all()
    assert np.isfinite(lists.score).all()
    assert (np.diff(np.sort(lists.item, axis=1), axis=1) > 0).all()
    listed = np.arange(USERS)[:, None] * ITEMS + lists.item
    assert not np.isin(listed, log.user.astype(np.int64) * ITEMS + log.item).any()
    some = np.arange(0, USERS, 400)
    item, score = top_k_of_scores(fitted.score(everybody.take(some)), everybody.take(some), 10, Mask(), kind)
    np.testing.assert_array_equal(lists.item[some], item)
    np.testing.assert_array_equal(lists.score[some], score)
