"""A thread limit holds inside a fit and its lists for every library, and ends with them."""

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
    """The number of threads of every library, for this thread."""
    own = {"numba": numba.get_num_threads(), "torch": torch.get_num_threads()}  # the call loads numba's library
    pools = {(pool["user_api"], pool["filepath"]): pool["num_threads"] for pool in threadpool_info()}
    return pools | own


@pytest.fixture
def watched(monkeypatch):
    """The thread limits at the start of every fit and of every ranking."""
    seen = {}
    estimate_memory = EASE.estimate_memory

    def watch(self, *sizes):
        seen["fit"] = in_force()
        return estimate_memory(self, *sizes)

    monkeypatch.setattr(EASE, "estimate_memory", watch)
    for module in ("matinee.runs.job", "matinee.runs.submission"):
        ranked = import_module(module).recommend

        def recommend(*arguments, ranked=ranked):
            seen["lists"] = in_force()
            return ranked(*arguments)

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
def test_a_fit_uses_the_threads_of_its_context(watched):
    before = in_force()
    EASE().fit(random_log(), FitContext(threads=1))
    assert set(watched["fit"].values()) == {1}
    EASE().fit(random_log())
    assert watched["fit"] == before == in_force()


@several
def test_a_run_uses_and_records_the_threads_of_its_options(tmp_path, watched):
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
    assert json.loads((run.folder / "run.json").read_text())["environment"]["threads"] == 1
    assert execute(prepared, RunOptions(tmp_path / "all"))[-1].record.environment.threads == available_threads()


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
def test_an_impossible_limit_is_refused_before_any_work(n, tmp_path):
    with pytest.raises(SpecError, match=f"found {n}; expected 1 to"):
        RunOptions(tmp_path, threads=n)
    with pytest.raises(MatineeError), limit_threads(n):
        pass
