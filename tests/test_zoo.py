"""One contract for every file of `models/`, with no registration. A kind may name small knobs: `TOY`, in its test."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from matinee import models
from matinee.contract import FitContext, Mask
from matinee.data import Histories, Interactions, Vocabulary
from matinee.errors import InsufficientMemoryError, UnknownNameError, UnsupportedError
from matinee.spec import build
from matinee.storage import save
from matinee.topk import recommend
from tests.logs import checkerboard, random_log, ring

KINDS = models.kinds()


def toy(kind: str):
    """The spec of a kind, small where its test says how."""
    try:
        knobs = getattr(importlib.import_module(f"tests.models.test_{kind}"), "TOY", {})
    except ModuleNotFoundError:
        knobs = {}
    return models.get(kind)(**knobs)


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def log() -> Interactions:
    return random_log()


@pytest.fixture
def spec(kind):
    return toy(kind)


@pytest.fixture
def fitted(spec, log):
    return spec.fit(log)


def test_there_are_models():
    assert {"ease", "item_knn", "popularity"} <= set(KINDS)


def test_kind_is_the_file_name(kind, spec):
    assert spec.kind == kind
    assert models.CATALOGUE.read({"kind": kind}, "here") == models.get(kind)()


def test_scores_are_finite_float32_of_the_right_shape(fitted, log):
    scores = fitted.score(log.histories())
    assert scores.dtype == np.float32
    assert scores.shape == (log.n_users, log.n_items)
    assert np.isfinite(scores).all()


def test_a_row_alone_equals_the_row_in_a_batch(fitted, log):
    histories = log.histories()
    together = fitted.score(histories)
    for row in (0, 7, log.n_users - 1):
        np.testing.assert_allclose(fitted.score(histories.rows(row, row + 1))[0], together[row], rtol=1e-5, atol=1e-6)


def test_lists_are_those_of_the_scores(fitted, log):
    histories = log.histories()
    scores = fitted.score(histories).astype(np.float64)
    scores[np.asarray(log.matrix.todense()) > 0] = -np.inf
    lists = recommend(fitted, histories, 5)
    for row in range(len(lists)):
        by_hand = sorted(range(log.n_items), key=lambda i: (-scores[row, i], i))[:5]
        by_hand = [i if scores[row, i] > -np.inf else -1 for i in by_hand]
        np.testing.assert_allclose(
            np.where(lists.item[row] >= 0, scores[row, lists.item[row]], -np.inf), scores[row, by_hand], rtol=1e-5
        )
    allowed = np.arange(log.n_items) % 3 == 0
    some = recommend(fitted, histories, 5, Mask(seen=False, available=allowed))
    assert (some.item[some.item >= 0] % 3 == 0).all()


def test_same_seed_same_scores(spec, log):
    histories = log.histories()
    one, two = (spec.fit(log, FitContext(seed=3)).score(histories) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_the_seed_matters_exactly_when_declared(spec, log, monkeypatch):
    """A decomposition with a random start draws, though its scores need not differ."""
    drawn, rng, histories = [], FitContext.rng, log.histories()
    monkeypatch.setattr(FitContext, "rng", lambda ctx, *key: drawn.append(key) or rng(ctx, *key))
    one, two = (spec.fit(log, FitContext(seed=seed)).score(histories) for seed in (3, 4))
    assert (bool(drawn) or not np.array_equal(one, two)) is spec.is_random


def test_fit_changes_neither_spec_nor_data(spec, log):
    before = (spec.model_dump_json(), log.fingerprint, log.matrix.toarray())
    spec.fit(log)
    again = Interactions(**{name: getattr(log, name) for name in log.__dataclass_fields__})
    assert spec.model_dump_json() == before[0]
    assert again.fingerprint == before[1]
    np.testing.assert_array_equal(log.matrix.toarray(), before[2])


def test_somebody_new_as_declared(spec, fitted, log):
    known = log.histories().rows(0, 1)
    stranger = Histories.of([known.item.tolist()], log.items)
    if spec.query_by == "both":
        assert np.isfinite(fitted.score(stranger)).all()
        assert not np.allclose(fitted.score(stranger), fitted.score(known), rtol=1e-4, atol=1e-5)
    elif spec.query_by == "history":
        np.testing.assert_allclose(fitted.score(stranger), fitted.score(known), rtol=1e-4, atol=1e-5)
    else:
        with pytest.raises(UnsupportedError):
            fitted.score(stranger)


def test_people_are_known_by_name_whatever_their_codes(spec, fitted, log):
    """The same people asked about with other codes, as in a smaller log, get the same scores."""
    some = np.array([7, 3, 50])
    asked = log.histories().take(some)
    smaller = Vocabulary.of(log.users.decode(some))
    again = Histories(smaller.encode(log.users.decode(some)), asked.offsets, asked.item, asked.time, smaller, log.items)
    np.testing.assert_allclose(fitted.score(again), fitted.score(asked), rtol=1e-5, atol=1e-6)


def test_an_empty_history_gets_what_is_popular(spec, fitted, log):
    if spec.query_by == "user_id":
        pytest.skip("declared: known users only")
    nobody = Histories.of([[], [0, 1]], log.items)
    scores = fitted.score(nobody)
    assert np.isfinite(scores).all()
    lists = recommend(fitted, nobody, 3)
    most = np.argsort(-log.popularity, kind="stable")[:3]
    assert set(lists.item[0].tolist()) == set(most.tolist())
    assert set(np.argsort(-scores[0], kind="stable")[:3].tolist()) == set(most.tolist())
    np.testing.assert_array_equal(lists.item[1], recommend(fitted, nobody.rows(1, 2), 3).item[0])


def test_order_matters_exactly_when_declared(spec, fitted, log):
    histories = log.histories()
    backwards = Histories(
        histories.user,
        histories.offsets,
        np.concatenate(
            [histories.item[a:b][::-1] for a, b in zip(histories.offsets, histories.offsets[1:], strict=False)]
        ),
        histories.time,
        histories.users,
        histories.items,
    )
    one, other = fitted.score(histories), fitted.score(backwards)
    if spec.uses_order:
        assert not np.allclose(one, other)
    else:
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_renaming_ids_permutes_the_scores(spec, log):
    """New ids in the opposite order: every code changes, nothing else may."""
    users = Vocabulary.of(pl.Series([-i for i in log.users.ids]))
    items = Vocabulary.of(pl.Series([-i for i in log.items.ids]))
    user, item = (log.n_users - 1 - log.user), (log.n_items - 1 - log.item)
    renamed = Interactions.of((users, items), user, item, log.time, log.time_kind)
    one = spec.fit(log).score(log.histories())
    other = spec.fit(renamed).score(renamed.histories())
    np.testing.assert_allclose(other[::-1, ::-1], one, rtol=2e-3, atol=2e-5)


def test_json_round_trip(spec):
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec
    assert models.CATALOGUE.read(spec.to_dict(), "here") == spec
    assert hash(spec) == hash(type(spec).model_validate_json(spec.model_dump_json()))


def test_save_and_load(fitted, log, tmp_path):
    save(fitted, tmp_path / "model")
    again = models.load(tmp_path / "model")
    asked = Histories.of([[0, 3, 5], [], [1]], log.items)
    np.testing.assert_array_equal(again.score(asked), fitted.score(asked))
    assert again.spec == fitted.spec
    assert again.items == fitted.items
    assert not [p for p in (tmp_path / "model").iterdir() if p.suffix in (".pkl", ".pickle", ".pt")]


def test_unknown_knob_is_refused_with_the_nearest(kind):
    cls = models.get(kind)
    wrong = next(iter(cls.model_fields)) + "x"
    with pytest.raises(UnknownNameError, match=f"did you mean '{wrong[:-1]}'"):
        build(cls, {wrong: 1}, "exp.toml: model 1")


def test_every_knob_has_a_sentence_and_a_default_worth_searching(kind):
    cls = models.get(kind)
    assert cls.__doc__
    for name, field in cls.model_fields.items():
        assert field.description, f"{name} has no sentence under it"
        assert field.description.endswith("."), name
        assert not field.is_required(), name
    for name, search in cls.search_space().items():
        assert search.contains(cls.model_fields[name].default), f"{name}: the default is outside its own range"
        for edge in search.choices or (search.low, search.high):
            cls(**{name: edge})


def test_too_large_is_refused_before_anything_is_allocated(spec, log):
    with pytest.raises(InsufficientMemoryError, match=f"{spec.kind} on"):
        spec.fit(log, FitContext(memory_limit=1))
    assert spec.memory(1000, 2000, 10_000) > spec.memory(1000, 20, 10_000) > 0


def test_refit_spec_is_settled(spec, fitted, log):
    settled = fitted.spec
    assert type(settled) is type(spec)
    assert settled.fit(log).spec == settled


def test_repeats_and_items_nobody_took_do_no_harm(spec):
    log = random_log(repeats=True)
    wide = Interactions.of((log.users, Vocabulary.of(pl.Series([*log.items.ids, 9999]))), log.user, log.item, log.time)
    scores = spec.fit(wide).score(wide.histories())
    assert np.isfinite(scores).all()
    if not spec.cold_items:
        never = recommend(spec.fit(wide), wide.histories(), 3).item
        assert not (never == wide.n_items - 1).any()


def test_a_history_of_items_nobody_took_is_like_an_empty_one(spec):
    """Items 40 and 41 stand in the vocabulary only, as those that come out after the log ends."""
    if spec.query_by == "user_id":
        pytest.skip("declared: known users only")
    log = random_log()
    ids = pl.Series([*log.items.ids, 8000, 8001])
    wide = Interactions.of((log.users, Vocabulary.of(ids)), log.user, log.item, log.time)
    fitted = spec.fit(wide)
    asked = Histories.of([[], [40], [41, 40]], wide.items)
    scores = fitted.score(asked)
    np.testing.assert_array_equal(scores[1:], scores[:1].repeat(2, axis=0))
    lists = recommend(fitted, asked, 5)
    np.testing.assert_array_equal(lists.item[1:], lists.item[:1].repeat(2, axis=0))


def test_people_without_a_row_change_nothing(spec):
    """Those a split holds out stay in the vocabulary: 540 of 600 here, before, among and after the others."""
    log = random_log()
    user = 9 * log.user + 4
    wide = Interactions.of((Vocabulary.of(pl.Series(range(600))), log.items), user, log.item, log.time)
    one, other = (
        recommend(spec.fit(data), data.histories(asked), 10)
        for data, asked in ((log, np.arange(60)), (wide, 9 * np.arange(60) + 4))
    )
    np.testing.assert_array_equal(one.item, other.item)
    np.testing.assert_allclose(one.score, other.score, rtol=1e-4, atol=1e-5)


def test_it_finds_the_one_item_withheld_from_each_user(spec):
    if not spec.personal:
        pytest.skip("declared: the same list for everybody")
    log = ring() if spec.uses_order else checkerboard()
    lists = recommend(spec.fit(log), log.histories(), 1)
    wanted = (np.arange(log.n_users) + 8) % log.n_items if spec.uses_order else np.arange(log.n_users)
    np.testing.assert_array_equal(lists.item[:, 0], wanted)
    if spec.query_by == "both":
        strangers = replace(log.histories(), user=np.full(log.n_users, -1, dtype=np.int32))
        lists = recommend(spec.fit(log), strangers, 1)
        np.testing.assert_array_equal(lists.item[:, 0], wanted)
