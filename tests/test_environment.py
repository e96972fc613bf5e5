"""Environment variables for idle threads: set by the import, before other libraries are imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from matinee.environment import WAITING, cores

NAMES = (*WAITING, "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")


def printed_by(code, **variables):
    """The JSON that a new process prints; of `NAMES` it has only `variables`."""
    inherited = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, env=inherited | variables, capture_output=True, text=True, check=True)
    return json.loads(process.stdout.splitlines()[-1])


PRINTED = f"import json, os; print(json.dumps({{name: os.environ.get(name) for name in {NAMES}}}))"


def test_the_import_sets_how_threads_wait_and_loads_no_library():
    heavy = "assert not {'numpy', 'scipy', 'numba', 'torch'} & sys.modules.keys()"
    variables = printed_by(f"import sys, matinee\n{heavy}\n{PRINTED}")
    assert variables == {**WAITING, "OMP_NUM_THREADS": None, "NUMBA_NUM_THREADS": None}


def test_the_command_line_sets_them_before_anything_is_loaded():
    assert printed_by(f"import matinee.cli\n{PRINTED}")["OMP_WAIT_POLICY"] == "passive"


def test_values_of_the_user_are_kept():
    chosen = {"OMP_WAIT_POLICY": "active", "OPENBLAS_THREAD_TIMEOUT": "20", "NUMBA_NUM_THREADS": "1"}
    assert printed_by(f"import matinee\n{PRINTED}", OMP_NUM_THREADS="2", **chosen) == {**chosen, "OMP_NUM_THREADS": "2"}


@pytest.mark.parametrize(("limit", "threads"), [("1", 1), ("1,4", 1), ("100000", cores()), ("two", None), ("0", None)])
def test_numba_follows_the_limit_of_openmp(limit, threads):
    value = printed_by(f"import matinee\n{PRINTED}", OMP_NUM_THREADS=limit)["NUMBA_NUM_THREADS"]
    assert value == (None if threads is None else str(threads))


def test_numba_with_running_threads_is_not_changed():
    compiled = "import numba\nnumba.get_num_threads()\nimport matinee\nnumba.njit(lambda x: x + 1)(1)"
    assert printed_by(f"{compiled}\n{PRINTED}", OMP_NUM_THREADS="1")["NUMBA_NUM_THREADS"] is None
