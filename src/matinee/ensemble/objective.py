"""The metric of trial combinations, from the ranks of the targets, without building lists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.candidates.pool import CandidatePool
from matinee.data import Targets
from matinee.ensemble import kernels
from matinee.errors import DataError
from matinee.metrics import Metric, parse
from matinee.metrics.profile import profile
from matinee.metrics.user_values import weighted_sum
from matinee.metrics.values import MetricValues, Values

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]

BLOCK = 64
"""Trials evaluated at once: m · k bytes each."""


@dataclass(frozen=True, eq=False)
class PoolTargets:
    """Positions of the targets among the candidates of a pool."""

    pool: CandidatePool
    target: Targets

    @cached_property
    def n_targets(self) -> NDArray[np.int64]:
        """Number of targets of each user, listed or not, (m,)."""
        return self.target.count

    @cached_property
    def hit_positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
        """(start (m + 1,), place, part) of the candidates that are targets, row by row."""
        width = np.int64(len(self.pool.items))
        candidate_key = self.pool.row * width + self.pool.item
        rows = np.repeat(np.arange(len(self.target), dtype=np.int64), self.target.count)
        target_key = rows * width + self.target.item
        at = np.minimum(np.searchsorted(candidate_key, target_key), max(len(candidate_key) - 1, 0))
        none = np.zeros(len(target_key), dtype=np.bool_)
        is_candidate = candidate_key[at] == target_key if len(candidate_key) else none
        start = np.zeros(len(self.pool) + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows[is_candidate], minlength=len(self.pool)), out=start[1:])
        return start, at[is_candidate], self.target.part[is_candidate]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of candidates of each user that each member lists, (M, m)."""
        m = len(self.pool)
        return np.stack([np.bincount(self.pool.row[own > 0], minlength=m) for own in self.pool.rank])

    @cached_property
    def n_targets_of_part(self) -> NDArray[np.int64]:
        """Number of targets of every part, (parts, m)."""
        row = np.repeat(np.arange(len(self.target)), self.target.count)
        n_parts = max(len(self.target.parts), 1)
        count = np.bincount(row * n_parts + self.target.part, minlength=len(self.target) * n_parts)
        return count.reshape(len(self.target), n_parts).T


