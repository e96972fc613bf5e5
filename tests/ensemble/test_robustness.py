"""Every row of a robustness table against `compare`, a subset made by hand, or the bootstrap draws."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from matinee.data import Histories, Targets, Vocabulary
from matinee.ensemble.analysis.robustness import HistoryStats, robustness
from matinee.errors import DataError, SpecError
from matinee.metrics import compare, evaluate
from matinee.metrics.bootstrap import draw
from matinee.topk import TopK

N_ITEMS, K, R = 30, 5, 300


def vocabulary(n: int) -> Vocabulary:
    return Vocabulary(pl.Series("id", np.arange(n, dtype=np.int64)))


def lists_of(item: np.ndarray, user: np.ndarray, n_users: int) -> TopK:
    score = np.tile(-np.arange(item.shape[1], dtype=np.float32), (len(item), 1))
    return TopK(user, item.astype(np.int32), score, vocabulary(n_users), vocabulary(N_ITEMS))


def example(
    seed: int, m: int = 80, parts: tuple[str, ...] = ("random", "last"), n_targets: tuple[int, ...] | None = None
):
    """Two sets of lists of different quality, which differs by part; rows in mixed order.

    `n_targets` is the number of targets of every user in each part; None means random, with zeros.
    """
    rng = np.random.default_rng(seed)
    user = rng.permutation(m).astype(np.int32)
    order = np.argsort(rng.random((m, N_ITEMS)), axis=1)
    counts = rng.integers(0, 4, (m, len(parts))) if n_targets is None else np.tile(n_targets, (m, 1))
    row, item, part = [], [], []
    preference = rng.normal(size=(m, N_ITEMS))
    for r in range(m):
        label = np.repeat(np.arange(len(parts)), counts[r])
        own = order[r, : len(label)]
        preference[r, own] += 1.0 + label
        row += [r] * len(own)
        item += own.tolist()
        part += label.tolist()
    targets = Targets.from_rows(
        vocabulary(m), vocabulary(N_ITEMS), user, np.array(row), np.array(item), np.array(part), parts
    )
    both = []
    for noise in (0.7, 1.2):
        seen = preference + rng.normal(scale=noise, size=preference.shape)
        both.append(lists_of(np.argsort(-seen, axis=1)[:, :K], user, m))
    return both, targets


def evaluations(lists, targets, metric="recall@5", profile="matinee"):
    return [evaluate(one, targets, [metric, "ndcg@5"], profile, resamples=R) for one in lists]


def histories_of(length: np.ndarray, last: np.ndarray, user: np.ndarray, n_users: int) -> Histories:
    """Histories with rows a day apart; the newest row is at `last`."""
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    back = np.repeat(offsets[1:], length) - 1 - np.arange(offsets[-1])
    time = (np.repeat(last, length) - 86_400 * back).astype(np.int64)
    return Histories(
        user, offsets, np.zeros(offsets[-1], dtype=np.int32), time, vocabulary(n_users), vocabulary(N_ITEMS)
    )


def of_view(found, view):
    return [row for row in found.rows if row.view == view]


def assert_equal(row, difference):
    assert (row.mean, row.low, row.high) == pytest.approx((difference.mean, difference.low, difference.high), abs=1e-12)
    assert (row.significant, row.n_users) == (difference.significant, difference.n)


@pytest.mark.parametrize("metric", ["recall@5", "0.75*recall@5+0.25*ndcg@5"])
@pytest.mark.parametrize("profile", ["matinee", "recommenders"])
@pytest.mark.parametrize("seed", [0, 1])
def test_all_users_and_single_parts_equal_compare(metric, profile, seed):
    lists, targets = example(seed)
    ours, theirs = evaluations(lists, targets, metric, profile)
    found = robustness(ours, theirs, metric, level=0.9)
    assert_equal(found.rows[0], compare(ours, theirs, metric, level=0.9))
    first, *_, last = of_view(found, "parts")
    assert (first.case, last.case) == ("random only", "last only")
    assert_equal(first, compare(ours.part("random"), theirs.part("random"), metric, level=0.9))
    assert_equal(last, compare(ours.part("last"), theirs.part("last"), metric, level=0.9))


def bootstrap_gains(one: np.ndarray, other: np.ndarray, included: np.ndarray) -> np.ndarray:
    """Mean difference over the `included` users in every replicate, from the counts of the draws."""
    out = np.empty(R)
    for b in range(R):
        count = np.zeros(len(included), dtype=np.int32)
        draw(count, np.uint64(0), b)
        out[b] = ((one - other) * count * included).sum() / (count * included).sum()
    return out


def table_values(evaluation, metric="recall@5"):
    """The metric of all users in the table (m,), 0 without targets, and whether they have targets."""
    included = evaluation.table.has_target[evaluation.part_name]
    value = np.zeros(len(included))
    value[included] = evaluation.per_user(metric)
    return value, included


def test_mixtures_against_the_bootstrap_draws():
    lists, targets = example(2)
    ours, theirs = evaluations(lists, targets)
    found = robustness(ours, theirs, "recall@5")
    by_part = {}
    for name in ours.parts:
        (one, included), (other, _) = table_values(ours.part(name)), table_values(theirs.part(name))
        by_part[name] = (one - other)[included].mean(), bootstrap_gains(one, other, included), included
    rows = of_view(found, "parts")
    for row, share in zip(rows, (0, 0.25, 0.5, 0.75, 1), strict=True):
        samples = (1 - share) * by_part["random"][1] + share * by_part["last"][1]
        assert row.mean == pytest.approx((1 - share) * by_part["random"][0] + share * by_part["last"][0])
        assert (row.low, row.high) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))
        assert row.positive == pytest.approx((samples > 0).mean())
    assert [row.case for row in rows[1:4]] == ["75% random, 25% last", "50% random, 50% last", "25% random, 75% last"]
    assert rows[2].n_users == (by_part["random"][2] | by_part["last"][2]).sum()
    (one, included), (other, _) = table_values(ours), table_values(theirs)
    assert found.rows[0].positive == pytest.approx((bootstrap_gains(one, other, included) > 0).mean())


def test_a_mixture_is_exact_for_equal_proportions():
    """One random and three last targets per user, hits per target: three quarters last equals the whole."""
    lists, targets = example(3, n_targets=(1, 3))
    found = robustness(*evaluations(lists, targets, profile="plain"), "recall@5")
    whole = found.rows[0]
    mixed = next(row for row in found.rows if row.case == "25% random, 75% last")
    assert (mixed.mean, mixed.low, mixed.high) == pytest.approx((whole.mean, whole.low, whole.high))
    assert mixed.significant == whole.significant


def test_three_parts_give_singles_and_pairs():
    lists, targets = example(4, parts=("a", "b", "c"))
    rows = of_view(robustness(*evaluations(lists, targets), "recall@5"), "parts")
    assert [row.case for row in rows[:4]] == ["a only", "b only", "c only", "75% a, 25% b"]
    assert len(rows) == 3 + 3 * 3
    assert rows[-1].case == "25% b, 75% c"
    assert rows[-1].mean == pytest.approx(0.25 * rows[1].mean + 0.75 * rows[2].mean)


def test_a_single_part_has_no_parts_view():
    lists, targets = example(5, parts=("last",))
    assert not of_view(robustness(*evaluations(lists, targets), "recall@5"), "parts")
    ours, theirs = evaluations(*example(5))
    assert not of_view(robustness(ours.part("last"), theirs.part("last"), "recall@5"), "parts")


def keep_targets(targets: Targets, keep: np.ndarray) -> Targets:
    """The same rows; rows not in `keep` (m,) lose their targets."""
    row = np.repeat(np.arange(len(targets)), targets.count)
    included = keep[row]
    vocabularies = targets.user, targets.users, targets.items
    return Targets.from_rows(
        vocabularies[1],
        vocabularies[2],
        vocabularies[0],
        row[included],
        targets.item[included],
        targets.part[included],
        targets.parts,
    )


@pytest.mark.parametrize("part", [None, "last"])
@pytest.mark.parametrize("seed", [6, 7])
def test_quarters_equal_evaluations_of_their_users(seed, part):
    """Means against an evaluation of the quarter's targets alone; users are matched by code, not by row."""
    lists, targets = example(seed)
    rng = np.random.default_rng(seed)
    length = rng.integers(0, 9, 80)
    last = 10**9 + 86_400 * rng.permutation(80)
    shuffled = rng.permutation(80)
    query = histories_of(length[shuffled], last[shuffled], targets.user[shuffled], 80)
    ours, theirs = evaluations(lists, targets)
    if part is not None:
        ours, theirs = ours.part(part), theirs.part(part)
    found = robustness(ours, theirs, "recall@5", HistoryStats.of(query, real_time=True))
    part_targets = targets if part is None else targets.select_part(part)
    for view, value, included in (("horizon", last, length > 0), ("history", length, length >= 0)):
        counts = included & (part_targets.count > 0)
        edges = [sorted(value[counts])[int(np.ceil(counts.sum() * q / 4)) - 1] for q in (1, 2, 3)]
        quarter = np.array([sum(v > edge for edge in edges) for v in value])
        rows = of_view(found, view)
        assert len(rows) == 4
        assert sum(row.n_users for row in rows) == counts.sum()
        for q, row in enumerate(rows):
            own = counts & (quarter == q)
            one, other = (evaluate(side, keep_targets(part_targets, own), ["recall@5"])["recall@5"] for side in lists)
            assert (row.n_users, row.mean) == (own.sum(), pytest.approx(one - other))
            if view == "horizon":
                ends = [datetime.fromtimestamp(t, UTC).date().isoformat() for t in sorted(value[own])]
                assert row.case == f"ends {ends[0]} to {ends[-1]}"
            else:
                span = sorted(set(value[own].tolist()))
                assert row.case == (f"{span[0]} to {span[-1]} items" if len(span) > 1 else f"{span[0]} items")


