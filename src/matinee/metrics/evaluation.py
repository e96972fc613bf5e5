"""Lists and answers → numbers per user, their means and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data import Answers
from matinee.errors import DataError, SpecError, UnknownName
from matinee.metrics.catalogue import CATALOGUE, NEEDS_POPULARITY, count_taken
from matinee.metrics.column import Column, Formula, Values
from matinee.metrics.hits import Judged, judge
from matinee.metrics.metric import Blend, Metric, parse
from matinee.metrics.profile import Profile
from matinee.metrics.profile import profile as definitions_of
from matinee.metrics.table import ALL, Key, Table, blended
from matinee.topk import TopK


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What lists are worth to the people with answers, by one profile; a view of one part of the answers, or of all.

    People stand in the order of their codes (new people, code −1, as in the answers), so evaluations line up.
    """

    names: tuple[str, ...]
    """The metrics and blends asked for."""

    parts: tuple[str, ...]
    """The parts the answers are made of; one part alone is the same as all."""

    profile: str
    table: Table
    catalogue: Mapping[str, float]
    """The metrics of all lists together."""

    which: str = ALL
    """The part whose answers count here."""

    def __getitem__(self, name: str) -> float:
        """The mean over people, or the catalogue's number."""
        blend = self.find(name)
        if not blend.per_user:
            return self.catalogue[str(blend)]
        return sum(weight * self.column(metric).mean for weight, metric in blend.terms)

    @property
    def users(self) -> NDArray[np.int32]:
        """Whose numbers `per_user` gives: codes (m,), −1 for somebody new."""
        return self.table.user[self.table.answered[self.which]]

    @property
    def n_users(self) -> int:
        """How many people have answers (of this part)."""
        return int(self.table.answered[self.which].sum())

    @property
    def n_without_answers(self) -> int:
        """How many people with a list or a row of answers were left out for want of an answer (of this part)."""
        return self.table.n_asked - self.n_users

    @property
    def n_without_list(self) -> int:
        """How many of those with answers got no item; what that costs them is the profile's choice."""
        return int((~self.table.listed[self.table.answered[self.which]]).sum())

    def per_user(self, name: str) -> Values:
        """The value of each of `users`, (m,); NaN for whom the profile leaves out."""
        blend = self.personal(name)
        here = self.table.answered[self.which]
        return blended(blend, {metric: self.column(metric).seen[here] for metric in blend.metrics})

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """The bootstrap percentile interval (low, high) over people; NaN for a metric of the catalogue."""
        blend = self.find(name)
        if not blend.per_user:
            return float("nan"), float("nan")
        drawn = blended(blend, {metric: self.table.replicates[self.which, metric] for metric in blend.metrics})
        return percentiles(drawn, level)

    def part(self, name: str) -> Evaluation:
        """The same lists judged by the answers of one part; people without answers in it are left out."""
        if name not in self.parts:
            raise UnknownName("part", name, self.parts, "answers")
        personal = tuple(one for one in self.names if parse(one).per_user)
        return replace(self, names=personal, catalogue={}, which=name)

    def frame(self, level: float = 0.95) -> pl.DataFrame:
        """One row a metric and part: metric, part, mean, low, high (null without an interval), users.

        Parts without answers are left out, and so is one that alone has any: it is the same as all.
        """
        views = [self]
        if self.which == ALL:
            parts = [part for part in map(self.part, self.parts) if part.n_users]
            views += parts if len(parts) > 1 else []
        rows = [
            (name, view.which, view[name], *view.interval(name, level), view.n_users)
            for view in views
            for name in view.names
        ]
        schema = {"metric": pl.String, "part": pl.String, "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64}
        frame = pl.DataFrame(rows, schema=schema | {"users": pl.Int64}, orient="row")
        return frame.with_columns(pl.col("mean", "low", "high").fill_nan(None))

    def find(self, name: str) -> Blend:
        """The blend a name stands for, made of metrics that were evaluated here."""
        blend = parse(name)
        for metric in blend.metrics:
            if (self.which, metric) not in self.table.columns and str(metric) not in self.catalogue:
                raise UnknownName("metric", str(metric), self.names, "evaluation")
        return blend

    def personal(self, name: str) -> Blend:
        """The same, refused for a metric of the catalogue."""
        blend = self.find(name)
        if not blend.per_user:
            raise SpecError("evaluation", f"{blend} is one number from all lists", "a metric with a value a person")
        return blend

    def column(self, metric: Metric) -> Column:
        """Values and weights of all people of the table, those without answers in this part at weight 0."""
        return self.table.columns[self.which, metric]


def percentiles(drawn: Values, level: float) -> tuple[float, float]:
    """The middle `level` of bootstrap numbers; NaN where no replicate has one."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def check(metrics: Sequence[str], profile: str, depth: int) -> list[Blend]:
    """Read the metrics and refuse what `evaluate` could not do with lists of `depth` items; repeats are folded."""
    definitions = definitions_of(profile)
    blends = list(dict.fromkeys(parse(name) for name in ([metrics] if isinstance(metrics, str) else metrics)))
    for blend in blends:
        if blend.k > depth:
            raise SpecError(
                "metric",
                f"{blend} looks at {blend.k} items, the lists have {depth}",
                f"a cut-off of at most {depth}",
                f"Make lists of {blend.k} items.",
            )
        for metric in blend.metrics:
            if metric.per_user:
                definitions.formula(metric.name)
    return blends


def evaluate(  # noqa: PLR0913 - two of the seven belong to the intervals alone
    lists: TopK,
    answer: Answers,
    metrics: Sequence[str],
    profile: str = "matinee",
    popularity: NDArray[np.floating] | NDArray[np.integer] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Judge every list by the answers of its person, who is found by user code.

    Somebody with answers and no list has an empty list; lists of people without answers are left out, except from
    the catalogue's metrics, which count every list. `popularity` (n_items,) is how many people took each item in
    the learn part; only the metric of that name needs it.
    """
    if not isinstance(lists, TopK) or not isinstance(answer, Answers):  # pyright: ignore[reportUnnecessaryIsInstance]
        found = f"found {type(lists).__name__} and {type(answer).__name__}"
        raise SpecError("evaluate", found, "TopK and Answers", "Write evaluate(lists, split.answer, metrics).")
    blends = check(metrics, profile, lists.k)
    place, extra = _align(lists, answer)
    order = np.argsort(answer.user, kind="stable")
    row = order[answer.count[order] > 0]
    if not len(row):
        raise DataError("evaluate", "nobody has an answer", "at least one held-out item", "Hold something out.")
    judged = judge(lists.item, place[row], answer, row)
    total = judged.n_answers.sum(axis=0)
    answered = {ALL: total > 0} | {part: judged.n_answers[p] > 0 for p, part in enumerate(answer.parts)}
    wanted = dict.fromkeys(metric for blend in blends if blend.per_user for metric in blend.metrics)
    table = Table(
        answer.user[row],
        answer.users,
        np.asarray(judged.there.any(axis=1)),
        answered,
        _columns(judged, answer.parts, list(wanted), definitions_of(profile)),
        len(answer) + extra,
        resamples,
        seed,
    )
    catalogue = {str(blend): _of_all(blend.metrics[0], lists, popularity) for blend in blends if not blend.per_user}
    return Evaluation(tuple(map(str, blends)), answer.parts, profile, table, catalogue)


def _columns(judged: Judged, parts: tuple[str, ...], metrics: list[Metric], by: Profile) -> dict[Key, Column]:
    columns: dict[Key, Column] = {}
    for part, name in [(None, ALL), *enumerate(parts)]:
        counts = judged.n_answers.sum(axis=0) if part is None else judged.n_answers[part]
        here = counts > 0
        weight = here.astype(np.float64)
        for metric in metrics:
            columns[name, metric] = _column(by.formula(metric.name), judged.cut(metric.k, part), here, weight)
    return columns


def _column(
    formula: Formula,
    cut: tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]],
    here: NDArray[np.bool_],
    weight: Values,
) -> Column:
    """The formula's numbers for those who have answers, spread over all people at weight 0 for the others."""
    hits, n_answers, length = cut
    found = formula(hits[here], n_answers[here], length[here])
    value = np.zeros(len(here))
    if not isinstance(found, Column):
        value[here] = found
        return Column(value, weight)
    own = np.zeros(len(here))
    value[here], own[here] = found.value, found.weight
    return Column(value, own)


