"""What a fit is predicted to need is what it takes: the peak of this process, measured from outside."""

from __future__ import annotations

import ctypes
import gc
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from matinee import models
from matinee.contract import FitContext
from matinee.nn import train
from tests.logs import log_of

PEAK = Path("/proc/self/clear_refs")
pytestmark = pytest.mark.skipif(sys.platform != "linux" or not PEAK.exists(), reason="no peak of memory to reset here")

WIDE = {"users": 100, "items": 20_000, "rows": 9_000}
SQUARE = {"users": 100, "items": 2_500, "rows": 9_000}
PEOPLE = {"users": 20_000, "items": 300, "rows": 90_000}
CROWD = {"users": 2_000, "items": 6_000, "rows": 40_000}

CASES = [
    ("autorec", WIDE, {}),
    ("mult_dae", WIDE, {}),
    ("mult_vae", WIDE, {}),
    ("cdae", WIDE, {}),
    ("rec_vae", WIDE, {"factors": 100, "hidden": 150}),
    ("vasp", SQUARE, {}),
    ("neural_ease", SQUARE, {}),
    ("multi_ease", SQUARE, {}),
    ("elsa", WIDE, {}),
    ("item_vae", PEOPLE, {"hidden": 200, "factors": 100}),
    *(
        ("mult_dae", CROWD, {"factors": 16, "batch_size": 1_000, "loss": loss})
        for loss in ("multinomial", "bce", "focal", "mse")
    ),
    *((kind, CROWD, {"factors": 16, "batch_size": 1_000}) for kind in ("mult_vae", "elsa")),
    ("rec_vae", CROWD, {"factors": 16, "hidden": 16, "batch_size": 1_000}),
    ("vasp", CROWD, {"factors": 16, "hidden": 16, "batch_size": 1_000, "shallow_item_share": 0.01}),
]


def log(users: int, items: int, rows: int):
    """Popular items by a square; everybody has a row, nearly every item too."""
    rng = np.random.default_rng(0)
    key = np.unique(rng.integers(0, users, rows) * items + (items * rng.random(rows) ** 2).astype(int))
    made = log_of(key // items, key % items, np.arange(len(key)), users=users, items=items)
    assert made.matrix.nnz
    return made


def resident(name: str) -> int:
    """A line of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name)))


def taken(spec, data, folder: Path) -> int:
    """Bytes at the peak of a fit of two epochs, each looked at, best so far, and written down."""
    gc.collect()  # garbage of earlier tests that is freed during the fit would lower the difference
    ctypes.CDLL(None).malloc_trim(0)
    PEAK.write_text("5")
    before, better, few = resident("VmRSS"), count(), data.histories(np.arange(4))

    def validate(model):
        model.score(few)
        return next(better)

    spec.fit(data, FitContext(seed=1, validate=validate, checkpoint_dir=folder))
    return resident("VmHWM") - before


@pytest.mark.parametrize(("kind", "size", "knobs"), CASES, ids=lambda one: one if isinstance(one, str) else None)
def test_a_fit_takes_what_it_said(kind, size, knobs, tmp_path, monkeypatch):
    data = log(**size)
    spec = models.get(kind)(**knobs, epochs=2)
    taken(spec, log(60, 60, 600), tmp_path / "small")  # libraries and compiled code are loaded once
    monkeypatch.setattr(train, "monotonic", count(0, 100).__next__)
    said = spec.estimate_memory(data.n_users, data.n_items, len(data))
    share = taken(spec, data, tmp_path / "large") / said
    assert 0.5 < share < 1.35
