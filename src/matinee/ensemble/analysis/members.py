"""Who is in an ensemble and what each member is good for: alone, beside the others, and how alike any two are.

Everything is counted over the people the judge asks about. "The ensemble" are the members of weight above 0, fused by
the rule; weight 0 is absence. RBO is rank-biased overlap (Webber, Moffat and Zobel, A Similarity Measure for Indefinite
Rankings, TOIS 28(4), 2010), extrapolated from the depth of the lists, RBO_ext, with p = 0.9: the first ten places have
86 % of the weight.
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
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.rule import Rule, fuse
from matinee.errors import DataError, SpecError
from matinee.metrics import Difference, Evaluation, compare, evaluate, holm, parse
from matinee.topk import TopK

F64: TypeAlias = NDArray[np.float64]

POPULAR = 0.01
"""The most popular items are this share of the catalogue, at least one item, ties by item code."""

PERSISTENCE = 0.9
"""p of RBO."""

MEMBER = ("member", "weight", "alone", "interval", "gain", "interval", "", "best", "wins", "popular", "coverage")
"""The head of the members' table: gain is the ensemble's over itself without the member."""

BLOCK = 4096
"""People fused at once when members are left out: enough that starting threads is cheap, few enough for memory."""


@dataclass(frozen=True)
class MemberStats:
    """One member's numbers; NaN where there is nothing to count."""

    name: str
    weight: float
    """As a share of all weights; the mean share where people have weights of their own."""

    mean: float
    """The metric of its lists alone."""

    interval: tuple[float, float]
    gain: Difference | None
    """How much the ensemble is above itself without this member, paired by person; p is adjusted over the members.

    None for a member of weight 0 and for the only one in the ensemble.
    """

    best: float
    """Share of people on whom no member is better; tied members share a person evenly, who counts for nobody where
    every member is worth 0. So the members' shares add up to the share of people whom some member serves.
    """

    wins: int
    """People on whom every other member is worse."""

    popular: float
    """Share of its first k places that are among the most popular items; of the places that are filled."""

    coverage: float
    """Share of the catalogue that stands in somebody's first k places."""


@dataclass(frozen=True)
class Pair:
    """How alike two members are; means over people with an item in at least one of the two lists."""

    a: str
    b: str
    jaccard: float
    """Of the first k: items in both, as a share of those in either."""

    rbo: float
    """RBO_ext of the lists at full depth; 0 where one of them is empty."""

    metric_corr: float
    """Pearson correlation, over people, of the metric."""

    hits: float
    """Pearson correlation, over all (person, answer), of whether the answer is among the first k: low is diverse."""


@dataclass(frozen=True)
class Oracle:
    """What choosing well among the members could reach."""

    best: float
    """The metric if each person's best member were known: the mean of each person's maximum."""

    any_member: float
    """Share of all (person, answer) that at least one member has in its first k."""

    all_members: float
    """Share that every member has there."""