def _of_all(metric: Metric, lists: TopK, popularity: NDArray[np.floating] | NDArray[np.integer] | None) -> float:
    n_items = len(lists.items)
    taken = count_taken(lists.item, metric.k, n_items)
    if popularity is None and metric.name not in NEEDS_POPULARITY:
        return CATALOGUE[metric.name](taken, np.empty(0))
    if popularity is None or len(popularity) != n_items:
        found = "no popularity was given" if popularity is None else f"popularity of {len(popularity)} items was given"
        raise DataError(str(metric), found, f"one number for each of {n_items} items", "Count the learn part's users.")
    return CATALOGUE[metric.name](taken, np.asarray(popularity, dtype=np.float64))


def _align(lists: TopK, answer: Answers) -> tuple[NDArray[np.int64], int]:
    """The row of the list of each row of the answers (−1 none), and how many lists belong to nobody there.

    Equal user columns mean the same rows, a list of somebody new (−1) belonging to whom the answers name there;
    otherwise codes decide.
    """
    for what, one, other in (("users", lists.users, answer.users), ("items", lists.items, answer.items)):
        if one is not other and one != other:
            raise DataError(
                "evaluate",
                f"lists and answers encode {what} differently ({len(one)} and {len(other)} ids)",
                "one vocabulary for both",
                "Make both from the same log.",
            )
    if len(lists) == len(answer) and bool(((lists.user == answer.user) | (lists.user < 0)).all()):
        return np.arange(len(answer)), 0
    for what, user in (("lists", lists.user), ("answers", answer.user)):
        if (user < 0).any():
            raise DataError("evaluate", f"{what} of new people (code −1)", "rows in one order", "Hand in all rows.")
        if len(np.unique(user)) != len(user):
            raise DataError("evaluate", f"{what} with a person twice", "one row a person", "Keep one of them.")
    place = np.full(len(answer.users) + 1, -1, dtype=np.int64)
    place[lists.user] = np.arange(len(lists))
    return place[answer.user], int((~np.isin(lists.user, answer.user)).sum())
