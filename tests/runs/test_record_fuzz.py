"""Damaged and hostile run records: read, or refused in one line; never another exception."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matinee.errors import MatineeError
from matinee.runs import RunOptions, execute, leaderboard, open_run, prepare, read_experiment
from matinee.runs.folder import CHECKSUM, RUN, checksum_text
from matinee.runs.text import ensemble_lines, warnings

EXAMPLES = int(os.environ.get("MATINEE_FUZZ", "40"))

TABLES: dict[str, Any] = {
    "data": {"kind": "simulate", "users": 40, "items": 30, "rows": 500},
    "task": {"k": 3, "metric": "recall@3", "extra_metrics": ["coverage@3"], "stored_k": 5},
    "split": {"kind": "last_n", "n": 1},
    "model": [{"kind": "popularity"}],
    "keep_models": False,
}

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.just([]),
    st.just({}),
    st.just([[[]]]),
    st.just({"kind": "ease", "l2": "x"}),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    run = execute(prepare(read_experiment(TABLES, "exp.toml")), RunOptions(root))[0]
    return run.folder, json.loads((run.folder / RUN).read_text(encoding="utf-8"))


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside nested tables and lists."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return (
        [at, *(path for key, one in inside for path in paths(one, (*at, key)))]
        if at
        else [path for key, one in inside for path in paths(one, (key,))]
    )


def changed(record: Any, path: tuple[Any, ...], value: Any, *, drop: bool) -> Any:
    """A copy of the record with one value replaced or dropped."""
    copy = json.loads(json.dumps(record))
    owner = copy
    for key in path[:-1]:
        owner = owner[key]
    if drop:
        del owner[path[-1]]
    else:
        owner[path[-1]] = value
    return copy


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_record_is_read_or_refused(finished, tmp_path_factory, data):
    folder, record = finished
    path = data.draw(st.sampled_from(paths(record)))
    content = json.dumps(changed(record, path, data.draw(ODD), drop=data.draw(st.booleans()))).encode()
    copy = tmp_path_factory.mktemp("copy") / folder.name
    shutil.copytree(folder, copy)
    (copy / RUN).write_bytes(content)
    (copy / CHECKSUM).write_text(checksum_text(content))
    try:
        run = open_run(copy)
        warnings(leaderboard([run]).findings(run))
        ensemble_lines(run)
        leaderboard([run]).frame()
    except MatineeError as error:
        lines = str(error).count("\n")
    else:
        lines = 0
    finally:
        shutil.rmtree(copy.parent)
    assert lines == 0
