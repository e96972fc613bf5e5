"""Analysis of the members of an ensemble: each alone, its contribution to the ensemble, and overlaps of pairs.

Only the selected users of the objective count. The ensemble is the members with weight above 0, fused by the rule. RBO
is rank-biased overlap (Webber, Moffat and Zobel, A Similarity Measure for Indefinite Rankings, TOIS 28(4), 2010),
extrapolated from the depth of the lists, RBO_ext, with p = 0.9: the first ten ranks have 86 % of the weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.candidates.pool import CandidatePool
from matinee.data import Targets
from matinee.ensemble.analysis.overlap import pairwise_overlap
from matinee.ensemble.analysis.table import aligned, format_interval, format_number, plain_value
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.rule import Rule, fuse
from matinee.errors import DataError, SpecError
from matinee.metrics import Difference, Evaluation, compare, evaluate, holm, parse
from matinee.topk import TopK

F64: TypeAlias = NDArray[np.float64]

POPULAR = 0.01
"""Fraction of the catalogue that counts as most popular, at least one item; ties by item code."""

PERSISTENCE = 0.9
"""p of RBO."""

HEADER = ("member", "weight", "metric", "interval", "gain", "interval", "", "best", "only best", "popular", "coverage")

LEGEND = (
    "gain: the ensemble's metric minus its metric without the member",
    "best: share of users on which no other member has a higher metric (ties are split)",
    "only best: number of users on which all other members have a lower metric",
    "popular: share of listed items among the most popular 1 %; coverage: share of all items that are listed",
)

BLOCK = 4096
"""Users fused at once when members are left out; bounds memory and amortizes the start of threads."""


@dataclass(frozen=True)
class MemberStats:
    """Numbers of one member; NaN where nothing can be counted."""

    name: str
    weight: float
    """Fraction of the sum of weights; its mean over users if weights are per user."""

    mean: float
    """The metric of its own lists."""

    interval: tuple[float, float]
    gain: Difference | None
    """The ensemble minus the ensemble without this member, paired by user; p is adjusted over the members.

    None for members of weight 0 and for the only member of the ensemble.
    """

    best: float
    """Fraction of users on which no member is better.

    Ties split the user equally; users on which all members score 0 are ignored.
    """

    wins: int
    """Number of users on which every other member is worse."""

    popular: float
    """Fraction of the items in its first k ranks that are among the most popular items."""

    coverage: float
    """Fraction of the catalogue that occurs in the first k ranks of at least one list."""


@dataclass(frozen=True)
class Pair:
    """Similarity of two members; means over users with at least one non-empty list."""

    a: str
    b: str
    jaccard: float
    """Jaccard index of the first k items."""

    rbo: float
    """RBO_ext of the lists at full depth; 0 if one of them is empty."""

    metric_corr: float
    """Pearson correlation of the metric over users."""

    hits: float
    """Pearson correlation over all targets of being among the first k items; low means diverse."""


@dataclass(frozen=True)
class Oracle:
    """Upper bounds of a combination of the members."""

    best: float
    """Mean over users of the best member's metric."""

    any_member: float
    """Fraction of targets among the first k items of at least one member."""

    all_members: float
    """Fraction of targets among the first k items of every member."""


