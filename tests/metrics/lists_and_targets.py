"""Small lists and targets, fixed or random, and a slow twin of every formula."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl

from matinee.data import Targets, Vocabulary
from matinee.topk import TopK


def vocabulary(n: int) -> Vocabulary:
    return Vocabulary(pl.Series("id", np.arange(n, dtype=np.int64)))


def lists_of(rows: dict[int, list[int]], k: int, n_users: int, n_items: int) -> TopK:
    """User code → item codes best first."""
    item = np.full((len(rows), k), -1, dtype=np.int32)
    score = np.full((len(rows), k), -np.inf, dtype=np.float32)
    for r, row in enumerate(rows.values()):
        item[r, : len(row)] = row
        score[r, : len(row)] = -np.arange(len(row))
    return TopK(np.array(list(rows), dtype=np.int32), item, score, vocabulary(n_users), vocabulary(n_items))


def targets_of(
    rows: dict[int, dict[int, int]], parts: tuple[str, ...], n_users: int, n_items: int, *, new: bool = False
) -> Targets:
    """User code → {item: part}."""
    flat = [(r, i, p) for r, row in enumerate(rows.values()) for i, p in row.items()]
    row, item, part = (np.array([f[c] for f in flat], dtype=np.int64) for c in range(3))
    user = np.full(len(rows), -1, dtype=np.int32) if new else np.array(list(rows), dtype=np.int32)
    return Targets.from_rows(vocabulary(n_users), vocabulary(n_items), user, row, item, part, parts)


def random_case(seed: int, n_users: int = 40, n_items: int = 30, k: int = 10):
    """Random lists (some short, empty or missing) and targets (some empty) in two parts, in mixed row order."""
    rng = np.random.default_rng(seed)
    lists: dict[int, list[int]] = {}
    target_items: dict[int, dict[int, int]] = {}
    for user in rng.permutation(n_users).tolist():
        n = int(rng.integers(0, min(2 * k, n_items))) if rng.random() < 0.9 else 0
        mine = rng.permutation(n_items)[:n]
        target_items[user] = {int(i): int(rng.integers(0, 2)) for i in mine}
    for user in rng.permutation(n_users).tolist():
        if rng.random() < 0.1:
            continue
        length = int(rng.choice([k, k, k, k, 4, 0]))
        lists[user] = rng.permutation(n_items)[:length].tolist()
    return (
        lists,
        target_items,
        lists_of(lists, k, n_users, n_items),
        targets_of(target_items, ("random", "last"), n_users, n_items),
    )


Twin = Callable[[list[bool], int, int, int], "tuple[float, float]"]
"""(hit at each listed rank, number of targets, length of the list, k) → (value, weight)."""


def _dcg(hits: list[bool]) -> float:
    return sum(math.log(2) / math.log(rank + 1) for rank, hit in enumerate(hits, start=1) if hit)


def _ap(hits: list[bool]) -> float:
    return sum(sum(hits[:rank]) / rank for rank in range(1, len(hits) + 1) if hits[rank - 1])


def _clipped(hits: list[bool]) -> float:
    worth = [1.0, 1.0] + [math.log(2) / math.log(rank) for rank in range(3, 500)]
    return sum(w for w, hit in zip(worth, hits, strict=False) if hit)


def _mrr(hits: list[bool], n: int, length: int, k: int) -> tuple[float, float]:
    for rank, hit in enumerate(hits, start=1):
        if hit:
            return 1 / rank, 1.0
    return 0.0, 1.0


PLAIN: dict[str, Twin] = {
    "recall": lambda h, n, length, k: (sum(h) / n, 1.0),
    "precision": lambda h, n, length, k: (sum(h) / k, 1.0),
    "hit": lambda h, n, length, k: (float(True in h), 1.0),
    "ndcg": lambda h, n, length, k: (_dcg(h) / _dcg([True] * min(n, k)), 1.0),
    "map": lambda h, n, length, k: (_ap(h) / min(n, k), 1.0),
    "mrr": _mrr,
}
CAPPED: Twin = lambda h, n, length, k: (sum(h) / min(n, k), 1.0)  # noqa: E731
SHARE: Twin = lambda h, n, length, k: (sum(h) / length if length else 0.0, 1.0)  # noqa: E731
TREC: Twin = lambda h, n, length, k: (_ap(h) / n, 1.0)  # noqa: E731


def _only(names: str) -> dict[str, Twin]:
    return {name: PLAIN[name] for name in names.split()}


TWINS: dict[str, dict[str, Twin]] = {
    "matinee": PLAIN | {"recall": CAPPED},
    "plain": PLAIN,
    "recbole": PLAIN,
    "rectools": PLAIN | {"ndcg": lambda h, n, length, k: (_dcg(h) / _dcg([True] * k), 1.0), "map": TREC},
    "lenskit": PLAIN
    | {
        "recall": CAPPED,
        "precision": SHARE,
        "ndcg": lambda h, n, length, k: (_clipped(h) / _clipped([True] * min(n, k)), 1.0),
        "map": lambda h, n, length, k: (_ap(h) / min(n, length) if length else 0.0, 1.0),
    },
    "implicit": _only("ndcg map") | {"precision": lambda h, n, length, k: (sum(h) / min(n, k), float(min(n, k)))},
    "irspack": _only("recall hit")
    | {
        "precision": SHARE,
        "map": TREC,
        "ndcg": lambda h, n, length, k: (_dcg(h) / _dcg([True] * min(n, length)) if length else 0.0, 1.0),
    },
    "ranx": PLAIN | {"map": TREC},
    "cornac": _only("recall precision hit ndcg"),
    "recommenders": _only("ndcg")
    | {
        "recall": lambda h, n, length, k: (sum(h) / n, float(length > 0)),
        "precision": lambda h, n, length, k: (sum(h) / k, float(length > 0)),
        "map": lambda h, n, length, k: (_ap(h) / min(n, k), float(length > 0)),
    },
}


def twin(
    profile: str,
    metric: str,
    k: int,
    lists: dict[int, list[int]],
    target_items: dict[int, dict[int, int]],
    part: int | None = None,
) -> dict[int, tuple[float, float]]:
    """User → (value, weight), one user at a time."""
    found = {}
    for user in sorted(target_items):
        mine = {item for item, label in target_items[user].items() if part is None or label == part}
        if mine:
            row = lists.get(user, [])[:k]
            found[user] = TWINS[profile][metric]([item in mine for item in row], len(mine), len(row), k)
    return found