@dataclass(frozen=True, eq=False)
class _Base:
    """Base scores (c,) of a block of trials, and the listed candidates (c,).

    None means all are listed.
    """

    score: F32
    listed: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class FusionObjective:
    """A metric of fused lists on a pool with targets, row by row."""

    pool: CandidatePool
    target: Targets
    metric: str
    profile: str = "matinee"
    selected: NDArray[np.bool_] | None = None
    """Users that count, (m,); None means all."""

    shared: PoolTargets | None = None
    """Positions of the targets, shared by all objectives of the pool; None means computed on first use."""

    def __post_init__(self) -> None:
        if not parse(self.metric).per_user:
            raise DataError(
                "ensemble",
                f"{self.metric} has no value per user",
                "a metric with a value per user",
                "Use a metric such as recall@10.",
            )
        listed, targets = self.pool.user, self.target.user
        if len(listed) != len(targets) or not ((listed == targets) | (listed < 0)).all():
            found = f"lists of {len(listed)} users and targets of {len(targets)} users, not the same in the same rows"
            raise DataError("ensemble", found, "the same users in the same rows", "Make both from one split.")
        if self.pool.items != self.target.items:
            found = "lists and targets encode items differently"
            raise DataError("ensemble", found, "one vocabulary for both", "Make both from one log.")

    @cached_property
    def targets(self) -> PoolTargets:
        """Positions of the targets among the candidates."""
        return PoolTargets(self.pool, self.target) if self.shared is None else self.shared

    @property
    def n_targets(self) -> NDArray[np.int64]:
        """Number of targets of each user, listed or not, (m,)."""
        return self.targets.n_targets

    @property
    def hit_positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
        """(start (m + 1,), place, part) of the candidates that are targets, row by row."""
        return self.targets.hit_positions

    def restrict(self, selected: NDArray[np.bool_]) -> FusionObjective:
        """The same objective on some of the users (m,) only."""
        return replace(self, selected=selected, shared=self.targets)

    @property
    def is_selected(self) -> NDArray[np.bool_]:
        """Whether each user counts, (m,)."""
        return np.ones(len(self.pool), dtype=np.bool_) if self.selected is None else self.selected

    @property
    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Offsets of the candidates (m + 1,), and whether each user counts (m,)."""
        return self.pool.offsets, self.is_selected

    def values(self, score: NDArray[np.floating], part: str | None = None) -> Values:
        """The metric of each user under scores (c,), (m,); NaN for excluded users.

        Candidates of score −inf are not listed.
        """
        blend, columns = parse(self.metric), self._columns(*self._list_of(score), part)
        return weighted_sum(blend, {metric: column.values_or_nan for metric, column in columns.items()})

    def mean(self, score: NDArray[np.floating], part: str | None = None) -> float:
        """The mean metric over the selected users under scores (c,); −inf is not listed."""
        return self._mean(*self._list_of(score), part)

    def single(self, points: F32) -> F64:
        """The metric of each single member, (M,)."""
        c = points.shape[1]
        return self.trial_values(
            np.zeros(c, dtype=np.float32), points, np.arange(len(points)), 1.0, np.zeros(c, np.bool_)
        )

    def value(self, points: F32, weights: F64) -> float:
        """The metric under weights (M,)."""
        total = np.zeros(points.shape[1])  # float64: sums that differ only in their order tie, as in a fused list
        for own, weight in zip(points, weights / max(weights.sum(), 1e-300), strict=True):
            if weight:
                total += weight * own
        return self.mean(np.where(self.pool.is_listed(weights), total, -np.inf))

    def trial_values(
        self,
        base: F32,
        points: F32,
        member: NDArray[np.integer],
        weight: F64 | float = 1.0,
        listed: NDArray[np.bool_] | None = None,
    ) -> F64:
        """The metric of each of T trials, (T,).

        Trial t has the scores base + weight[t] · points[member[t]].

        `base` (c,), `points` (M, c). `listed` (c,) are the candidates that the members of the base list; candidates
        that neither they nor member[t] list are excluded, as in a fused list. None means all candidates are listed.
        """
        out = np.empty(len(member))
        weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), out.shape)
        for low in range(0, len(member), BLOCK):
            some = slice(low, low + BLOCK)
            labels, lengths = self._labels(_Base(base, listed), points, member[some], weights[some])
            for t, (label, length) in enumerate(zip(labels, lengths, strict=True)):
                out[low + t] = self._mean(label, length)
        return out

    def _labels(
        self, base: _Base, points: F32, member: NDArray[np.integer], weight: F64
    ) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Part of the hit at each rank (T, m, k), −1 without a hit; and list lengths (T, m)."""
        listed = np.zeros(0, dtype=np.bool_) if base.listed is None else base.listed
        k = parse(self.metric).k
        label = np.full((len(member), len(self.pool), k), -1, dtype=np.int8)
        trial = member.astype(np.int64), weight.astype(np.float32)
        kernels.score_trials(
            self.rows, (base.score, listed), (points, self.pool.rank), trial, self.hit_positions, label
        )
        length = np.tile(np.minimum(np.diff(self.pool.offsets), k), (len(member), 1))
        if len(listed):
            known = np.bincount(self.pool.row[listed], minlength=len(self.pool))
            if (np.maximum(known, np.where(weight[:, None] > 0, self.targets.lengths[trial[0]], 0)) < length).any():
                kernels.count_listed(self.pool.offsets, self.pool.rank, listed, trial, length)
        return label, length

    def _list_of(self, score: NDArray[np.floating]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Part of the hit at each rank (m, k) under scores (c,); and list lengths (m,)."""
        no_points = np.zeros((1, len(score)), dtype=np.float32)
        label, _ = self._labels(_Base(score.astype(np.float32)), no_points, np.zeros(1, dtype=np.int64), np.zeros(1))
        length = np.bincount(self.pool.row[score > -np.inf], minlength=len(self.pool))
        return label[0], np.minimum(length, label.shape[2])

    def _mean(self, label: NDArray[np.int8], length: NDArray[np.int64], part: str | None = None) -> float:
        columns = self._columns(label, length, part)
        return float(sum(weight * columns[metric].mean for weight, metric in parse(self.metric).terms))

    def _columns(
        self, label: NDArray[np.int8], length: NDArray[np.int64], part: str | None
    ) -> dict[Metric, MetricValues]:
        """Values of labels (m, k) by each metric; users without targets have weight 0."""
        definitions = profile(self.profile)
        which = None if part is None else self.target.parts.index(part)
        counts = self.n_targets if which is None else self.targets.n_targets_of_part[which]
        counted = (counts > 0) & self.is_selected
        hits = ((label >= 0) if which is None else label == which)[counted]
        columns: dict[Metric, MetricValues] = {}
        for metric in parse(self.metric).metrics:
            cut = hits[:, : metric.k], counts[counted], np.minimum(length[counted], metric.k)
            result = definitions.formula(metric.name)(*cut)
            own = result if isinstance(result, MetricValues) else MetricValues(result, np.ones(len(result)))
            value, weight = np.zeros(len(counted)), np.zeros(len(counted))
            value[counted], weight[counted] = own.value, own.weight
            columns[metric] = MetricValues(value, weight)
        return columns