@dataclass(frozen=True)
class MemberReport:
    """Members of an ensemble, pairs of members, and upper bounds."""

    metric: str
    k: int
    n_users: int
    """Number of users with targets."""

    popular: int
    """Number of items that count as most popular."""

    mean: float
    """The metric of the ensemble."""

    interval: tuple[float, float]
    members: tuple[MemberStats, ...]
    pairs: tuple[Pair, ...]
    oracle: Oracle

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN is null."""
        out = plain_value(asdict(self))
        for one, row in zip(self.members, out["members"], strict=True):
            if one.gain is not None:
                row["gain"] |= {"significant": one.gain.significant}
        return out

    @property
    def copies(self) -> dict[str, str]:
        """Member → earlier member with identical lists."""
        duplicates: dict[str, str] = {}
        for one in self.pairs:
            if one.jaccard == 1.0 and one.rbo > 1.0 - 1e-9:
                duplicates.setdefault(one.b, one.a)
        return duplicates

    def text(self, pairs: int = 20) -> list[str]:
        """Lines for a terminal: members, best first, and `pairs` pairs, most similar first."""
        any_of, all_of = f"{self.oracle.any_member:.1%}", f"{self.oracle.all_members:.1%}"
        lines = [
            f"{self.metric} of {self.n_users:,} users: {self.mean:.4f} {format_interval(self.interval)}",
            f"with the best member for each user: {self.oracle.best:.4f}",
            f"targets in the top {self.k} of any member: {any_of}, of all members: {all_of}",
            *(f"{other} has the same lists as {one}" for other, one in self.copies.items()),
            "",
        ]
        members = sorted((one for one in self.members if one.name not in self.copies), key=lambda one: -one.mean)
        lines += [*aligned([HEADER, *map(_member_row, members)]), *LEGEND]
        distinct = [one for one in self.pairs if one.a not in self.copies and one.b not in self.copies]
        similar = sorted(distinct, key=lambda one: -one.rbo)[:pairs]
        if similar:
            table = [
                (one.a, one.b, *map(format_number, (one.jaccard, one.rbo, one.metric_corr, one.hits)))
                for one in similar
            ]
            lines += [
                "",
                *aligned([("pair", "", f"jaccard@{self.k}", "rbo", "metric corr.", "hit corr."), *table], words=2),
            ]
        rest = len(distinct) - len(similar)
        return [*lines, f"and {rest} less similar pairs"] if rest and similar else lines


def analyze_members(
    objective: FusionObjective,
    rule: Rule,
    weights: Sequence[float] | F64,
    popularity: NDArray[np.number],
    k: int | None = None,
    resamples: int = 1000,
) -> MemberReport:
    """Analyze the members of `objective.pool` under `rule` and `weights`, (M,) or (m, M).

    `popularity` (n_items,) is the number of users of each item in the training set; k = None means the metric's k.
    Most of the cost is leaving members out: M' + 1 fusions of M' members for the M' members with weight above 0.
    """
    objective, weights = _restricted(objective, np.asarray(weights, dtype=np.float64))
    pool, metric = objective.pool, str(parse(objective.metric))
    k = k or parse(metric).k
    if len(popularity) != len(pool.items):
        found = f"popularity of {len(popularity)} items"
        raise DataError(
            "ensemble", found, f"one number for each of {len(pool.items)} items", "Pass split.train.popularity."
        )
    metrics = list(dict.fromkeys([metric, f"coverage@{k}"]))
    evaluate_lists = partial(
        evaluate, targets=objective.target, metrics=metrics, profile=objective.profile, resamples=resamples
    )
    deep = max(parse(metric).k, k)
    single = [evaluate_lists(_pad_lists(one, deep)) for one in pool.lists]
    together = [evaluate_lists(one) for one in _leave_one_out(objective, rule, weights, deep)]
    value = np.array([one.per_user(metric) for one in single])
    hits = _hits(objective, k)
    listed = np.nanmax(value[:, np.isfinite(value).any(axis=0)], axis=0)
    popular = most_popular(popularity)
    return MemberReport(
        metric=metric,
        k=k,
        n_users=together[0].n_users,
        popular=int(popular.sum()),
        mean=together[0][metric],
        interval=together[0].interval(metric),
        members=_members(objective, weights, _MemberScores(single, together, value, popular, k)),
        pairs=_pairs(pool, value, hits, k),
        oracle=Oracle(float(listed.mean()), float(hits.any(axis=0).mean()), float(hits.all(axis=0).mean())),
    )


def most_popular(popularity: NDArray[np.number]) -> NDArray[np.bool_]:
    """Whether each item is among the `POPULAR` fraction, (n_items,)."""
    among = np.zeros(len(popularity), dtype=np.bool_)
    first = np.argsort(-popularity.astype(np.float64), kind="stable")
    among[first[: max(1, math.ceil(POPULAR * len(popularity)))]] = True
    return among


def _restricted(objective: FusionObjective, weights: F64) -> tuple[FusionObjective, F64]:
    """Objective and weights of the selected users alone."""
    M = len(objective.pool.names)
    if weights.shape not in ((M,), (len(objective.pool), M)) or not (weights >= 0).all() or not weights.any():
        found = f"weights of shape {weights.shape} for {M} members"
        raise SpecError("ensemble", found, "one number ≥ 0 for each member, not all 0")
    if objective.selected is None:
        return objective, weights
    rows, target = np.flatnonzero(objective.selected), objective.target
    row = np.repeat(np.arange(len(target)), target.count)
    keep = objective.selected[row]
    new_row = (np.cumsum(objective.selected) - 1)[row[keep]]
    vocabularies = (target.user[rows], target.users, target.items)
    selected = Targets.from_rows(
        vocabularies[1], vocabularies[2], vocabularies[0], new_row, target.item[keep], target.part[keep], target.parts
    )
    restricted = FusionObjective(objective.pool.select_rows(rows), selected, objective.metric, objective.profile)
    return restricted, weights[rows] if weights.ndim > 1 else weights


def _pad_lists(lists: TopK, k: int) -> TopK:
    """Lists padded to at least k places."""
    width = ((0, 0), (0, max(k - lists.k, 0)))
    item, score = np.pad(lists.item, width, constant_values=-1), np.pad(lists.score, width, constant_values=-np.inf)
    return TopK(lists.user, item, score, lists.users, lists.items)


def _leave_one_out(objective: FusionObjective, rule: Rule, weights: F64, k: int) -> list[TopK]:
    """Lists (m, k) of the ensemble, then of the ensemble without each member.

    A single member is not left out.
    """
    pool, M = objective.pool, len(objective.pool.names)
    active = _active(weights)
    subsets = [active, *(active & (np.arange(M) != a) for a in np.flatnonzero(active) if active.sum() > 1)]
    item = np.empty((len(subsets), len(pool), k), dtype=np.int32)
    for low in range(0, len(pool), BLOCK):
        rows = np.arange(low, min(low + BLOCK, len(pool)))
        block, own = pool.select_rows(rows), weights if weights.ndim == 1 else weights[rows]
        for t, subset in enumerate(subsets):
            item[t, rows] = fuse(rule, block, own * subset, k).item
    score = np.where(item >= 0, -np.arange(k, dtype=np.float32), -np.float32(np.inf))
    return [TopK(pool.user, item[t], score[t], pool.users, pool.items) for t in range(len(subsets))]


def _active(weights: F64) -> NDArray[np.bool_]:
    """Whether each member has weight above 0 for at least one user, (M,)."""
    return np.atleast_1d((weights > 0).reshape(-1, weights.shape[-1]).any(axis=0))


def _gains(whole: Evaluation, without: Mapping[str, Evaluation], metric: str) -> list[Difference]:
    """The ensemble minus the ensemble without each member; p adjusted over all members."""
    gains = [replace(compare(whole, one, metric), a="ensemble", b=f"without {name}") for name, one in without.items()]
    return [replace(one, p_adjusted=p) for one, p in zip(gains, holm([one.p for one in gains]), strict=True)]


@dataclass(frozen=True, eq=False)
class _MemberScores:
    """Inputs of the table of members."""

    single: Sequence[Evaluation]
    """Each member's own lists."""

    together: Sequence[Evaluation]
    """The ensemble, then the ensemble without each member of weight above 0."""

    value: F64
    """The metric of each member for each user, (M, n)."""

    popular: NDArray[np.bool_]
    """Whether each item is among the most popular, (n_items,)."""

    k: int


