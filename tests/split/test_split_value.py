"""The value itself: fingerprints, the stop fold, answers that were seen, and the verbs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from split_logs import Row, answer_pairs, answers, asked, pairs, picture, rows
from split_timelines import log_of

from matinee import split
from matinee.data import Interactions, Vocabulary
from matinee.data.attributes import Attributes
from matinee.errors import MatineeError, SplitError, UnknownNameError
from matinee.split import PROTOCOLS, Split
from matinee.split._draw import user_keys

OF = [(f"u{u:02}", f"i{(5 * u + i) % 60:02}", 3600 * i + u) for u in range(30) for i in range(10 + u % 7)]
LOG = log_of(OF)
KEYS_OF_NUMBERS = [14410334998978661030, 13521320090243598252]
KEYS_OF_TEXT = [12871954896974696588, 14335765665641695199]
CUTS: dict[str, Callable[..., Split]] = {
    "mixture": lambda log, **k: split.mixture(log, **{"n_random": 2, "n_last": 1, **k}),
    "random": lambda log, **k: split.random(log, **{"n": 2, **k}),
    "last_n": lambda log, **k: split.last_n(log, **{"n": 2, **k}),
    "temporal": lambda log, **k: split.temporal(log, **{"fraction": 0.2, **k}),
    "new_users": lambda log, **k: split.new_users(log, **{"users": 8, **k}),
}
DRAWN = ["mixture", "random", "new_users"]
KNOBS = {
    "mixture": {"n_last": 2},
    "random": {"n": 3},
    "last_n": {"n": 1},
    "temporal": {"fraction": 0.3},
    "new_users": {"fold_in": 0.5},
}


@pytest.mark.parametrize("kind", CUTS)
def test_fingerprint(kind: str):
    cut, one = CUTS[kind], CUTS[kind](LOG)
    shuffled = [OF[i] for i in np.random.default_rng(0).permutation(len(OF))]
    assert cut(log_of(shuffled)).fingerprint == one.fingerprint
    assert cut(LOG, seed=0).fingerprint == one.fingerprint
    assert picture(cut(LOG, seed=0)) == picture(one)
    assert cut(LOG, **KNOBS[kind]).fingerprint != one.fingerprint
    assert cut(log_of(OF[1:])).fingerprint != one.fingerprint
    other = cut(LOG, seed=1)
    assert (other.fingerprint != one.fingerprint) == (kind in DRAWN)
    assert (picture(other) != picture(one)) == (kind in DRAWN)


@pytest.mark.parametrize("kind", CUTS)
def test_the_stop_fold_never_sees_an_answer(kind: str):
    outer = CUTS[kind](LOG)
    inner = outer.validation_split()
    hidden = answer_pairs(outer).keys()
    assert hidden
    assert not hidden & pairs(inner.train).keys()
    assert not hidden & answer_pairs(inner).keys()
    assert not {(u, i) for u, row in asked(inner).items() for i, _ in row} & hidden
    assert (pairs(inner.train) + answer_pairs(inner)).keys() <= pairs(outer.train).keys()
    assert inner.fingerprint != outer.fingerprint
    assert inner.target.parts == outer.target.parts
    assert picture(inner) == picture(outer.validation_split())


@pytest.mark.parametrize("cut", [lambda g: split.mixture(g, n_random=7, n_last=3), lambda g: split.random(g, n=9)])
def test_the_stop_fold_leaves_half_of_what_is_left(cut: Callable[[Interactions], Split]):
    outer = cut(log_of([("u", f"i{i:02}", i) for i in range(18)]))
    inner = outer.validation_split()
    assert len(answers(inner)["u"]) == len(outer.train) // 2
    assert inner.protocol.kind == outer.protocol.kind
    assert len(outer.validation_split().validation_split().target) == 1


@pytest.mark.parametrize("short", ["skip", "error"])
def test_the_stop_fold_of_a_strict_split_is_lenient(short: str):
    outer = split.last_n(log_of([("u", f"i{i}", i) for i in range(4)]), n=3, short_histories=short)  # pyright: ignore[reportArgumentType]
    with pytest.raises(SplitError, match="no user has enough interactions"):
        outer.validation_split()  # one item is left
    longer = split.last_n(log_of([("u", f"i{i}", i) for i in range(6)]), n=3, short_histories=short)  # pyright: ignore[reportArgumentType]
    assert len(answers(longer.validation_split())["u"]) == 1


def test_vocabularies_and_attributes_stay():
    known = replace(LOG, item_attributes=Attributes(LOG.items), user_attributes=Attributes(LOG.users))
    for cut in CUTS.values():
        learn = cut(known).train
        assert learn.item_attributes is known.item_attributes
        assert learn.user_attributes is known.user_attributes
        assert learn.users is known.users
        assert learn.items is known.items
        assert learn.time_kind == known.time_kind


def test_weights_follow_their_rows():
    weight = np.arange(len(LOG), dtype=np.float32)
    learn = split.mixture(replace(LOG, weight=weight), n_random=2, n_last=1).train
    assert learn.weight is not None
    at = learn.weight.astype(int)
    np.testing.assert_array_equal(LOG.item[at], learn.item)
    np.testing.assert_array_equal(LOG.user[at], learn.user)


@given(of=rows(repeats=True), k=st.integers(1, 3))
def test_without_seen_leaves_only_new_answers(of: list[Row], k: int):
    try:
        whole = split.last_n(log_of(of), n=k)
    except SplitError:
        return
    expected = {
        user: new for user, row in answers(whole).items() if (new := set(row) - {i for i, _ in asked(whole)[user]})
    }
    try:
        found = whole.drop_seen_targets()
    except SplitError:
        assert not expected
        return
    assert {u: set(row) for u, row in answers(found).items()} == expected
    assert asked(found) == {u: row for u, row in asked(whole).items() if u in expected}
    assert found.fingerprint != whole.fingerprint
    assert found.train is whole.train


def test_without_seen_keeps_candidates_beside_their_people():
    learn = pl.DataFrame({"user": ["a", "b"], "item": ["X", "Y"]})
    test = pl.DataFrame({"user": ["a", "b"], "item": ["X", "X"]})
    found = split.predefined(
        learn, test, candidates=pl.DataFrame({"user": ["a", "b"], "item": ["X", "Z"]})
    ).drop_seen_targets()
    assert found.candidates is not None
    assert answers(found) == {"b": {"X": "predefined"}}
    assert found.train.items.decode(found.candidates.indices).to_list() == ["Z"]


def test_keys_are_of_the_id_and_the_seed_alone():
    few, many = Vocabulary.of(["b", "d"]), Vocabulary.of(["a", "b", "c", "d"])
    np.testing.assert_array_equal(user_keys(few, 7), user_keys(many, 7)[[1, 3]])
    few, many = Vocabulary.of([-5, 10**12]), Vocabulary.of([-5, 0, 10**12])
    np.testing.assert_array_equal(user_keys(few, 7), user_keys(many, 7)[[0, 2]])
    everybody = Vocabulary.of(range(20_000))
    streams = [user_keys(everybody, seed, purpose) for seed in (0, 1, 2**40) for purpose in (0, 1)]
    assert len(np.unique(np.concatenate(streams))) == 6 * 20_000
    high = np.mean([((s >> np.uint64(b)) & np.uint64(1)).mean() for s in streams for b in range(64)])
    assert abs(high - 0.5) < 4 * 0.5 / np.sqrt(6 * 64 * 20_000)


def test_keys_are_the_same_on_every_machine():
    """Published: a change here moves every number measured on a drawn split."""
    assert user_keys(Vocabulary.of([1, 2]), 7).tolist() == KEYS_OF_NUMBERS
    assert user_keys(Vocabulary.of(["ann", "ben"]), 7).tolist() == KEYS_OF_TEXT


@pytest.mark.parametrize("kind", ["mixture", "random", "last_n", "temporal", "new_users"])
def test_a_verb_has_the_knobs_of_its_spec(kind: str):
    verb, spec = getattr(split, kind), PROTOCOLS.get(kind)
    names = list(inspect.signature(verb).parameters)
    assert names[0] == "log"
    assert names[-1] == "seed"
    assert set(names[1:]) == set(spec.model_fields)
    assert verb.__name__ == kind
    for name, field in spec.model_fields.items():
        assert field.description
        assert f"    {name}: {field.description}" in verb.__doc__
        assert field.default is None or not field.is_required()


def test_wrong_knobs_are_our_errors():
    with pytest.raises(UnknownNameError, match="did you mean 'n_last'"):
        split.mixture(LOG, nlast=3)  # pyright: ignore[reportCallIssue]
    for cut, knobs in (
        (split.mixture, {"n_random": -1}),
        (split.mixture, {"n_random": 0, "n_last": 0}),
        (split.mixture, {"short_histories": "less"}),
        (split.random, {"fraction": 1.0}),
        (split.random, {}),
        (split.random, {"n": 2, "fraction": 0.5}),
        (split.last_n, {"n": 0}),
        (split.last_n, {"n": 1, "max_fraction": 0}),
    ):
        with pytest.raises(MatineeError):
            cut(LOG, **knobs)