@dataclass(frozen=True)
class MemberReport:
    """An ensemble's members, one by one, two by two, and all together."""

    metric: str
    k: int
    n_users: int
    """With answers; only they have a metric."""

    popular: int
    """How many items count as most popular."""

    mean: float
    """The metric of the ensemble."""

    interval: tuple[float, float]
    members: tuple[MemberStats, ...]
    pairs: tuple[Pair, ...]
    oracle: Oracle

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values for a JSON file; NaN is null."""
        out = plain_value(asdict(self))
        for one, row in zip(self.members, out["members"], strict=True):
            if one.gain is not None:
                row["gain"] |= {"significant": one.gain.significant}
        return out

    @property
    def copies(self) -> dict[str, str]:
        """Members whose lists an earlier member has, too, with the name of that member."""
        found: dict[str, str] = {}
        for one in self.pairs:
            if one.jaccard == 1.0 and one.rbo > 1.0 - 1e-9:
                found.setdefault(one.b, one.a)
        return found

    def text(self, pairs: int = 20) -> list[str]:
        """Lines for a terminal: the members, best first, and so many pairs, the most alike first."""
        any_of, all_of = f"{self.oracle.any_member:.1%}", f"{self.oracle.all_members:.1%}"
        lines = [
            f"{self.metric} of {self.n_users:,} people: {self.mean:.4f} {_format_interval(self.interval)}",
            f"with each person's best member: {self.oracle.best:.4f}",
            f"answers in the first {self.k} of any member: {any_of}, of all members: {all_of}",
            *(f"{other} has the same lists as {one}" for other, one in self.copies.items()),
            "",
        ]
        people = sorted((one for one in self.members if one.name not in self.copies), key=lambda one: -one.mean)
        lines += aligned([MEMBER, *map(_member_row, people)])
        distinct = [one for one in self.pairs if one.a not in self.copies and one.b not in self.copies]
        alike = sorted(distinct, key=lambda one: -one.rbo)[:pairs]
        if alike:
            table = [(one.a, one.b, *map(_number, (one.jaccard, one.rbo, one.metric_corr, one.hits))) for one in alike]
            lines += ["", *aligned([("pair", "", f"jaccard@{self.k}", "rbo", "values", "hits"), *table], words=2)]
        rest = len(distinct) - len(alike)
        return [*lines, f"and {rest} pairs less alike"] if rest and alike else lines


def analyze_members(
    judge: FusionObjective,
    rule: Rule,
    weights: Sequence[float] | F64,
    popularity: NDArray[np.number],
    k: int | None = None,
    resamples: int = 1000,
) -> MemberReport:
    """The members of `judge.pool` as `rule` combines them with `weights`, (M,) or a row a person (m, M).

    `popularity` (n_items,) is how many people took each item in the learn part; k is the metric's unless given. To
    leave a member out is to set its weight to 0, which costs most here: M' + 1 fusions of M' members for the M' of
    weight above 0.
    """
    judge, weights = _restricted(judge, np.asarray(weights, dtype=np.float64))
    pool, metric = judge.pool, str(parse(judge.metric))
    k = k or parse(metric).k
    if len(popularity) != len(pool.items):
        found = f"popularity of {len(popularity)} items"
        raise DataError("ensemble", found, f"one number for each of {len(pool.items)}", "Count the learn part's users.")
    asked = list(dict.fromkeys([metric, f"coverage@{k}"]))
    judged = partial(evaluate, targets=judge.target, metrics=asked, profile=judge.profile, resamples=resamples)
    deep = max(parse(metric).k, k)
    alone = [judged(_pad_lists(one, deep)) for one in pool.lists]
    together = [judged(one) for one in _leave_one_out(judge, rule, weights, deep)]
    value = np.array([one.per_user(metric) for one in alone])
    hits = _hits(judge, k)
    listed = np.nanmax(value[:, np.isfinite(value).any(axis=0)], axis=0)
    popular = most_popular(popularity)
    return MemberReport(
        metric=metric,
        k=k,
        n_users=together[0].n_users,
        popular=int(popular.sum()),
        mean=together[0][metric],
        interval=together[0].interval(metric),
        members=_members(judge, weights, _MemberScores(alone, together, value, popular, k)),
        pairs=_pairs(pool, value, hits, k),
        oracle=Oracle(float(listed.mean()), float(hits.any(axis=0).mean()), float(hits.all(axis=0).mean())),
    )


def most_popular(popularity: NDArray[np.number]) -> NDArray[np.bool_]:
    """Which items (n_items,) are among the `POPULAR` share."""
    among = np.zeros(len(popularity), dtype=np.bool_)
    first = np.argsort(-popularity.astype(np.float64), kind="stable")
    among[first[: max(1, math.ceil(POPULAR * len(popularity)))]] = True
    return among


def _restricted(judge: FusionObjective, weights: F64) -> tuple[FusionObjective, F64]:
    """Pool, answers and weights of those people alone whom the judge asks about."""
    M = len(judge.pool.names)
    if weights.shape not in ((M,), (len(judge.pool), M)) or not (weights >= 0).all() or not weights.any():
        found = f"weights of shape {weights.shape} for {M} members"
        raise SpecError("ensemble", found, "one number ≥ 0 for each member, not all 0")
    if judge.selected is None:
        return judge, weights
    rows, answer = np.flatnonzero(judge.selected), judge.target
    row = np.repeat(np.arange(len(answer)), answer.count)
    keep = judge.selected[row]
    now = (np.cumsum(judge.selected) - 1)[row[keep]]
    cut = Targets.from_rows(
        answer.users, answer.items, answer.user[rows], now, answer.item[keep], answer.part[keep], answer.parts
    )
    return FusionObjective(judge.pool.select_rows(rows), cut, judge.metric, judge.profile), weights[
        rows
    ] if weights.ndim > 1 else weights


def _pad_lists(lists: TopK, k: int) -> TopK:
    """Lists with room for at least k items."""
    wide = ((0, 0), (0, max(k - lists.k, 0)))
    item, score = np.pad(lists.item, wide, constant_values=-1), np.pad(lists.score, wide, constant_values=-np.inf)
    return TopK(lists.user, item, score, lists.users, lists.items)


def _leave_one_out(judge: FusionObjective, rule: Rule, weights: F64, k: int) -> list[TopK]:
    """The ensemble's lists (m, k), then those without each of its members in turn, if there are two or more."""
    pool, M = judge.pool, len(judge.pool.names)
    here = _active(weights)
    teams = [here, *(here & (np.arange(M) != a) for a in np.flatnonzero(here) if here.sum() > 1)]
    item = np.empty((len(teams), len(pool), k), dtype=np.int32)
    for low in range(0, len(pool), BLOCK):
        rows = np.arange(low, min(low + BLOCK, len(pool)))
        block, own = pool.select_rows(rows), weights if weights.ndim == 1 else weights[rows]
        for t, team in enumerate(teams):
            item[t, rows] = fuse(rule, block, own * team, k).item
    score = np.where(item >= 0, -np.arange(k, dtype=np.float32), -np.float32(np.inf))
    return [TopK(pool.user, item[t], score[t], pool.users, pool.items) for t in range(len(teams))]


