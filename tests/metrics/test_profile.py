"""Each profile against the numbers its library gave, and against a slow twin."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from lists_and_targets import TWINS, lists_of, random_case, targets_of, twin
from profile_fixture import N_ITEMS, N_USERS, K, digest, fixture

from matinee.errors import SpecError, UnknownNameError
from matinee.metrics import evaluate, names, profiles
from matinee.metrics.profile import profile

GOLDEN = json.loads((Path(__file__).parent / "golden_profiles.json").read_text())
LISTS, ANSWERS = fixture()


def _evaluated(metrics: list[str], name: str):
    lists = {u: row for u, row in enumerate(LISTS) if row}
    return evaluate(
        lists_of(lists, K, N_USERS, N_ITEMS),
        targets_of({u: dict.fromkeys(row, 0) for u, row in enumerate(ANSWERS)}, ("random",), N_USERS, N_ITEMS),
        metrics,
        profile=name,
    )


def test_the_fixture_is_that_of_the_libraries():
    assert digest() == GOLDEN["digest"]
    assert {1, 40} <= {len(row) for row in ANSWERS}
    assert [sum(len(row) == n for row in LISTS) for n in (0, 4, 10)] == [20, 50, 930]


@pytest.mark.parametrize("library", GOLDEN["libraries"])
def test_numbers_of_the_library(library: str):
    entry = GOLDEN["libraries"][library]
    found = _evaluated([f"{name}@{entry['k']}" for name in entry["numbers"]], library)
    assert {name: found[f"{name}@{entry['k']}"] for name in entry["numbers"]} == pytest.approx(
        entry["numbers"], abs=1e-6
    )


@pytest.mark.parametrize("library", GOLDEN["libraries"])
def test_every_definition_of_the_profile_was_measured(library: str):
    assert set(profile(library).formulas) <= set(GOLDEN["libraries"][library]["numbers"])


def test_the_libraries_disagree():
    numbers = [entry["numbers"] for entry in GOLDEN["libraries"].values()]
    for metric, several in (("recall", 3), ("precision", 4), ("ndcg", 4), ("map", 4)):
        assert len({round(n[metric], 6) for n in numbers if metric in n}) == several


def test_profiles_are_described_and_twinned():
    assert next(one.name for one in profiles()) == "matinee"
    assert {one.name for one in profiles()} == set(TWINS)
    for one in profiles():
        assert one.description.endswith(".")
        assert one.source
        assert set(one.formulas) == set(TWINS[one.name])
        assert set(one.formulas) <= set(names())


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("part", [None, 0, 1])
def test_twin(name: str, seed: int, part: int | None):
    lists, target_items, topk, targets = random_case(seed)
    for k in (1, 3, 10):
        metrics = [f"{metric}@{k}" for metric in TWINS[name]]
        whole = evaluate(topk, targets, metrics, profile=name)
        view = whole if part is None else whole.part(("random", "last")[part])
        for metric in TWINS[name]:
            slow = twin(name, metric, k, lists, target_items, part)
            assert view.users.tolist() == list(slow)
            value, weight = np.array(list(slow.values())).T
            expected = np.where(weight > 0, value, np.nan)
            np.testing.assert_allclose(view.per_user(f"{metric}@{k}"), expected, atol=1e-12)
            mean = (value * weight).sum() / weight.sum()
            assert view[f"{metric}@{k}"] == pytest.approx(mean, abs=1e-12)


def test_metrics_that_a_library_lacks_are_refused():
    *_, topk, targets = random_case(0)
    with pytest.raises(SpecError, match=r"does not define recall.*map, ndcg, precision"):
        evaluate(topk, targets, ["recall@10"], profile="implicit")
    with pytest.raises(UnknownNameError, match="did you mean 'lenskit'"):
        evaluate(topk, targets, ["recall@10"], profile="lensit")
