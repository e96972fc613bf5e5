"""Cached code is invalid when any file or constant compiled into it has changed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HELPER = """
from typing import NamedTuple
from matinee.kernel import kernel

@kernel
def step(x):
    return x + FACTOR

FACTOR = 1
"""
CALLER = """
import helper
from constants import OFFSET, Pair
from helper import step
from matinee.kernel import kernel, parallel_kernel, prange

@kernel
def through_name(x):
    return inner(x)

@kernel
def through_module(x):
    return helper.step(x) + OFFSET

@parallel_kernel
def beside(x):
    total = 0
    for _ in prange(2):
        total += step(x)
    return total

@kernel
def first(pair: Pair):
    return pair.left

@kernel
def inner(x):
    return step(x)

if __name__ == "__main__":
    print(through_name(10), through_module(10), beside(10), first(Pair(3, 5)))
    print(*(len(k._cache_hits) for k in (through_name, through_module, beside, first)))
"""
CONSTANTS = """
from typing import NamedTuple
OFFSET = 100
class Pair(NamedTuple):
    left: int
    right: int
"""


@pytest.fixture
def folder(tmp_path):
    for name, text in (("helper", HELPER), ("constants", CONSTANTS)):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "caller.py").write_text(CALLER)
    return tmp_path


def command(folder):
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), "PYTHONDONTWRITEBYTECODE": "1"}
    return {"args": [sys.executable, "caller.py"], "cwd": folder, "env": here, "text": True}


def printed(folder):
    """The values of the four kernels, and the number of cached signatures of each."""
    process = subprocess.run(**command(folder), capture_output=True, check=True)
    return [line.split() for line in process.stdout.splitlines()]


def edit(file, before, after):
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_a_change_in_another_file_is_compiled_again_and_only_where_it_matters(folder):
    assert printed(folder) == [["11", "111", "22", "3"], ["0", "0", "0", "0"]]
    assert printed(folder) == [["11", "111", "22", "3"], ["1", "1", "1", "1"]]
    edit(folder / "helper.py", "x + FACTOR", "x - FACTOR")
    assert printed(folder) == [["9", "109", "18", "3"], ["0", "0", "0", "1"]]
    edit(folder / "constants.py", "OFFSET = 100", "OFFSET = 200")
    assert printed(folder)[0] == ["9", "209", "18", "3"]
    edit(folder / "constants.py", "left: int\n    right: int", "right: int\n    left: int")
    assert printed(folder)[0] == ["9", "209", "18", "5"]


def test_processes_that_compile_at_the_same_time_agree(folder):
    processes = [subprocess.Popen(**command(folder), stdout=subprocess.PIPE) for _ in range(3)]
    outputs = [process.communicate()[0].splitlines()[0] for process in processes]
    assert outputs == ["11 111 22 3"] * 3
    assert printed(folder) == [["11", "111", "22", "3"], ["1", "1", "1", "1"]]
    assert not list(folder.glob("__pycache__/*.tmp.*"))


def test_code_of_a_read_only_installation_is_cached_elsewhere(folder, monkeypatch, tmp_path_factory):
    """A file at the path of the cache folder makes it unwritable, even for root."""
    (folder / "__pycache__").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    assert printed(folder)[1] == ["0", "0", "0", "0"]
    assert printed(folder) == [["11", "111", "22", "3"], ["1", "1", "1", "1"]]
