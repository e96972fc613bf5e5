"""A sound toy model, and copies with one planted bug each; every copy lists the contract tests that must fail."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from matinee.contract import FitContext, ModelSpec
from matinee.data import Histories, Interactions
from matinee.fitted import ItemItem
from matinee.spec import SearchRange


class Sound(ModelSpec):
    """Items with many common users."""

    fails: ClassVar[tuple[str, ...]] = ()

    shrink: Annotated[float, Field(gt=0), SearchRange(1, 100, log=True)] = 10.0
    """Reduces the weights of rare items."""

    def weights(self, data: Interactions, ctx: FitContext) -> NDArray[np.float32]:
        W = (data.matrix.T @ data.matrix).toarray().astype(np.float32)
        np.fill_diagonal(W, 0.0)
        return W / (data.popularity[:, None] + np.float32(self.shrink)).astype(np.float32)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        ctx.check_memory(self, data)
        return ItemItem(self, data.items, self.weights(data, ctx), data.popularity.astype(np.float32))

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        return 12 * n_items**2 + 8 * n_rows


class GlobalNoise(Sound):
    """Adds noise from a global generator."""

    fails = (
        "test_same_seed_same_scores",
        "test_the_seed_matters_exactly_when_declared",
        "test_new_ids_permute_the_scores",
        "test_users_without_interactions_change_nothing",
    )

    def weights(self, data: Interactions, ctx: FitContext) -> NDArray[np.float32]:
        W = super().weights(data, ctx)
        return W + np.random.random(W.shape).astype(np.float32)  # noqa: NPY002


class UndeclaredDraws(Sound):
    """Draws from the seed without declaring it."""

    fails = ("test_the_seed_matters_exactly_when_declared",)

    def weights(self, data: Interactions, ctx: FitContext) -> NDArray[np.float32]:
        return super().weights(data, ctx) * np.float32(1 + 1e-3 * ctx.rng(0).random())


class IgnoresMemory(Sound):
    """Allocates without a check."""

    fails = ("test_a_fit_that_is_too_large_is_refused",)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        return ItemItem(self, data.items, self.weights(data, ctx), data.popularity.astype(np.float32))


class ConstantMemory(Sound):
    """Estimates the same memory for every log."""

    fails = ("test_a_fit_that_is_too_large_is_refused",)

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        return 1000


class BatchScaled(ItemItem):
    """Divides scores by the largest score of the batch."""

    def score(self, histories: Histories) -> NDArray[np.float32]:
        scores = super().score(histories)
        return scores / scores.max()


class DependsOnTheBatch(Sound):
    """Returns scores on the scale of the batch, in a shape that cannot be saved."""

    fails = (
        "test_a_row_alone_equals_the_row_in_a_batch",
        "test_saving_and_loading_change_nothing",
    )

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        ctx.check_memory(self, data)
        return BatchScaled(self, data.items, self.weights(data, ctx), data.popularity.astype(np.float32))


class DependsOnCodes(Sound):
    """Prefers items with high codes."""

    fails = ("test_new_ids_permute_the_scores",)

    def weights(self, data: Interactions, ctx: FitContext) -> NDArray[np.float32]:
        return super().weights(data, ctx) * np.linspace(1, 1.1, data.n_items, dtype=np.float32)


class DeclaresOrder(Sound):
    """Declares order and ignores it."""

    uses_order: ClassVar[bool] = True
    fails = ("test_order_matters_exactly_when_declared", "test_the_target_of_a_planted_pattern_is_first")


class DeclaresUserIds(Sound):
    """Declares that it needs user ids and does not."""

    query_by = "user_id"
    fails = ("test_a_new_user_is_scored_as_declared",)


class IgnoresHistories(Sound):
    """Gives all items the same weight."""

    fails = ("test_the_target_of_a_planted_pattern_is_first",)

    def weights(self, data: Interactions, ctx: FitContext) -> NDArray[np.float32]:
        return np.ones_like(super().weights(data, ctx))


class CountsAllUsers(Sound):
    """Scales by the users of the vocabulary, held-out users included."""

    fails = ("test_users_without_interactions_change_nothing",)

    def weights(self, data: Interactions, ctx: FitContext) -> NDArray[np.float32]:
        return super().weights(data, ctx) / np.float32(data.n_users)


class ListsUnusedItems(Sound):
    """Gives items without training interactions the highest scores."""

    fails = ("test_an_item_without_interactions_is_not_listed",)

    def weights(self, data: Interactions, ctx: FitContext) -> NDArray[np.float32]:
        return super().weights(data, ctx) + 100 * (data.popularity == 0).astype(np.float32)


class UsesUnusedItems(Sound):
    """Scores queries by items that it has not been trained on."""

    fails = ("test_a_history_of_items_without_interactions_counts_as_empty",)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        ctx.check_memory(self, data)
        W = self.weights(data, ctx) + (data.popularity == 0)[:, None] * np.float32(0.1)
        return ItemItem(self, data.items, W.astype(np.float32), np.maximum(data.popularity, 1).astype(np.float32))


class ChangesData(Sound):
    """Writes to the matrix of the log."""

    fails = ("test_fit_changes_neither_spec_nor_data",)

    def weights(self, data: Interactions, ctx: FitContext) -> NDArray[np.float32]:
        W = super().weights(data, ctx)
        data.matrix.data *= 2
        return W


class OrderedItems(ItemItem):
    """Adds the weights of the last item once more."""

    def score(self, histories: Histories) -> NDArray[np.float32]:
        last = histories.last
        return super().score(histories) + np.where(last[:, None] >= 0, self.weights[last], np.float32(0))


class UndeclaredOrder(Sound):
    """Depends on the order of histories without declaring it."""

    fails = ("test_order_matters_exactly_when_declared",)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        ctx.check_memory(self, data)
        return OrderedItems(self, data.items, self.weights(data, ctx), data.popularity.astype(np.float32))


class ScaledByUserCode(ItemItem):
    """Multiplies scores by a factor of the user code."""

    def score(self, histories: Histories) -> NDArray[np.float32]:
        return super().score(histories) * (1 + 0.01 * histories.user[:, None]).astype(np.float32)


class DependsOnUserCodes(Sound):
    """Depends on user codes instead of ids."""

    fails = ("test_users_are_identified_by_id", "test_a_new_user_is_scored_as_declared")

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        ctx.check_memory(self, data)
        return ScaledByUserCode(self, data.items, self.weights(data, ctx), data.popularity.astype(np.float32))


class NegatedEmptyQuery(ItemItem):
    """Ranks an empty query by rising popularity."""

    def score(self, histories: Histories) -> NDArray[np.float32]:
        scores = super().score(histories)
        return np.where((np.diff(histories.offsets) == 0)[:, None], -scores, scores)


class IgnoresPopularity(Sound):
    """Gives unpopular items to empty histories."""

    fails = ("test_an_empty_history_gets_popular_items",)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        ctx.check_memory(self, data)
        return NegatedEmptyQuery(self, data.items, self.weights(data, ctx), data.popularity.astype(np.float32))


class NotFinite(Sound):
    """Has a NaN among its weights."""

    fails = ("test_scores_are_finite_float32_of_the_right_shape",)

    def weights(self, data: Interactions, ctx: FitContext) -> NDArray[np.float32]:
        W = super().weights(data, ctx)
        W[0, 1] = np.nan
        return W


class NoSentence(Sound):
    """Has a hyperparameter without a sentence and without a full stop."""

    fails = ("test_every_hyperparameter_has_a_sentence_and_a_default",)

    power: float = 1.0


class InvalidRange(Sound):
    """Has a default outside of its search range."""

    fails = ("test_every_search_range_is_valid",)

    power: Annotated[float, SearchRange(2, 3)] = 1.0
    """Exponent of the counts."""


class RefusedEdge(Sound):
    """Has a search range with a value that the spec refuses."""

    fails = ("test_every_search_range_is_valid",)

    power: Annotated[float, Field(gt=0), SearchRange(0, 3)] = 1.0
    """Exponent of the counts."""


class ChangesInResolving(Sound):
    """Resolves its spec again in every fit."""

    fails = ("test_a_resolved_spec_stays_the_same",)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        ctx.check_memory(self, data)
        resolved = self.model_copy(update={"shrink": self.shrink + 1})
        return ItemItem(resolved, data.items, self.weights(data, ctx), data.popularity.astype(np.float32))


MODELS: dict[str, type[Sound]] = {
    cls.__name__: cls for cls in list(globals().values()) if isinstance(cls, type) and issubclass(cls, Sound)
}