def test_a_quarter_uses_the_draws_of_a_part():
    """A part with the targets of a quarter of the users: same draws, same test."""
    lists, targets = example(8, parts=("all",))
    length = np.random.default_rng(8).permutation(80)
    ours, theirs = evaluations(lists, targets)
    rows = of_view(
        robustness(ours, theirs, "recall@5", HistoryStats.of(histories_of(length, length, targets.user, 80))), "history"
    )
    row = np.repeat(np.arange(80), targets.count)
    counts = targets.count > 0
    edge = sorted(length[counts])[int(np.ceil(counts.sum() / 4)) - 1]
    part = (length[row] > edge).astype(np.int64)
    vocabularies = targets.user, targets.users, targets.items
    relabelled = Targets.from_rows(
        vocabularies[1], vocabularies[2], vocabularies[0], row, targets.item, part, ("light", "others")
    )
    light = [one.part("light") for one in evaluations(lists, relabelled)]
    assert_equal(rows[0], compare(*light, "recall@5"))


def test_users_of_equal_value_share_a_quarter():
    lists, targets = example(9)
    length = np.where(np.arange(80) < 60, 3, 7)
    ours, theirs = evaluations(lists, targets)
    rows = of_view(
        robustness(ours, theirs, "recall@5", HistoryStats.of(histories_of(length, length, targets.user, 80))), "history"
    )
    counts = targets.count > 0
    assert [row.case for row in rows] == ["3 items", "7 items"]
    assert [row.n_users for row in rows] == [counts[:60].sum(), counts[60:].sum()]


