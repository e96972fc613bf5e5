"""What a file can say: frozen specs, ranges, and kinds found by file name."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Annotated

import numpy as np
import pytest
from pydantic import Field

from matinee import models
from matinee.contract import Context, Task, free_memory
from matinee.errors import MatineeError, SpecError, UnknownName
from matinee.models.ease import EASE
from matinee.spec import Search, Spec, build
from tests.logs import log_of

DAY = 86_400


class Sample(Spec):
    """A spec."""

    size: Annotated[int, Field(ge=1), Search(1, 9)]
    """How large."""

    rule: Annotated[str, Search(choices=("a", "b"))] = "a"
    """Which rule."""


def test_a_spec_is_a_value():
    one = Sample(size=3)
    assert one == Sample(size=3)
    assert hash(one) == hash(Sample(size=3))
    with pytest.raises(ValueError, match="frozen"):
        one.size = 4
    assert one.written() == {"kind": "test_spec", "size": 3, "rule": "a"}
    assert set(Sample.searchable()) == {"size", "rule"}


@pytest.mark.parametrize(
    ("search", "inside", "outside"),
    [(Search(1, 9), 9, 9.1), (Search(choices=("a",)), "a", "b"), (Search(1e-3, 1, log=True), 0.5, 0)],
)
def test_ranges_contain(search, inside, outside):
    assert search.contains(inside)
    assert search.contains(None)
    assert not search.contains(outside)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({}, SpecError, r"^exp: model 1.size: it is missing; expected a value \(How large.\)"),
        ({"size": 0}, SpecError, "^exp: model 1.size: found 0; expected input should be greater than or equal to 1"),
        ({"size": "x"}, SpecError, "found 'x'"),
        ({"size": float("inf")}, SpecError, "size: found inf"),
        ({"size": 1, "rul": "a"}, UnknownName, "^exp: model 1: there is no knob 'rul'; did you mean 'rule'"),
    ],
)
def test_refusals_name_place_value_and_rule(values, error, message):
    with pytest.raises(error, match=message) as refused:
        build(Sample, values, "exp: model 1")
    assert isinstance(refused.value, MatineeError)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"l3": 1}, UnknownName, "^EASE: there is no knob 'l3'; did you mean 'l2'"),
        ({"l2": -1}, SpecError, "^EASE.l2: found -1; expected input should be greater than"),
        ({"l2": "much"}, SpecError, "^EASE.l2: found 'much'; expected input should be a valid number"),
    ],
)
def test_a_spec_made_in_python_is_refused_in_one_line(values, error, message):
    with pytest.raises(error, match=message) as refused:
        EASE(**values)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, MatineeError)


def test_inside_a_file_the_place_is_reported():
    class Outer(Spec):
        sample: Sample

    with pytest.raises(SpecError, match=r"^exp: outer\.sample\.size: found 0"):
        build(Outer, {"sample": {"size": 0}}, "exp: outer")
    with pytest.raises(UnknownName, match=r"^exp: outer\.sample: there is no knob 'sise'"):
        build(Outer, {"sample": {"size": 1, "sise": 0}}, "exp: outer")


def test_listing_kinds_imports_nothing():
    import subprocess
    import sys

    code = "import sys; from matinee import models; models.kinds(); print('matinee.models.ease' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_other_packages_add_kinds_by_entry_point(monkeypatch):
    theirs = EntryPoint("their_model", "matinee.models.ease:EASE", "matinee.models")
    monkeypatch.setattr("matinee.spec.entry_points", lambda group: [theirs] if group == "matinee.models" else [])
    assert "their_model" in models.kinds()
    assert models.get("their_model") is EASE


def test_hyphens_are_underscores_in_kinds():
    assert models.get("item-knn") is models.get("item_knn")


def test_generators_depend_on_seed_and_key_alone():
    ctx = Context(seed=4)
    assert ctx.rng(1).integers(1 << 30) == Context(seed=4).rng(1).integers(1 << 30)
    draws = {ctx.rng().integers(1 << 60), ctx.rng(1).integers(1 << 60), Context(seed=5).rng(1).integers(1 << 60)}
    assert len(draws) == 3


def test_availability_rules():
    now = 10**9
    log = log_of([0, 0, 1], [0, 1, 2], np.array([now - 100 * DAY, now - 10 * DAY, now]), items=5)
    assert Task().allowed(log) is None
    assert Task(available="learned").allowed(log).tolist() == [True, True, True, False, False]
    assert Task(available="recent", recent_days=20).allowed(log).tolist() == [False, True, True, False, False]
    assert Task(available="recent", recent_days=10).allowed(log).tolist() == [False, True, True, False, False]
    assert Task(available="recent", recent_days=9.9).allowed(log).tolist() == [False, False, True, False, False]
    with pytest.raises(SpecError, match=r"^task.available: found 'recent', but the log has no times"):
        Task(available="recent").allowed(log_of([0], [0]))


def test_free_memory_is_a_plausible_number():
    assert 10**8 < free_memory() < 10**14
