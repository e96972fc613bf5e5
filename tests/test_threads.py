"""A limit of threads: in force inside a fit and its lists, for every library, and gone afterwards."""

from __future__ import annotations

import json
from importlib import import_module
from threading import Event, Thread

import numba
import pytest
import torch
from threadpoolctl import threadpool_info

from matinee.contract import FitContext, Task
from matinee.errors import MatineeError, SpecError
from matinee.models.ease import EASE
from matinee.runs import RunOptions, execute, prepare
from matinee.runs.experiment import read_experiment
from matinee.runs.submission import refit
from matinee.threads import available_threads, limit_threads
from tests.logs import random_log

several = pytest.mark.skipif(available_threads() < 2, reason="one core: nothing to limit")


def in_force():
    """Threads of every library, as this thread sees them."""
    own = {"numba": numba.get_num_threads(), "torch": torch.get_num_threads()}  # numba loads its library when asked
    pools = {(pool["user_api"], pool["filepath"]): pool["num_threads"] for pool in threadpool_info()}
    return pools | own


@pytest.fixture
def watched(monkeypatch):
    """The threads in force at the start of every fit and of every list."""
    seen = {}
    learn = EASE.estimate_memory

    def memory(self, *sizes):
        seen["fit"] = in_force()
        return learn(self, *sizes)

    monkeypatch.setattr(EASE, "estimate_memory", memory)
    for module in ("matinee.runs.execute", "matinee.runs.submission"):
        ranked = import_module(module).recommend

        def recommend(*given, ranked=ranked):
            seen["lists"] = in_force()
            return ranked(*given)

        monkeypatch.setattr(import_module(module), "recommend", recommend)
    return seen


@several
def test_the_limit_holds_in_every_library_and_ends():
    before = in_force()
    with limit_threads(1):
        assert set(in_force().values()) == {1}
    assert in_force() == before
    with limit_threads(None):
        assert in_force() == before


@several
def test_a_fit_keeps_to_the_threads_of_its_context(watched):
    before = in_force()
    EASE().fit(random_log(), FitContext(threads=1))
    assert set(watched["fit"].values()) == {1}
    EASE().fit(random_log())
    assert watched["fit"] == before == in_force()


@several
def test_a_run_fits_and_ranks_on_the_threads_of_its_stage_and_records_them(tmp_path, watched):
    tables = {
        "data": {"kind": "simulate", "users": 60, "items": 40, "rows": 1000},
        "task": {"k": 5, "metric": "recall@5", "stored_k": 10},
        "split": {"kind": "mixture", "n_random": 2, "n_last": 1},
        "model": [{"kind": "ease"}],
    }
    prepared = prepare(read_experiment(tables, "exp.toml"))
    watched.clear()
    run = execute(prepared, RunOptions(tmp_path / "one", threads=1))[-1]
    assert set(watched["fit"].values()) == set(watched["lists"].values()) == {1}
    assert json.loads((run.folder / "run.json").read_text())["machine"]["threads"] == 1
    assert execute(prepared, RunOptions(tmp_path / "all"))[-1].to_dict["machine"]["threads"] == available_threads()


@several
def test_a_refit_ranks_on_the_threads_of_its_context(watched):
    log = random_log()
    refit(EASE(), log, log.user[:3], Task(k=2, metric="recall@2"), FitContext(threads=1))
    assert set(watched["fit"].values()) == set(watched["lists"].values()) == {1}


@several
def test_the_smaller_of_two_limits_of_blas_holds_while_both_last():
    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    before, steps, seen = blas(), (Event(), Event()), []

    def other():
        with limit_threads(1):
            steps[0].set()
            steps[1].wait(10)

    thread = Thread(target=other)
    with limit_threads(2):
        thread.start()
        steps[0].wait(10)
        seen.append(blas())
        steps[1].set()
        thread.join()
        seen.append(blas())
    assert seen == [{1}, {2}]
    assert blas() == before


@pytest.mark.parametrize("n", [0, -1, 100_000])
def test_a_limit_that_cannot_be_is_refused_before_anything_starts(n, tmp_path):
    with pytest.raises(SpecError, match=f"found {n}; expected 1 to"):
        RunOptions(tmp_path, threads=n)
    with pytest.raises(MatineeError), limit_threads(n):
        pass
