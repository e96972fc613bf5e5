"""The timeline drawn in each protocol's docstring is what the protocol does."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import pytest
from split_timelines import after, before, drawn, log_of

from matinee import split
from matinee.data import Interactions
from matinee.split import PROTOCOLS, Split

CALLS: dict[str, tuple[str, Callable[[Interactions], Split]]] = {
    "mixture": (
        "mixture(log, n_random=2, n_last=1, seed=7)",
        lambda log: split.mixture(log, n_random=2, n_last=1, seed=7),
    ),
    "random": ("random(log, n=2, seed=7)", lambda log: split.random(log, n=2, seed=7)),
    "last_n": ("last_n(log, n=2)", lambda log: split.last_n(log, n=2)),
    "temporal": (
        'temporal(log, at="1970-01-05", days=3)',
        lambda log: split.temporal(log, at="1970-01-05", days=3),  # pyright: ignore[reportArgumentType]
    ),
    "new_users": (
        "new_users(log, users=1, fold_in=0.6, seed=7)",
        lambda log: split.new_users(log, users=1, fold_in=0.6, seed=7),
    ),
}
LETTERS = {"random": "r", "last": "t", "last_n": "t", "temporal": "t", "new_users": "n", "predefined": "g"}


def module_of(kind: str) -> ModuleType:
    return importlib.import_module(f"matinee.split.{kind}")


def test_every_protocol_is_drawn():
    assert {*CALLS, "predefined"} == set(PROTOCOLS.names())


@pytest.mark.parametrize("kind", CALLS)
def test_timeline(kind: str):
    module, (call, cut) = module_of(kind), CALLS[kind]
    assert f"`{call}`" in (module.__doc__ or "")
    letters = LETTERS if kind != "random" else {"random": "r"}
    assert after(module, cut(before(module)), letters) == [marks for _, _, marks in drawn(module)]


def test_timeline_of_given():
    module = module_of("predefined")
    learn, valid, answer = (before(module, marks) for marks in ("=·", "v", "g"))
    found = split.predefined(learn, answer, validation=valid)
    expected = [marks for _, _, marks in drawn(module)]
    shown = after(module, found, LETTERS)
    # a valid row is past: the test's picture shows it as asked only, for it is not learnt from
    assert shown == [["?" if mark == "v" else mark for mark in marks] for marks in expected]
    assert found.target.users.decode(found.target.user).to_list() == ["ann", "ben", "cat"]
    assert found.query.user.tolist() == [0, 1, -1]
    assert "E" in found.train.items.ids.to_list()


def test_temporal_origins_of_the_docstring():
    log = before(module_of("temporal"))
    protocol = PROTOCOLS.read({"kind": "temporal", "at": "1970-01-05", "days": 3, "origins": 2, "step": 2}, "split")
    older, newest = protocol.splits(log)  # pyright: ignore[reportAttributeAccessIssue]
    assert after(module_of("temporal"), newest, LETTERS) == after(module_of("temporal"), protocol.split(log), LETTERS)
    assert ["".join(marks) for marks in after(module_of("temporal"), older, LETTERS)] == [
        "==tttxxx",
        ".=.t...x",
        "....xx..",
    ]


def test_a_mark_out_of_place_is_seen():
    """The reader of timelines itself: another split of the same log is another picture."""
    module = module_of("last_n")
    log = before(module)
    assert after(module, split.last_n(log, n=1), LETTERS) != [marks for _, _, marks in drawn(module)]
    assert len(log_of([("ann", "A", 0)])) == 1
