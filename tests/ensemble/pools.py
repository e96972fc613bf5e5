"""Small lists of members, fixed or random, with their plain-Python form, and slow twins shared by tests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import polars as pl

from matinee.data import Targets, Vocabulary
from matinee.ensemble import CandidatePool
from matinee.ensemble.objective import FusionObjective
from matinee.topk import TopK

Listed = list[tuple[int, float]]
"""A list of one member for one user: (item, score), best first."""

Member = list[Listed]
"""The lists of a member, one per user."""


def vocabulary(n: int) -> Vocabulary:
    return Vocabulary(pl.Series("id", 1000 + np.arange(n, dtype=np.int64)))


def topk(
    member: Member, depth: int, n_items: int, user: Sequence[int] | None = None, n_users: int | None = None
) -> TopK:
    item = np.full((len(member), depth), -1, dtype=np.int32)
    score = np.full((len(member), depth), -np.inf, dtype=np.float32)
    for r, row in enumerate(member):
        for p, (i, s) in enumerate(row):
            item[r, p], score[r, p] = i, s
    codes = np.arange(len(member), dtype=np.int32) if user is None else np.array(user, dtype=np.int32)
    return TopK(codes, item, score, vocabulary(n_users or max(len(member), 1)), vocabulary(n_items))


def random_lists(
    seed: int, members: int = 3, n_users: int = 6, items: int = 12, depth: int = 6, *, full: bool = False
) -> list[Member]:
    """Random lists: some short, some empty, scores with ties and of both signs, another scale for each member."""
    rng = np.random.default_rng(seed)
    out: list[Member] = []
    for m in range(members):
        mine: Member = []
        for _ in range(n_users):
            n = depth if full else int(rng.choice([depth, depth, depth // 2, 1, 0]))
            score = np.round(rng.normal(size=n) * 2, 1 if rng.random() < 0.5 else 0) * 3.0**m
            row = zip(rng.permutation(items)[:n].tolist(), np.float32(score).tolist(), strict=True)
            mine.append(sorted(row, key=lambda pair: (-pair[1], pair[0])))
        out.append(mine)
    return out


def pool_of(members: list[Member], items: int = 12, depth: int = 6) -> CandidatePool:
    return CandidatePool.of({f"m{a}": topk(one, depth, items) for a, one in enumerate(members)})


def some_of(pool: CandidatePool, members: Sequence[int]) -> CandidatePool:
    """A new pool of some of the members; it has fewer candidates."""
    return CandidatePool.of({pool.names[m]: pool.lists[m] for m in members})


def random_weights(seed: int, members: int) -> np.ndarray:
    """Integer weights, some 0, never all."""
    weights = np.random.default_rng([seed, 7]).integers(0, 5, members).astype(float)
    return weights if weights.any() else np.ones(members)


def slow_norm(name: str, scores: list[float]) -> tuple[list[float], float]:
    """(values of a list's scores, value of an item outside), one list at a time, from the docstrings of norms.py."""
    n = len(scores)
    if n == 0:
        return [], 0.0
    if name == "min_max":
        low, high = min(scores), max(scores)
        return [(s - low) / (high - low) if high > low else 1.0 for s in scores], 0.0
    if name == "z_score":
        mean, sd = statistics.fmean(scores), statistics.pstdev(scores)
        values = [(s - mean) / sd if sd > 0 else 0.0 for s in scores]
        return values, values[-1]
    if name == "rank":
        return [1 - (r - 1) / n for r in range(1, n + 1)], 0.0
    if name == "softmax":
        raised = [math.exp(s - max(scores)) for s in scores]
        return [e / sum(raised) for e in raised], 0.0
    if name == "sigmoid":
        values = [1 / (1 + math.exp(-s)) for s in scores]
        return values, values[-1]
    raise AssertionError(f"norm {name} has no twin")


def targets_of(rows: list[dict[int, int]], n_items: int, user: Sequence[int] | None = None) -> Targets:
    """Targets from {item: part} per user; the parts are random and last."""
    flat = [(r, i, p) for r, row in enumerate(rows) for i, p in row.items()]
    row, item, part = (np.array([f[c] for f in flat], dtype=np.int64) for c in range(3))
    codes = np.arange(len(rows), dtype=np.int32) if user is None else np.array(user, dtype=np.int32)
    return Targets.from_rows(vocabulary(len(rows)), vocabulary(n_items), codes, row, item, part, ("random", "last"))


def random_targets(seed: int, n_users: int, items: int, most: int = 7) -> list[dict[int, int]]:
    """Random targets; some users have none, and some targets are in no list."""
    rng = np.random.default_rng([seed, 1])
    counts = np.where(rng.random(n_users) < 0.2, 0, rng.integers(1, most + 1, n_users))
    return [{int(i): int(rng.integers(0, 2)) for i in rng.permutation(items)[:n]} for n in counts]


def planted(seed: int = 0, n_users: int = 300, items: int = 60, noise: int = 3, copies: int = 1) -> list[Member]:
    """The targets of user u are the items u … u + 3 (mod items). Member 0 lists the even ones, member 1 the odd ones,
    the others nothing; then copies of member 0 follow."""
    rng = np.random.default_rng(seed)
    out: list[Member] = []
    for m in range(2 + noise):
        mine: Member = []
        for u in range(n_users):
            score = rng.normal(size=items)
            for i in planted_targets(u, items):
                score[i] += 3.0 * (m < 2 and i % 2 == m)
            best = np.argsort(-score)[:20]
            mine.append([(int(i), float(np.float32(score[i]))) for i in best])
        out.append(mine)
    return out + [out[0]] * (copies - 1)


def planted_targets(user: int, items: int = 60) -> list[int]:
    return [(user + step) % items for step in range(4)]


def planted_objective(members: list[Member], metric: str = "recall@4", items: int = 60) -> FusionObjective:
    n_users = len(members[0])
    targets = targets_of([dict.fromkeys(planted_targets(u, items), 0) for u in range(n_users)], items)
    return FusionObjective(pool_of(members, items, 20), targets, metric)
