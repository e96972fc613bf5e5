"""Normalizations against one list at a time, and fused scores against ranx 0.3.21 (benchmarks/golden_fusion.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.candidates.norms import NORMS, normalized
from matinee.ensemble import RULES
from tests.ensemble.pools import pool_of, random_lists, slow_norm, topk

GOLDEN = json.loads((Path(__file__).parent / "golden_ranx.json").read_text())


@pytest.mark.parametrize("norm", sorted(NORMS))
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_norm_equals_its_twin(norm, seed):
    (member,) = random_lists(seed, 1)
    lists = topk(member, 6, 12)
    value, missing = normalized(lists.item, lists.score, norm)
    for r, row in enumerate(member):
        expected, outside = slow_norm(norm, [s for _, s in row])
        assert value[r].tolist() == pytest.approx([*expected, *[0.0] * (6 - len(row))], rel=1e-9, abs=1e-12)
        assert missing[r] == pytest.approx(outside, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("norm", sorted(NORMS))
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_norm_changes_the_order(norm, seed):
    """Values never rise down the list, equal scores stay equal (rank apart), and no item outside has a higher value."""
    (member,) = random_lists(seed, 1)
    lists = topk(member, 6, 12)
    value, missing = normalized(lists.item, lists.score, norm)
    for r, row in enumerate(member):
        own = value[r, : len(row)]
        assert (np.diff(own) <= 0).all()
        assert not len(row) or missing[r] <= own[-1]
        if norm != "rank":
            assert all(own[a] == own[a + 1] for a in range(len(row) - 1) if row[a][1] == row[a + 1][1])


@pytest.mark.parametrize("norm", ["min_max", "z_score", "rank"])
@pytest.mark.parametrize(("shift", "stretch"), [(7.0, 1.0), (0.0, 4.0), (-3.0, 0.25)])
def test_units_of_scores_do_not_matter(norm, shift, stretch):
    """Scores that float32 holds exactly, before and after."""
    score = np.array([[8.0, 4.0, 3.0, -1.0], [2.0, 2.0, 0.5, -np.inf]], dtype=np.float32)
    item = np.array([[3, 1, 0, 2], [0, 4, 1, -1]], dtype=np.int32)
    for one, other in zip(normalized(item, score, norm), normalized(item, score * stretch + shift, norm), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("norm", "values", "missing"),
    [
        ("min_max", [1, 1, 1], 0),
        ("z_score", [0, 0, 0], 0),
        ("rank", [1, 2 / 3, 1 / 3], 0),
        ("softmax", [1 / 3] * 3, 0),
        ("sigmoid", [1 / (1 + np.exp(-0.1))] * 3, 1 / (1 + np.exp(-0.1))),
    ],
)
def test_equal_scores(norm, values, missing):
    value, outside = normalized(np.array([[0, 1, 2]]), np.full((1, 3), 0.1, dtype=np.float32), norm)
    assert value[0].tolist() == pytest.approx(values, rel=1e-6, abs=1e-12)
    assert outside[0] == pytest.approx(missing, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_extreme_scores_stay_finite(norm):
    score = np.array([[3e38, 1.0, -3e38], [1e4, 9e3, -np.inf], [-np.inf] * 3], dtype=np.float32)
    value, missing = normalized(np.array([[0, 1, 2], [0, 1, -1], [-1] * 3]), score, norm)
    assert np.isfinite(value).all()
    assert np.isfinite(missing).all()
    assert (value[2] == 0).all()
    assert missing[2] == 0


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=[one["name"] for one in GOLDEN["cases"]])
def test_ranx_agrees_on_fusion(case):
    """ranx does not divide by the sum of weights, and Borda points not by the number of candidates.

    Two conventions differ, so z_score is tested on lists with all items and min_max on lists of different scores:
    ranx gives an item outside a list 0 under every norm, here z_score gives it the value of the last item;
    ranx's min-max gives a list of equal scores 0, here 1.
    """
    members = [[[(i, s) for i, s in row] for row in member] for member in GOLDEN["members"][case["on"]]]
    pool = pool_of(members, GOLDEN["items"], GOLDEN["items"])
    weights = np.array(case["weights"])
    scores = RULES.read({"kind": case["kind"], **case["knobs"]}, "test").scores(pool, weights) * weights.sum()
    if case["kind"] == "borda":
        scores *= np.diff(pool.offsets)[pool.row]
    for r, expected in enumerate(case["scores"]):
        own = slice(pool.offsets[r], pool.offsets[r + 1])
        found = dict(zip(map(str, pool.item[own].tolist()), scores[own].tolist(), strict=True))
        assert found == pytest.approx(expected, rel=2e-6, abs=2e-6)
