"""The few types of fitted models: `PopularityScorer`, `ItemItem`, `DotProduct`, `UserNeighbours`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.contract import Mask, ModelSpec
from matinee.data import Histories, Vocabulary
from matinee.errors import UnsupportedError
from matinee.topk.dot import score_dot, top_k_dot
from matinee.topk.item_item import prefers_tiles, reads_fewer_rows, score_weights, top_scattered, top_tiled
from matinee.topk.kernels import Rows
from matinee.topk.lists import ItemsAndScores
from matinee.topk.query import BinaryQuery, ItemPair, QueryMap, SparseQuery, append_bias, is_cold
from matinee.topk.rank import raise_if_nan, row_blocks, rows_of, seen_rows, top_k_by_blocks, top_k_of_scores
from matinee.topk.similarity import SimilarityRule
from matinee.topk.user_knn import NeighbourIndex, score_user_knn

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]
COLD_BLOCK = 512
"""Cold histories ranked at once."""


class Contributions(NamedTuple):
    """Parts of a score: their items and values (p,); the sum of the values is the score."""

    items: ItemPair
    value: F64


@runtime_checkable
class HasContributions(Protocol):
    """A fitted model with scores that are sums over the history."""

    def contributions(self, history: Histories, item: int) -> Contributions:
        """The parts of the score of `item` for the one row of `history`; none for a cold history."""
        ...


class QueryEncoder(Protocol):
    """Maps histories to vectors (m, d)."""

    def check(self, n_items: int, d: int) -> None:
        """Raise `ValueError` unless it fits a catalogue of `n_items` and vectors of length d."""
        ...

    def vectors(self, histories: Histories) -> F32:
        """A vector for each row (m, d)."""
        ...

    def is_cold(self, histories: Histories, popularity: F32) -> NDArray[np.bool_]:
        """Whether nothing is known of each row (m,), so that its vector has no meaning."""
        ...


def _check_arrays(items: Vocabulary, **arrays: tuple[NDArray[Any] | csr_array, tuple[int, ...]]) -> None:
    """Raise unless arrays have the shape beside them and a type that kernels take."""
    if not isinstance(items, Vocabulary):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"items is a {type(items).__name__}")
    for name, (array, shape) in arrays.items():
        if array.shape != shape or array.dtype.name not in ("float32", "int32"):
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, not float32 or int32 of shape {shape}")


@dataclass(frozen=True, eq=False)
class PopularityScorer:
    """The same scores (n_items,) for all users, plus `repeat_weight` × log(1 + count) for seen items."""

    spec: ModelSpec
    items: Vocabulary
    scores: F32
    repeat_weight: float = 0.0

    def __post_init__(self) -> None:
        _check_arrays(self.items, scores=(self.scores, (len(self.items),)))

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        out = np.repeat(self.scores[None, :], len(histories), axis=0)
        if self.repeat_weight:
            counts = histories.counts
            row = np.repeat(np.arange(len(histories)), np.diff(counts.indptr))
            out[row, counts.indices] += np.float32(self.repeat_weight) * np.log1p(counts.data)
        return out


@dataclass(frozen=True, eq=False)
class ItemItem:
    """Scores φ(x) W for item–item weights W (r, n_items), dense or sparse, and the query map φ.

    With `has_bias_row`, W has one more row at the end, which is added for every history. A cold history is scored by
    `popularity` (n_items,), the number of users of each item.
    """

    spec: ModelSpec
    items: Vocabulary
    weights: F32 | csr_array
    popularity: F32
    query: QueryMap = field(default_factory=BinaryQuery)
    has_bias_row: bool = False

    def __post_init__(self) -> None:
        n = len(self.items)
        rows = self.query.n_rows(n) + self.has_bias_row
        _check_arrays(self.items, weights=(self.weights, (rows, n)), popularity=(self.popularity, (n,)))

    @cached_property
    def _tiled(self) -> bool:
        return prefers_tiles(self.weights, self.popularity)

    def encode_query(self, histories: Histories) -> SparseQuery:
        """The rows of W for each history."""
        query = self.query.encode(histories)
        return append_bias(query, self.weights.shape[0] - 1) if self.has_bias_row else query

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        scores = score_weights(self.encode_query(histories), self.weights, tiled=self._tiled)
        scores[is_cold(histories, self.popularity)] = self.popularity
        return scores

    def top_k(self, histories: Histories, k: int, mask: Mask) -> ItemsAndScores:
        """The best k allowed items of each row; scores (m, n_items) are held only where they are few."""
        query = self.encode_query(histories)
        if isinstance(self.weights, csr_array) and not self._tiled and mask.candidates is None:
            best = top_scattered(query, self.weights, k, mask)
        elif mask.candidates is None and not reads_fewer_rows(query, self.weights):
            best = top_tiled(query, self.weights, k, mask)
        else:
            return top_k_by_blocks(self, histories, k, mask)
        _rank_cold(self, is_cold(histories, self.popularity), histories, mask, best)
        raise_if_nan(best.score, self.spec.kind)
        return best

    def contributions(self, history: Histories, item: int) -> Contributions:
        """The parts φ_i W_ij of the score of `item`."""
        query = self.encode_query(history)
        if is_cold(history, self.popularity)[0]:
            query = _empty_query()
        code = query.rows.item
        weight = self.weights[code][:, [item]]
        column = weight.toarray() if isinstance(weight, csr_array) else weight
        value = query.value.astype(np.float64) if len(query.value) else np.ones(len(code))
        return Contributions(self._parts(code), value * column[:, 0].astype(np.float64))

    def _parts(self, code: NDArray[np.int32]) -> ItemPair:
        n_rows = self.weights.shape[0] - self.has_bias_row
        parts = self.query.parts(np.where(code < n_rows, code, 0).astype(np.int32), len(self.items))
        return ItemPair(*(np.where(code < n_rows, part, -1).astype(np.int32) for part in parts))


@dataclass(frozen=True, eq=False)
class LinearFoldIn:
    """Vectors x L for `left` L (n_items, d), x the history as a set."""

    left: F32

    def check(self, n_items: int, d: int) -> None:
        """Raise `ValueError` unless L is (n_items, d)."""
        if self.left.shape != (n_items, d) or self.left.dtype != np.float32:
            raise ValueError(f"left is {self.left.dtype} of shape {self.left.shape}, not float32 ({n_items}, {d})")

    def vectors(self, histories: Histories) -> F32:
        """X L for each row (m, d)."""
        return score_weights(BinaryQuery().encode(histories), self.left)

    def is_cold(self, histories: Histories, popularity: F32) -> NDArray[np.bool_]:
        """Whether each history is without items of the training set (m,)."""
        return is_cold(histories, popularity)


@dataclass(frozen=True, eq=False)
class UserTable:
    """One vector for each training user: `table` (n_users, d), in the order of `users`."""

    users: Vocabulary
    table: F32

    def check(self, n_items: int, d: int) -> None:
        """Raise `ValueError` unless the table is (n_users, d)."""
        if self.table.shape != (len(self.users), d) or self.table.dtype != np.float32:
            expected = f"float32 ({len(self.users)}, {d})"
            raise ValueError(f"table is {self.table.dtype} of shape {self.table.shape}, not {expected}")

    def codes(self, histories: Histories) -> NDArray[np.int32]:
        """The row of the table for each row of `histories` (m,), by raw id; −1 for cold users."""
        if self.users == histories.users:
            return histories.user
        return self.users.encode(histories.users.decode(histories.user))

    def vectors(self, histories: Histories) -> F32:
        """The vector of each row's user (m, d); 0 for cold users."""
        code = self.codes(histories)
        out = np.zeros((len(code), self.table.shape[1]), dtype=np.float32)
        out[code >= 0] = self.table[code[code >= 0]]
        return out

    def is_cold(self, histories: Histories, popularity: F32) -> NDArray[np.bool_]:
        """Whether each row's user is not in the training set (m,)."""
        return self.codes(histories) < 0


