"""What trial combinations are worth: the task's metric, from where the answers come to stand, without making lists."""

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
"""Trials judged at once: m · k bytes each."""


@dataclass(frozen=True, eq=False)
class PoolTargets:
    """Where the targets of each user are among the candidates of a pool; computed once for all judges of it."""

    pool: CandidatePool
    answer: Targets

    @cached_property
    def counted(self) -> NDArray[np.int64]:
        """How many answers each person has, listed or not, (m,)."""
        return self.answer.count

    @cached_property
    def found(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
        """(start (m + 1,), place, part): the candidates that are answers, row by row."""
        width = np.int64(len(self.pool.items))
        keys = self.pool.row * width + self.pool.item
        rows = np.repeat(np.arange(len(self.answer), dtype=np.int64), self.answer.count)
        wanted = rows * width + self.answer.item
        at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        there = keys[at] == wanted if len(keys) else np.zeros(len(wanted), dtype=np.bool_)
        start = np.zeros(len(self.pool) + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows[there], minlength=len(self.pool)), out=start[1:])
        return start, at[there], self.answer.part[there]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """How many candidates each member lists for each person, (M, m)."""
        m = len(self.pool)
        return np.stack([np.bincount(self.pool.row[own > 0], minlength=m) for own in self.pool.rank])

    @cached_property
    def of_part(self) -> NDArray[np.int64]:
        """Answers of every part (parts, m)."""
        row = np.repeat(np.arange(len(self.answer)), self.answer.count)
        n_parts = max(len(self.answer.parts), 1)
        count = np.bincount(row * n_parts + self.answer.part, minlength=len(self.answer) * n_parts)
        return count.reshape(len(self.answer), n_parts).T


@dataclass(frozen=True, eq=False)
class _Base:
    """What every trial of a block starts from: scores (c,), and which candidates are listed (c,), None for all."""

    score: F32
    listed: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class FusionObjective:
    """A pool with the answers of its people, row by row, and the metric to win."""

    pool: CandidatePool
    target: Targets
    metric: str
    profile: str = "matinee"
    selected: NDArray[np.bool_] | None = None
    """Whom it is about, (m,); None for everybody."""

    shared: PoolTargets | None = None
    """What judges of this pool and these answers share; None computes it when it is first needed."""

    def __post_init__(self) -> None:
        if not parse(self.metric).per_user:
            raise DataError("ensemble", f"{self.metric} is no metric of a person", "one with a value a person", "")
        ours, theirs = self.pool.user, self.target.user
        if len(ours) != len(theirs) or not ((ours == theirs) | (ours < 0)).all():
            found = f"lists of {len(ours)} people and answers of {len(theirs)}, not the same in the same rows"
            raise DataError("ensemble", found, "the same people in the same rows", "Make both from one split.")
        if self.pool.items != self.target.items:
            found = "lists and answers encode items differently"
            raise DataError("ensemble", found, "one vocabulary for both", "Make both from one log.")

    @cached_property
    def targets(self) -> PoolTargets:
        """The answers among the candidates."""
        return PoolTargets(self.pool, self.target) if self.shared is None else self.shared

    @property
    def n_targets(self) -> NDArray[np.int64]:
        """How many answers each person has, listed or not, (m,)."""
        return self.targets.counted

    @property
    def hit_positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
        """(start (m + 1,), place, part): the candidates that are answers, row by row."""
        return self.targets.found

    def restrict(self, asked: NDArray[np.bool_]) -> FusionObjective:
        """The same judge with an eye on some of the people (m,) only."""
        return replace(self, asked=asked, shared=self.targets)

    @property
    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where each person's candidates start, and whether the person counts."""
        return self.pool.offsets, np.ones(len(self.pool), dtype=np.bool_) if self.selected is None else self.selected

    def values(self, score: NDArray[np.floating], part: str | None = None) -> Values:
        """The metric of each person (m,) under scores (c,), −inf not to be listed; NaN for whom it leaves out."""
        blend, columns = parse(self.metric), self._columns(*self._list_of(score), part)
        return weighted_sum(blend, {metric: column.values_or_nan for metric, column in columns.items()})

    def mean(self, score: NDArray[np.floating], part: str | None = None) -> float:
        """The metric, over the people who count, under scores (c,), −inf not to be listed."""
        return self._mean(*self._list_of(score), part)

    def single(self, points: F32) -> F64:
        """The metric of each member by itself, (M,)."""
        c = points.shape[1]
        return self.trial_values(
            np.zeros(c, dtype=np.float32), points, np.arange(len(points)), 1.0, np.zeros(c, np.bool_)
        )

    def value(self, points: F32, weights: F64) -> float:
        """The metric of one weighting (M,)."""
        total = np.zeros(points.shape[1])  # float64, so that sums equal but for their order tie, as in a fused list
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
        """(T,) the metric, over the people who count, of the scores base + weight[t] · points[member[t]].

        `base` (c,), `points` (M, c). `listed` (c,) is what the members in the base list; candidates that neither they
        nor member[t] list stay out then, as they do in a fused list; None for all in.
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
        """What stands at each rank (T, m, k), and how long the lists are (T, m)."""
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
        """What stands at each rank (m, k), and how long the lists are (m,), under scores (c,)."""
        nothing = np.zeros((1, len(score)), dtype=np.float32)
        label, _ = self._labels(_Base(score.astype(np.float32)), nothing, np.zeros(1, dtype=np.int64), np.zeros(1))
        length = np.bincount(self.pool.row[score > -np.inf], minlength=len(self.pool))
        return label[0], np.minimum(length, label.shape[2])

    def _mean(self, label: NDArray[np.int8], length: NDArray[np.int64], part: str | None = None) -> float:
        columns = self._columns(label, length, part)
        return float(sum(weight * columns[metric].mean for weight, metric in parse(self.metric).terms))

    def _columns(
        self, label: NDArray[np.int8], length: NDArray[np.int64], part: str | None
    ) -> dict[Metric, MetricValues]:
        """The numbers of labels (m, k) by each metric of the blend, those without answers at weight 0."""
        definitions = profile(self.profile)
        which = None if part is None else self.target.parts.index(part)
        counts = self.n_targets if which is None else self.targets.of_part[which]
        here = (counts > 0) & self.rows[1]
        hits = ((label >= 0) if which is None else label == which)[here]
        columns: dict[Metric, MetricValues] = {}
        for metric in parse(self.metric).metrics:
            cut = hits[:, : metric.k], counts[here], np.minimum(length[here], metric.k)
            found = definitions.formula(metric.name)(*cut)
            own = found if isinstance(found, MetricValues) else MetricValues(found, np.ones(len(found)))
            value, weight = np.zeros(len(here)), np.zeros(len(here))
            value[here], weight[here] = own.value, own.weight
            columns[metric] = MetricValues(value, weight)
        return columns