def _active(weights: F64) -> NDArray[np.bool_]:
    """Which members (M,) have weight above 0 for anybody."""
    return np.atleast_1d((weights > 0).reshape(-1, weights.shape[-1]).any(axis=0))


def _gains(whole: Evaluation, without: Mapping[str, Evaluation], metric: str) -> list[Difference]:
    """The whole minus itself without each member, with p adjusted over all of them."""
    found = [replace(compare(whole, one, metric), a="ensemble", b=f"without {name}") for name, one in without.items()]
    return [replace(one, p_adjusted=p) for one, p in zip(found, holm([one.p for one in found]), strict=True)]


@dataclass(frozen=True, eq=False)
class _MemberScores:
    """The numbers that a members' table is made of."""

    alone: Sequence[Evaluation]
    """The members by themselves."""

    together: Sequence[Evaluation]
    """The ensemble, then itself without each member of weight above 0."""

    value: F64
    """The metric of each member for each user, (M, n)."""

    popular: NDArray[np.bool_]
    """Which items are among the most popular, (n_items,)."""

    k: int


def _members(judge: FusionObjective, weights: F64, measured: _MemberScores) -> tuple[MemberStats, ...]:
    """A row a member."""
    alone, k, metric = measured.alone, measured.k, str(parse(judge.metric))
    whole, *without = measured.together
    there = [name for name, here in zip(judge.pool.names, _active(weights).tolist(), strict=True) if here]
    gain = {one.b: one for one in _gains(whole, dict(zip(there, without, strict=False)), metric)}
    share = weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-300)
    share = share.reshape(-1, len(alone)).mean(axis=0)
    best, wins = _best(measured.value)
    out: list[MemberStats] = []
    for a, (name, lists) in enumerate(zip(judge.pool.names, judge.pool.lists, strict=True)):
        first = lists.item[:, :k]
        taken = measured.popular[first[first >= 0]]
        out.append(
            MemberStats(
                name=name,
                weight=float(share[a]),
                mean=alone[a][metric],
                interval=alone[a].interval(metric),
                gain=gain.get(f"without {name}"),
                best=float(best[a]),
                wins=int(wins[a]),
                popular=float(taken.mean()) if len(taken) else float("nan"),
                coverage=alone[a][f"coverage@{k}"],
            )
        )
    return tuple(out)


