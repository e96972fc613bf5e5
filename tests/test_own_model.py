"""The package that `docs/own_model.md` describes: built from its blocks, tested by the contract, and run."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.outside_package import install, run_python

PAGE = (Path(__file__).parents[1] / "docs" / "own_model.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`[^\n]*:\n\n```\w+\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
COMMANDS = [shlex.split(line) for line in re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)[0].splitlines()]
LAST_EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[-1]


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder with the files of the page and the metadata that an installation would write."""
    folder = tmp_path_factory.mktemp("package")
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    install(folder, project["name"], FILES, project["entry-points"]["matinee.models"])
    return folder


def test_the_page_has_every_file_that_it_lists():
    listed = re.findall(r"^([\w.]+)  +\S", PAGE, flags=re.MULTILINE)
    assert len(listed) == 3
    assert {*listed, "experiment.toml"} == FILES.keys()


def test_the_contract_passes(package):
    process = run_python(package, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert process.returncode == 0, process.stdout
    assert int(re.findall(r"(\d+) passed", process.stdout)[0]) > 20


def test_the_kind_is_listed(package):
    process = run_python(package, "-m", "matinee", "models")
    assert process.returncode == 0, process.stderr
    assert "cooccurrence" in process.stdout
    assert "Items that users have in common, normalized by popularity." in process.stdout


def test_every_command_runs_and_the_run_opens_again(package):
    for command in COMMANDS:
        assert command[0] == "matinee"
        process = run_python(package, "-m", *command)
        assert process.returncode == 0, process.stderr
    assert "cooccurrence" in process.stdout
    (package / "last_example.py").write_text(LAST_EXAMPLE)
    process = run_python(package, "last_example.py")
    assert process.returncode == 0, process.stderr
    assert process.stdout == "power=0.3 150\n"
