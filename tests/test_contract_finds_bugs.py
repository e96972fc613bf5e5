"""The model contract passes a sound toy model and fails each planted bug of `broken_models.py`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.broken_models import MODELS
from tests.outside_package import install, run_python

CASES = "import broken_models\nfrom matinee.testing import ModelContract\n" + "".join(
    f"\n\nclass Test{name}(ModelContract):\n    spec = broken_models.{name}()\n" for name in MODELS
)


@pytest.fixture(scope="module")
def failures(tmp_path_factory) -> dict[str, set[str]]:
    """The failed contract tests of each model."""
    folder = tmp_path_factory.mktemp("broken")
    files = {
        "broken_models.py": (Path(__file__).parent / "broken_models.py").read_text(encoding="utf-8"),
        "test_broken.py": CASES,
        "pytest.ini": "[pytest]\n",
    }
    install(folder, "broken-models", files, {name.lower(): f"broken_models:{name}" for name in MODELS})
    process = run_python(folder, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "--junitxml=report.xml")
    assert process.returncode == 1, process.stdout + process.stderr
    failed: dict[str, set[str]] = defaultdict(set)
    for case in ElementTree.parse(folder / "report.xml").getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed[case.attrib["classname"].partition(".Test")[2]].add(case.attrib["name"])
    return failed


def test_a_sound_model_passes(failures):
    assert not failures["Sound"]


@pytest.mark.parametrize("name", [name for name in MODELS if name != "Sound"])
def test_a_planted_bug_is_found(name, failures):
    assert set(MODELS[name].fails) <= failures[name]
