"""Values of text files: frozen specs, search ranges, and kinds by file name."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from pydantic import Field

from matinee import models
from matinee.contract import FitContext, Task, free_memory
from matinee.errors import MatineeError, SpecError, UnknownNameError
from matinee.models.ease import EASE
from matinee.spec import KindSource, SearchRange, Spec, build, short_repr
from tests.logs import log_of

DAY = 86_400


class Sample(Spec):
    """A spec."""

    size: Annotated[int, Field(ge=1), SearchRange(1, 9)]
    """How large."""

    rule: Annotated[str, SearchRange(choices=("a", "b"))] = "a"
    """Which rule."""


def test_a_spec_is_a_value():
    one = Sample(size=3)
    assert one == Sample(size=3)
    assert hash(one) == hash(Sample(size=3))
    with pytest.raises(ValueError, match="frozen"):
        one.size = 4
    assert one.to_dict() == {"kind": "test_spec", "size": 3, "rule": "a"}
    assert set(Sample.search_space()) == {"size", "rule"}


@pytest.mark.parametrize(
    ("search", "inside", "outside"),
    [(SearchRange(1, 9), 9, 9.1), (SearchRange(choices=("a",)), "a", "b"), (SearchRange(1e-3, 1, log=True), 0.5, 0)],
)
def test_ranges_contain(search, inside, outside):
    assert search.contains(inside)
    assert search.contains(None)
    assert not search.contains(outside)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({}, SpecError, r"^exp: model 1.size: it is missing; expected a value \(How large.\)"),
        ({"size": 0}, SpecError, "^exp: model 1.size: found 0; expected a value greater than or equal to 1"),
        ({"size": "x"}, SpecError, "found 'x'"),
        ({"size": float("inf")}, SpecError, "size: found inf"),
        ({"size": 1, "rul": "a"}, UnknownNameError, "^exp: model 1: there is no option 'rul'; did you mean 'rule'"),
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
        ({"l3": 1}, UnknownNameError, "^EASE: there is no hyperparameter 'l3'; did you mean 'l2'"),
        ({"l2": -1}, SpecError, "^EASE.l2: found -1; expected a value greater than"),
        ({"l2": "much"}, SpecError, "^EASE.l2: found 'much'; expected a valid number\\. The default is"),
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
    with pytest.raises(UnknownNameError, match=r"^exp: outer\.sample: there is no option 'sise'"):
        build(Outer, {"sample": {"size": 1, "sise": 0}}, "exp: outer")


def test_listing_kinds_imports_nothing():
    code = "import sys; from matinee import models; models.kinds(); print('matinee.models.ease' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "False"


def test_other_packages_add_kinds_by_entry_point(monkeypatch):
    theirs = EntryPoint("their_model", "matinee.models.ease:EASE", "matinee.models")
    monkeypatch.setattr("matinee.spec.entry_points", lambda group: [theirs] if group == "matinee.models" else [])
    assert "their_model" in models.kinds()
    assert models.get("their_model") is EASE


def test_hyphens_are_underscores_in_kinds():
    assert models.get("item-knn") is models.get("item_knn")


def test_generators_depend_on_seed_and_key_alone():
    ctx = FitContext(seed=4)
    assert ctx.rng(1).integers(1 << 30) == FitContext(seed=4).rng(1).integers(1 << 30)
    draws = {ctx.rng().integers(1 << 60), ctx.rng(1).integers(1 << 60), FitContext(seed=5).rng(1).integers(1 << 60)}
    assert len(draws) == 3


def test_availability_rules():
    now = 10**9
    log = log_of([0, 0, 1], [0, 1, 2], np.array([now - 100 * DAY, now - 10 * DAY, now]), items=5)
    assert Task().available_items(log) is None
    assert Task(available="train").available_items(log).tolist() == [True, True, True, False, False]
    assert Task(available="recent", recent_days=20).available_items(log).tolist() == [False, True, True, False, False]
    assert Task(available="recent", recent_days=10).available_items(log).tolist() == [False, True, True, False, False]
    assert Task(available="recent", recent_days=9.9).available_items(log).tolist() == [False, False, True, False, False]
    with pytest.raises(SpecError, match=r"^task.available: found 'recent', but the log has no times"):
        Task(available="recent").available_items(log_of([0], [0]))


def test_free_memory_is_a_plausible_number():
    assert 10**8 < free_memory() < 10**14


PLUG_IN = '''
from matinee.contract import FitContext
from matinee.models.popularity import Popularity

class Model(Popularity):
    """A model elsewhere."""
'''

PLUG_IN_USE = """
import sys
from pathlib import Path
from matinee import models
from matinee.contract import Task
from matinee.runs import RunOptions, execute, open_run, prepare
from matinee.runs.experiment import read_experiment
from matinee.runs.refit import experiment_of

if sys.argv[1] == "direct":
    from pkg.impl import Model
    assert Model().kind == "their_model", Model().kind
tables = {
    "data": {"kind": "simulate", "users": 60, "items": 40, "rows": 900}, "split": {"kind": "last_n"},
    "task": {"k": 3, "metric": "recall@3", "extra_metrics": []}, "model": [{"kind": "their_model"}],
}
experiment = read_experiment(tables, "exp.toml")
assert experiment.model[-1].kind == "their_model"
run = execute(prepare(experiment), RunOptions(Path("runs")))[-1]
again = open_run(run.folder)
assert again.kind == "their_model"
assert again.model().spec == experiment.model[-1]
assert experiment_of(again) == experiment
source = models.CATALOGUE.source("their_model")
print(source.version, source.sha256)
"""


@pytest.mark.parametrize("way", ["registry", "direct"])
def test_a_kind_from_another_package_is_the_name_of_its_entry_point(tmp_path, way):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "impl.py").write_text(PLUG_IN)
    info = tmp_path / "theirs-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text("[matinee.models]\ntheir_model = pkg.impl:Model\n")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", PLUG_IN_USE, way],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2.5", hashlib.sha256(PLUG_IN.encode()).hexdigest()]


def test_the_source_of_a_kind_is_its_version_and_file_digest():
    source = models.CATALOGUE.source("item-knn")
    file = Path(models.__file__).parent / "item_knn.py"
    assert source == KindSource(metadata.version("matinee"), hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(UnknownNameError):
        models.CATALOGUE.source("no_such_kind")


class Switched(Spec):
    """A spec with a bool field."""

    on: bool = False
    """Whether it is on."""

    sizes: tuple[int, ...] = ()
    """The sizes."""


@pytest.mark.parametrize(
    "values", [{"on": 1}, {"on": "yes"}, {"sizes": [True]}, {"sizes": [1, False]}, {"sizes": (2, True)}]
)
def test_true_is_no_number_and_a_number_is_not_true(values):
    with pytest.raises(SpecError, match="true or false"):
        build(Switched, values, "here")
    assert build(Switched, {"on": True, "sizes": [1, 0]}, "here") == Switched(on=True, sizes=(1, 0))
    assert Switched.model_validate_json(Switched(on=True, sizes=(3,)).model_dump_json()).on is True


@pytest.mark.parametrize(
    "value", [pytest.param(10**5000, id="digits"), "x" * 10_000, list(range(10**4)), {"a" * 999: "b\n" * 999}]
)
def test_a_value_in_a_message_is_short(value):
    assert len(short_repr(value)) < 300
    assert "\n" not in short_repr(value)
    with pytest.raises(MatineeError) as error:
        build(Switched, {"on": value}, "here")
    assert len(str(error.value)) < 500