@dataclass(frozen=True, eq=False)
class DotProduct:
    """Scores q · f_i + b_i of query vectors q, `item_factors` f (n_items, d) and `item_bias` b (n_items,).

    Cold rows are scored by `popularity` (n_items,), the number of users of each item; a model of `query_by` "user_id"
    raises `UnsupportedError` for them.
    """

    spec: ModelSpec
    items: Vocabulary
    item_factors: F32
    popularity: F32
    query: QueryEncoder
    item_bias: F32 | None = None

    def __post_init__(self) -> None:
        n, d = len(self.items), self.item_factors.shape[-1]
        factors, popularity = (self.item_factors, (n, d)), (self.popularity, (n,))
        _check_arrays(self.items, item_factors=factors, popularity=popularity)
        if self.item_bias is not None:
            _check_arrays(self.items, item_bias=(self.item_bias, (n,)))
        self.query.check(n, d)

    @property
    def users(self) -> Vocabulary | None:
        """The users with a vector of their own; None means vectors come from histories."""
        return self.query.users if isinstance(self.query, UserTable) else None

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        cold = self._cold(histories)
        scores = score_dot(self.query.vectors(histories), self.item_factors, self.item_bias)
        scores[cold] = self.popularity
        return scores

    def top_k(self, histories: Histories, k: int, mask: Mask) -> ItemsAndScores:
        """The best k allowed items of each row, scores computed for candidates alone."""
        cold, m, d = self._cold(histories), len(histories), self.item_factors.shape[1]
        best = ItemsAndScores(np.empty((m, k), dtype=np.int32), np.empty((m, k), dtype=np.float32))
        for start, stop in row_blocks(m, d):
            rows, part = histories.rows(start, stop), mask.slice(start, stop)
            seen = seen_rows(rows, exclude=mask.seen)
            vectors = self.query.vectors(rows)
            item, score = top_k_dot(vectors, self.item_factors, self.item_bias, seen, k, part)
            best.item[start:stop], best.score[start:stop] = item, score
        _rank_cold(self, cold, histories, mask, best)
        raise_if_nan(best.score, self.spec.kind)
        return best

    def contributions(self, history: Histories, item: int) -> Contributions:
        """The parts (x_i L_i) · f_j of the score of item j, and its bias; needs `LinearFoldIn`."""
        if not isinstance(self.query, LinearFoldIn):
            todo = "Use an item–item model, such as ease or item_knn."
            raise UnsupportedError(self.spec.kind, "explain a score: its queries are no sums over the history", todo)
        cold = bool(self._cold(history)[0])
        code = _empty_query().rows.item if cold else BinaryQuery().encode(history).rows.item
        value = self.query.left[code].astype(np.float64) @ self.item_factors[item].astype(np.float64)
        if self.item_bias is not None and not cold:
            code, value = np.append(code, np.int32(-1)), np.append(value, np.float64(self.item_bias[item]))
        return Contributions(ItemPair(code, np.full(len(code), -1, dtype=np.int32)), value)

    def _cold(self, histories: Histories) -> NDArray[np.bool_]:
        """Whether each row is cold (m,); raises `UnsupportedError` where the model scores known users only."""
        cold = self.query.is_cold(histories, self.popularity)
        if self.spec.query_by == "user_id" and cold.any():
            problem = f"score {int(cold.sum()):,} users without a row in its training set"
            raise UnsupportedError(self.spec.kind, problem, "Use a model that scores histories, such as ease.")
        return cold