def _members(objective: FusionObjective, weights: F64, measurements: _MemberScores) -> tuple[MemberStats, ...]:
    """Statistics of every member."""
    single, k, metric = measurements.single, measurements.k, str(parse(objective.metric))
    whole, *without = measurements.together
    active_names = [name for name, active in zip(objective.pool.names, _active(weights), strict=True) if active]
    gain = {one.b: one for one in _gains(whole, dict(zip(active_names, without, strict=False)), metric)}
    share = weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-300)
    share = share.reshape(-1, len(single)).mean(axis=0)
    best, wins = _best(measurements.value)
    out: list[MemberStats] = []
    for a, (name, lists) in enumerate(zip(objective.pool.names, objective.pool.lists, strict=True)):
        first = lists.item[:, :k]
        is_popular = measurements.popular[first[first >= 0]]
        out.append(
            MemberStats(
                name=name,
                weight=float(share[a]),
                mean=single[a][metric],
                interval=single[a].interval(metric),
                gain=gain.get(f"without {name}"),
                best=float(best[a]),
                wins=int(wins[a]),
                popular=float(is_popular.mean()) if len(is_popular) else float("nan"),
                coverage=single[a][f"coverage@{k}"],
            )
        )
    return tuple(out)


def _best(value: F64) -> tuple[F64, NDArray[np.int64]]:
    """Fraction of users each member is best for, and number it alone is best for.

    (M,) each, from `value` (M, m).
    """
    known = np.where(np.isfinite(value), value, -np.inf)
    top = known.max(axis=0)
    tied = (known == top) & (top > 0)
    count = tied.sum(axis=0)
    return (tied / np.maximum(count, 1)).mean(axis=1), (tied & (count == 1)).sum(axis=1)


