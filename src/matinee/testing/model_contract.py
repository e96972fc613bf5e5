"""The contract of a model as a pytest class: `class TestMine(ModelContract): spec = Mine()`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from matinee import models
from matinee.contract import FitContext, FittedModel, Mask, ModelSpec
from matinee.data import Histories, Interactions, Vocabulary
from matinee.errors import InsufficientMemoryError, UnknownNameError, UnsupportedError
from matinee.spec import build
from matinee.storage import save
from matinee.testing.logs import checkerboard, random_log, ring
from matinee.topk import recommend


class ModelContract:
    """Tests that every model passes; a subclass sets `spec`.

    Its hyperparameters should suit the logs of `matinee.testing.logs`: 60 users × 40 items. The class of `spec` must be
    registered: a file of `matinee.models`, or an entry point of that group.
    """

    spec: ClassVar[ModelSpec]
    """The model under test."""

    @pytest.fixture
    def model_spec(self) -> ModelSpec:
        """The model under test; override this fixture to test several."""
        return self.spec

    @pytest.fixture
    def log(self) -> Interactions:
        """The log of all tests that need no planted pattern."""
        return random_log()

    @pytest.fixture
    def fitted(self, model_spec: ModelSpec, log: Interactions) -> FittedModel:
        """The model under test, fitted to `log`."""
        return model_spec.fit(log)

    def test_the_kind_is_registered(self, model_spec: ModelSpec) -> None:
        """The registry returns this class for its kind; an experiment file gives its defaults."""
        assert models.get(model_spec.kind) is type(model_spec)
        assert models.CATALOGUE.read({"kind": model_spec.kind}, "experiment.toml") == type(model_spec)()

    def test_a_spec_survives_json(self, model_spec: ModelSpec) -> None:
        """Writing and reading a spec gives an equal spec with an equal hash."""
        again = type(model_spec).model_validate_json(model_spec.model_dump_json())
        assert again == model_spec
        assert hash(again) == hash(model_spec)
        assert models.CATALOGUE.read(model_spec.to_dict(), "experiment.toml") == model_spec

    def test_every_hyperparameter_has_a_sentence_and_a_default(self, model_spec: ModelSpec) -> None:
        """The class has a docstring, each hyperparameter a sentence and a default."""
        assert type(model_spec).__doc__
        for name, field in type(model_spec).model_fields.items():
            assert field.description, f"{name} has no sentence below it"
            assert field.description.endswith("."), f"the sentence of {name} has no full stop"
            assert not field.is_required(), f"{name} has no default"

    def test_every_search_range_is_valid(self, model_spec: ModelSpec) -> None:
        """A search range contains the default, and the spec accepts both ends of the range."""
        cls = type(model_spec)
        for name, search in cls.search_space().items():
            assert search.contains(cls.model_fields[name].default), f"{name}: the default is outside its range"
            for edge in search.choices or (search.low, search.high):
                cls(**{name: edge})

    def test_an_unknown_hyperparameter_is_refused(self, model_spec: ModelSpec) -> None:
        """The message names the nearest hyperparameter."""
        cls = type(model_spec)
        if not cls.model_fields:
            pytest.skip("declared: no hyperparameters")
        wrong = next(iter(cls.model_fields)) + "x"
        with pytest.raises(UnknownNameError, match=f"did you mean '{wrong[:-1]}'"):
            build(cls, {wrong: 1}, "experiment.toml: model 1")

    def test_scores_are_finite_float32_of_the_right_shape(self, fitted: FittedModel, log: Interactions) -> None:
        """Scores are float32 `(m, n_items)` without NaN and infinity."""
        scores = fitted.score(log.histories())
        assert scores.dtype == np.float32
        assert scores.shape == (log.n_users, log.n_items)
        assert np.isfinite(scores).all()

    def test_a_row_alone_equals_the_row_in_a_batch(self, fitted: FittedModel, log: Interactions) -> None:
        """The scores of a query do not depend on the other queries of the batch."""
        histories = log.histories()
        batch = fitted.score(histories)
        for row in (0, 7, log.n_users - 1):
            _assert_close(fitted.score(histories.rows(row, row + 1))[0], batch[row])

    def test_lists_follow_the_scores(self, fitted: FittedModel, log: Interactions) -> None:
        """A list has the items with the highest scores, without seen items."""
        histories = log.histories()
        scores = fitted.score(histories).astype(np.float64)
        scores[log.matrix.toarray() > 0] = -np.inf
        best = -np.sort(-scores, axis=1)[:, :5]
        lists = recommend(fitted, histories, 5)
        listed = np.where(lists.item >= 0, np.take_along_axis(scores, np.maximum(lists.item, 0), axis=1), -np.inf)
        np.testing.assert_allclose(listed, best, rtol=1e-5)

    def test_lists_contain_available_items_only(self, fitted: FittedModel, log: Interactions) -> None:
        """A mask holds for the lists of every model."""
        mask = Mask(seen=False, available=np.arange(log.n_items) % 3 == 0)
        lists = recommend(fitted, log.histories(), 5, mask)
        assert (lists.item[lists.item >= 0] % 3 == 0).all()

    def test_same_seed_same_scores(self, model_spec: ModelSpec, log: Interactions) -> None:
        """Two fits with one seed give bit-identical scores."""
        first, second = (model_spec.fit(log, FitContext(seed=3)).score(log.histories()) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_the_seed_matters_exactly_when_declared(
        self, model_spec: ModelSpec, log: Interactions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`is_random` is true exactly if fits draw from `ctx.rng` or differ between seeds."""
        keys: list[tuple[int, ...]] = []
        rng = FitContext.rng

        def recorded(ctx: FitContext, *key: int) -> np.random.Generator:
            keys.append(key)
            return rng(ctx, *key)

        monkeypatch.setattr(FitContext, "rng", recorded)
        first, second = (model_spec.fit(log, FitContext(seed=seed)).score(log.histories()) for seed in (3, 4))
        assert (bool(keys) or not np.array_equal(first, second)) is model_spec.is_random

    def test_fit_changes_neither_spec_nor_data(self, model_spec: ModelSpec, log: Interactions) -> None:
        """`fit` returns a new value; its arguments stay as they are."""
        before = (model_spec.model_dump_json(), log.fingerprint, log.matrix.toarray())
        model_spec.fit(log)
        again = Interactions(**{name: getattr(log, name) for name in log.__dataclass_fields__})
        assert model_spec.model_dump_json() == before[0]
        assert again.fingerprint == before[1]
        np.testing.assert_array_equal(log.matrix.toarray(), before[2])

    def test_a_new_user_is_scored_as_declared(
        self, model_spec: ModelSpec, fitted: FittedModel, log: Interactions
    ) -> None:
        """`query_by`: a new user with a known history has equal, other or no scores."""
        known = log.histories().rows(0, 1)
        new = Histories.of([known.item.tolist()], log.items)
        if model_spec.query_by == "user_id":
            with pytest.raises(UnsupportedError):
                fitted.score(new)
        elif model_spec.query_by == "both":
            assert np.isfinite(fitted.score(new)).all()
            assert not np.allclose(fitted.score(new), fitted.score(known), rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_allclose(fitted.score(new), fitted.score(known), rtol=1e-4, atol=1e-5)

    def test_users_are_identified_by_id(self, fitted: FittedModel, log: Interactions) -> None:
        """Users with other codes, as in a smaller log, get the scores of their ids."""
        rows = np.array([7, 3, 50])
        query = log.histories().take(rows)
        ids = log.users.decode(rows)
        smaller = Vocabulary.of(ids)
        recoded = Histories(smaller.encode(ids), query.offsets, query.item, query.time, smaller, log.items)
        _assert_close(fitted.score(recoded), fitted.score(query))

    def test_an_empty_history_gets_popular_items(
        self, model_spec: ModelSpec, fitted: FittedModel, log: Interactions
    ) -> None:
        """An empty query is ranked by popularity and does not affect the other queries."""
        self._skip_unless_histories(model_spec)
        query = Histories.of([[], [0, 1]], log.items)
        popular = set(np.argsort(-log.popularity, kind="stable")[:3].tolist())
        scores = fitted.score(query)
        assert np.isfinite(scores).all()
        assert set(np.argsort(-scores[0], kind="stable")[:3].tolist()) == popular
        lists = recommend(fitted, query, 3)
        assert set(lists.item[0].tolist()) == popular
        np.testing.assert_array_equal(lists.item[1], recommend(fitted, query.rows(1, 2), 3).item[0])

    def test_order_matters_exactly_when_declared(
        self, model_spec: ModelSpec, fitted: FittedModel, log: Interactions
    ) -> None:
        """`uses_order` is true exactly if reversed histories have other scores."""
        histories = log.histories()
        ends = zip(histories.offsets, histories.offsets[1:], strict=False)
        backwards = replace(histories, item=np.concatenate([histories.item[a:b][::-1] for a, b in ends]))
        first, second = fitted.score(histories), fitted.score(backwards)
        if model_spec.uses_order:
            assert not np.allclose(first, second)
        else:
            _assert_close(first, second)

    def test_new_ids_permute_the_scores(self, model_spec: ModelSpec, log: Interactions) -> None:
        """Ids in the opposite order change every code; scores follow the codes."""
        users = Vocabulary.of(pl.Series([-i for i in log.users.ids]))
        items = Vocabulary.of(pl.Series([-i for i in log.items.ids]))
        user, item = log.n_users - 1 - log.user, log.n_items - 1 - log.item
        renamed = Interactions.of((users, items), user, item, log.time, log.time_kind)
        first = model_spec.fit(log).score(log.histories())
        second = model_spec.fit(renamed).score(renamed.histories())
        np.testing.assert_allclose(second[::-1, ::-1], first, rtol=2e-3, atol=2e-5)

    def test_saving_and_loading_change_nothing(self, fitted: FittedModel, log: Interactions, tmp_path: Path) -> None:
        """A loaded model gives bit-identical scores; its folder contains no pickle."""
        folder = tmp_path / "model"
        save(fitted, folder)
        again = models.load(folder)
        query = Histories.of([[0, 3, 5], [], [1]], log.items) if fitted.spec.query_by != "user_id" else log.histories()
        np.testing.assert_array_equal(again.score(query), fitted.score(query))
        assert again.spec == fitted.spec
        assert again.items == fitted.items
        assert not [path for path in folder.iterdir() if path.suffix in (".pkl", ".pickle", ".pt")]
        json.loads((folder / "model.json").read_text())

    def test_a_fit_that_is_too_large_is_refused(self, model_spec: ModelSpec, log: Interactions) -> None:
        """`fit` checks `estimate_memory` before it allocates; more items need more memory."""
        with pytest.raises(InsufficientMemoryError, match=f"{model_spec.kind} on"):
            model_spec.fit(log, FitContext(memory_limit=1))
        few, many = (model_spec.estimate_memory(1000, n_items, 10_000) for n_items in (20, 2000))
        assert 0 < few < many

    def test_a_resolved_spec_stays_the_same(
        self, model_spec: ModelSpec, fitted: FittedModel, log: Interactions
    ) -> None:
        """`fitted.spec` is resolved: a fit with it has the same spec again."""
        resolved = fitted.spec
        assert type(resolved) is type(model_spec)
        assert resolved.fit(log).spec == resolved

    def test_repeated_interactions_give_finite_scores(self, model_spec: ModelSpec) -> None:
        """A log may contain a pair of user and item several times."""
        log = random_log(repeats=True)
        assert np.isfinite(model_spec.fit(log).score(log.histories())).all()

    def test_an_item_without_interactions_is_not_listed(self, model_spec: ModelSpec) -> None:
        """An item without training interactions is listed only if `cold_items` is declared."""
        log = self._with_unused_items(random_log(repeats=True), 9999)
        fitted = model_spec.fit(log)
        assert np.isfinite(fitted.score(log.histories())).all()
        if not model_spec.cold_items:
            assert not (recommend(fitted, log.histories(), 3).item == log.n_items - 1).any()

    def test_a_history_of_items_without_interactions_counts_as_empty(self, model_spec: ModelSpec) -> None:
        """Items without training interactions, such as new ones, add nothing to a query."""
        self._skip_unless_histories(model_spec)
        log = self._with_unused_items(random_log(), 8000, 8001)
        fitted = model_spec.fit(log)
        query = Histories.of([[], [40], [41, 40]], log.items)
        scores = fitted.score(query)
        np.testing.assert_array_equal(scores[1:], scores[:1].repeat(2, axis=0))
        lists = recommend(fitted, query, 5)
        np.testing.assert_array_equal(lists.item[1:], lists.item[:1].repeat(2, axis=0))

    def test_users_without_interactions_change_nothing(self, model_spec: ModelSpec) -> None:
        """Held-out users remain in the vocabulary and affect no scores.

        Here 540 of 600 users have no interactions: before, among and after the others.
        """
        log = random_log()
        code = 9 * np.arange(log.n_users) + 4
        users = Vocabulary.of(pl.Series(range(600)))
        wide = Interactions.of((users, log.items), code[log.user], log.item, log.time)
        first = recommend(model_spec.fit(log), log.histories(np.arange(log.n_users)), 10)
        second = recommend(model_spec.fit(wide), wide.histories(code), 10)
        np.testing.assert_array_equal(first.item, second.item)
        np.testing.assert_allclose(first.score, second.score, rtol=1e-4, atol=1e-5)

    def test_the_target_of_a_planted_pattern_is_first(self, model_spec: ModelSpec) -> None:
        """The top item of each user, known or new, is the withheld item."""
        if not model_spec.personalized:
            pytest.skip("declared: the same list for all users")
        log, target = self._planted(model_spec)
        fitted = model_spec.fit(log)
        np.testing.assert_array_equal(recommend(fitted, log.histories(), 1).item[:, 0], target)
        if model_spec.query_by == "both":
            new = replace(log.histories(), user=np.full(log.n_users, -1, dtype=np.int32))
            np.testing.assert_array_equal(recommend(fitted, new, 1).item[:, 0], target)

    @staticmethod
    def _planted(spec: ModelSpec) -> tuple[Interactions, NDArray[Any]]:
        """A log with a pattern, of order where the model declares order, and the targets (m,)."""
        log = ring() if spec.uses_order else checkerboard()
        user = np.arange(log.n_users)
        return log, (user + 8) % log.n_items if spec.uses_order else user

    @staticmethod
    def _with_unused_items(log: Interactions, *ids: int) -> Interactions:
        """The log with further items in its vocabulary, which no user has interacted with."""
        items = Vocabulary.of(pl.Series([*log.items.ids, *ids]))
        return Interactions.of((log.users, items), log.user, log.item, log.time)

    @staticmethod
    def _skip_unless_histories(spec: ModelSpec) -> None:
        if spec.query_by == "user_id":
            pytest.skip("declared: known users only")


def _assert_close(first: NDArray[np.float32], second: NDArray[np.float32]) -> None:
    """Compare scores of one fit; batches may add numbers in another order."""
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)