@dataclass(frozen=True, eq=False)
class UserNeighbours:
    """Scores Σ sim(v, x) x_v over the `neighbours` users v of `matrix` (users, n_items) most similar to x.

    sim divides the shared `weight` (n_items,) by the denominator of `rule`: its source side is `neighbour_size`
    (users,), its target side comes from the size Σ weight of the history. A cold history is scored by `popularity`.
    """

    spec: ModelSpec
    items: Vocabulary
    matrix: csr_array
    popularity: F32
    weight: F32
    neighbour_size: F32
    neighbours: int
    rule: SimilarityRule

    def __post_init__(self) -> None:
        n, users = len(self.items), self.matrix.shape[0]
        matrix, popularity, weight = (self.matrix, (users, n)), (self.popularity, (n,)), (self.weight, (n,))
        _check_arrays(self.items, matrix=matrix, popularity=popularity, weight=weight)
        _check_arrays(self.items, neighbour_size=(self.neighbour_size, (users,)))
        if self.neighbours < 1:
            raise ValueError(f"neighbours is {self.neighbours}, less than 1")
        if not isinstance(self.rule, SimilarityRule):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"rule is a {type(self.rule).__name__}")

    @cached_property
    def _neighbour_index(self) -> NeighbourIndex:
        return NeighbourIndex(rows_of(self.matrix), rows_of(csc_array(self.matrix)), self.weight)

    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        query = histories.matrix
        size = self.rule.target_side(query @ self.weight.astype(np.float64)).astype(np.float32)
        rule = self.rule.denominator(self.neighbour_size, size)
        scores = np.zeros((len(histories), len(self.items)), dtype=np.float32)
        score_user_knn(rows_of(query), self._neighbour_index, rule, min(self.neighbours, self.matrix.shape[0]), scores)
        scores[is_cold(histories, self.popularity)] = self.popularity
        return scores


def _rank_cold(
    model: ItemItem | DotProduct, cold: NDArray[np.bool_], histories: Histories, mask: Mask, best: ItemsAndScores
) -> None:
    """Write the most popular allowed items into the lists of cold rows."""
    row, k = np.flatnonzero(cold), best.item.shape[1]
    for low in range(0, len(row), COLD_BLOCK):
        some = row[low : low + COLD_BLOCK]
        scores = np.repeat(model.popularity[None, :], len(some), axis=0)
        allowed = mask if mask.candidates is None else replace(mask, candidates=mask.candidates[some])
        best.item[some], best.score[some] = top_k_of_scores(scores, histories.take(some), k, allowed, model.spec.kind)


def _empty_query() -> SparseQuery:
    """One row without entries."""
    return SparseQuery(Rows(np.zeros(2, dtype=np.int64), np.zeros(0, dtype=np.int32)), np.zeros(0, dtype=np.float32))