def _hits(objective: FusionObjective, k: int) -> NDArray[np.bool_]:
    """Whether each target is among the first k items of each member, (M, N).

    Targets that no member lists are last.
    """
    place = objective.hit_positions[1]
    hits = np.zeros((len(objective.pool.names), len(objective.target.item)), dtype=np.bool_)
    rank = objective.pool.rank[:, place]
    hits[:, : len(place)] = (rank > 0) & (rank <= k)
    return hits


def _pairs(pool: CandidatePool, value: F64, hits: NDArray[np.bool_], k: int) -> tuple[Pair, ...]:
    """All pairs of members, in the members' order."""
    length = np.array([one.length for one in pool.lists], dtype=np.int64)
    depth = max(one.k for one in pool.lists)
    jaccard, rbo, n_users = pairwise_overlap(pool.offsets, pool.rank, length, (k, PERSISTENCE), depth)
    by_user = _correlated(value[:, np.isfinite(value).all(axis=0)])
    by_target = _correlated(hits.astype(np.float64))
    with np.errstate(invalid="ignore"):
        jaccard, rbo = jaccard / n_users, rbo / n_users
    return tuple(
        Pair(one, other, *(float(numbers[a, b]) for numbers in (jaccard, rbo, by_user, by_target)))
        for a, one in enumerate(pool.names)
        for b, other in enumerate(pool.names)
        if a < b
    )


def _correlated(rows: F64) -> F64:
    """(M, M) Pearson correlations of rows (M, n); NaN for constant rows."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    size = np.where(np.ptp(rows, axis=1) > 0, np.sqrt((centred**2).sum(axis=1)), np.nan)
    return centred @ centred.T / np.outer(size, size)


def _member_row(one: MemberStats) -> tuple[str, ...]:
    gain = ("–", "", "")
    if one.gain is not None:
        gain = (
            f"{one.gain.mean:+.4f}",
            format_interval((one.gain.low, one.gain.high), "+"),
            "" if one.gain.significant else "not significant",
        )
    popular = f"{one.popular:.1%}" if math.isfinite(one.popular) else "–"
    shares = (f"{one.best:.1%}", f"{one.wins:,}", popular, f"{one.coverage:.1%}")
    return (one.name, f"{one.weight:.3f}", f"{one.mean:.4f}", format_interval(one.interval), *gain, *shares)