def _best(value: F64) -> tuple[F64, NDArray[np.int64]]:
    """For each member, the share of people (m,) of `value` (M, m) it is best for, and of how many it is so alone."""
    known = np.where(np.isfinite(value), value, -np.inf)
    top = known.max(axis=0)
    tied = (known == top) & (top > 0)
    count = tied.sum(axis=0)
    return (tied / np.maximum(count, 1)).mean(axis=1), (tied & (count == 1)).sum(axis=1)


def _hits(judge: FusionObjective, k: int) -> NDArray[np.bool_]:
    """Whether each answer (N,), the unlisted last, is among the first k of each member (M, N)."""
    place = judge.hit_positions[1]
    hits = np.zeros((len(judge.pool.names), len(judge.target.item)), dtype=np.bool_)
    rank = judge.pool.rank[:, place]
    hits[:, : len(place)] = (rank > 0) & (rank <= k)
    return hits


def _pairs(pool: CandidatePool, value: F64, hits: NDArray[np.bool_], k: int) -> tuple[Pair, ...]:
    """Every two members, in the members' order."""
    length = np.array([one.length for one in pool.lists], dtype=np.int64)
    depth = max(one.k for one in pool.lists)
    jaccard, rbo, people = pairwise_overlap(pool.offsets, pool.rank, length, (k, PERSISTENCE), depth)
    by_person = _correlated(value[:, np.isfinite(value).all(axis=0)])
    by_answer = _correlated(hits.astype(np.float64))
    with np.errstate(invalid="ignore"):
        jaccard, rbo = jaccard / people, rbo / people
    return tuple(
        Pair(one, other, *(float(numbers[a, b]) for numbers in (jaccard, rbo, by_person, by_answer)))
        for a, one in enumerate(pool.names)
        for b, other in enumerate(pool.names)
        if a < b
    )


def _correlated(rows: F64) -> F64:
    """(M, M) Pearson correlations of rows (M, n); NaN for a row that is everywhere the same."""
    away = rows - rows.mean(axis=1, keepdims=True)
    size = np.where(np.ptp(rows, axis=1) > 0, np.sqrt((away**2).sum(axis=1)), np.nan)
    return away @ away.T / np.outer(size, size)


def _member_row(one: MemberStats) -> tuple[str, ...]:
    gain = ("–", "", "")
    if one.gain is not None:
        gain = (
            f"{one.gain.mean:+.4f}",
            _format_interval((one.gain.low, one.gain.high), "+"),
            "" if one.gain.significant else "not significant",
        )
    popular = f"{one.popular:.1%}" if math.isfinite(one.popular) else "–"
    shares = (f"{one.best:.1%}", f"{one.wins:,}", popular, f"{one.coverage:.1%}")
    return (one.name, f"{one.weight:.3f}", f"{one.mean:.4f}", _format_interval(one.interval), *gain, *shares)


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _format_interval(interval: tuple[float, float], sign: str = "") -> str:
    low, high = interval
    return f"[{low:{sign}.4f}, {high:{sign}.4f}]"


def aligned(rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Lines of a table, two spaces between columns; the first `words` columns stand left, the others right."""
    width = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(row, width, words)).rstrip() for row in rows]


def _padded(row: Sequence[str], width: Sequence[int], words: int) -> list[str]:
    cells = zip(row, width, strict=True)
    return [cell.ljust(w) if c < words else cell.rjust(w) for c, (cell, w) in enumerate(cells)]


def plain_value(value: Any) -> Any:
    """Nested values as JSON has them: lists for tuples, null for what is no finite number."""
    if isinstance(value, dict):
        return {str(key): plain_value(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain_value(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