@pytest.mark.parametrize("real_time", [False, None])
def test_without_real_times_there_is_no_horizon(real_time):
    lists, targets = example(10)
    query = histories_of(np.arange(80), np.arange(80), targets.user, 80)
    found = robustness(*evaluations(lists, targets), "recall@5", HistoryStats.of(query, real_time=real_time))
    assert {row.view for row in found.rows} == {"users", "parts", "history"}
    none = histories_of(np.zeros(80, dtype=np.int64), np.arange(80), targets.user, 80)
    found = robustness(*evaluations(lists, targets), "recall@5", HistoryStats.of(none, real_time=True))
    assert [row.view for row in found.rows if row.view in ("horizon", "history")] == ["history"]


def test_new_users_are_matched_by_code_or_position():
    lists, targets = example(11, n_targets=(1, 1))
    length = np.random.default_rng(11).permutation(80)
    named = histories_of(length, length, targets.user, 80)
    new = replace(named, user=np.full(80, -1, dtype=np.int32))
    ours, theirs = evaluations(lists, targets)
    expected = robustness(ours, theirs, "recall@5", HistoryStats.of(named)).rows
    assert robustness(ours, theirs, "recall@5", HistoryStats.of(new, targets.user)).rows == expected
    with pytest.raises(DataError, match="without some of the 80 users"):
        robustness(ours, theirs, "recall@5", HistoryStats.of(new))
    new_targets = replace(targets, user=new.user)
    new_lists = [lists_of(one.item, new.user, 80) for one in lists]
    found = robustness(*evaluations(new_lists, new_targets), "recall@5", HistoryStats.of(new)).rows
    assert [row.n_users for row in found] == [row.n_users for row in expected]
    assert [row.mean for row in found] == pytest.approx([row.mean for row in expected])


def test_identical_lists_have_no_significant_gain():
    lists, targets = example(12)
    ours, _ = evaluations(lists, targets, "0.7*recall@5+0.3*ndcg@5")
    for row in robustness(ours, ours, "0.7*recall@5+0.3*ndcg@5").rows:
        assert (row.mean, row.low, row.high, row.positive, row.significant) == (0.0, 0.0, 0.0, 0.0, False)


def test_other_users_are_refused():
    (one, _), targets = example(13)
    (other, _), others = example(14)
    ours, theirs = evaluations([one], targets)[0], evaluations([other], others)[0]
    with pytest.raises(DataError, match="not the same"):
        robustness(ours, theirs, "recall@5")
    with pytest.raises(SpecError, match="the same part"):
        robustness(ours, ours.part("last"), "recall@5")


def test_to_dict_is_json_and_text_is_aligned():
    lists, targets = example(15)
    query = histories_of(np.arange(80), 10**9 + np.arange(80) * 10**5, targets.user, 80)
    found = robustness(*evaluations(lists, targets), "recall@5", HistoryStats.of(query, real_time=True))
    table = found.to_dict()
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert set(table["rows"][0]) == {"view", "case", "n_users", "mean", "low", "high", "positive", "significant"}
    lines = found.text()
    assert lines[0] == "gain in recall@5, with 95% intervals"
    assert len(lines) == 3 + len(found.rows)
    assert [line.split()[0] for line in lines[3:]] == [row.view for row in found.rows]
    assert len({line.index("%") for line in lines[3:] if " only" in line or "all users" in line}) == 1
