"""Every row of a robustness table against `compare`, a world cut by hand, or the draws themselves."""

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


def words(n: int) -> Vocabulary:
    return Vocabulary(pl.Series("id", np.arange(n, dtype=np.int64)))


def lists_of(item: np.ndarray, user: np.ndarray, n_users: int) -> TopK:
    score = np.tile(-np.arange(item.shape[1], dtype=np.float32), (len(item), 1))
    return TopK(user, item.astype(np.int32), score, words(n_users), words(N_ITEMS))


def world(seed: int, m: int = 80, parts: tuple[str, ...] = ("random", "last"), held: tuple[int, ...] | None = None):
    """Two sets of lists that find a person's answers with different luck in each part; rows in mixed order.

    `held` is how many answers of each part everybody has; nothing means by chance, 0 included.
    """
    rng = np.random.default_rng(seed)
    user = rng.permutation(m).astype(np.int32)
    order = np.argsort(rng.random((m, N_ITEMS)), axis=1)
    counts = rng.integers(0, 4, (m, len(parts))) if held is None else np.tile(held, (m, 1))
    row, item, part = [], [], []
    taste = rng.normal(size=(m, N_ITEMS))
    for r in range(m):
        label = np.repeat(np.arange(len(parts)), counts[r])
        mine = order[r, : len(label)]
        taste[r, mine] += 1.0 + label
        row += [r] * len(mine)
        item += mine.tolist()
        part += label.tolist()
    answer = Targets.from_rows(words(m), words(N_ITEMS), user, np.array(row), np.array(item), np.array(part), parts)
    both = []
    for noise in (0.7, 1.2):
        seen = taste + rng.normal(scale=noise, size=taste.shape)
        both.append(lists_of(np.argsort(-seen, axis=1)[:, :K], user, m))
    return both, answer


def judged(lists, answer, metric="recall@5", profile="matinee"):
    return [evaluate(one, answer, [metric, "ndcg@5"], profile, resamples=R) for one in lists]


def histories_of(length: np.ndarray, last: np.ndarray, user: np.ndarray, n_users: int) -> Histories:
    """Everybody's rows a day apart; the newest at `last`."""
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    back = np.repeat(offsets[1:], length) - 1 - np.arange(offsets[-1])
    time = (np.repeat(last, length) - 86_400 * back).astype(np.int64)
    return Histories(user, offsets, np.zeros(offsets[-1], dtype=np.int32), time, words(n_users), words(N_ITEMS))


def of_view(found, view):
    return [row for row in found.rows if row.view == view]


def same(row, difference):
    assert (row.mean, row.low, row.high) == pytest.approx((difference.mean, difference.low, difference.high), abs=1e-12)
    assert (row.significant, row.n_users) == (difference.significant, difference.n)


@pytest.mark.parametrize("metric", ["recall@5", "0.75*recall@5+0.25*ndcg@5"])
@pytest.mark.parametrize("profile", ["matinee", "recommenders"])
@pytest.mark.parametrize("seed", [0, 1])
def test_everybody_and_parts_alone_are_comparisons(metric, profile, seed):
    lists, answer = world(seed)
    ours, theirs = judged(lists, answer, metric, profile)
    found = robustness(ours, theirs, metric, level=0.9)
    same(found.rows[0], compare(ours, theirs, metric, level=0.9))
    first, *_, last = of_view(found, "parts")
    assert (first.case, last.case) == ("random alone", "last alone")
    same(first, compare(ours.part("random"), theirs.part("random"), metric, level=0.9))
    same(last, compare(ours.part("last"), theirs.part("last"), metric, level=0.9))


def drawn_gains(one: np.ndarray, other: np.ndarray, here: np.ndarray) -> np.ndarray:
    """The mean difference of the people `here` in every replicate, from how often each is drawn."""
    out = np.empty(R)
    for b in range(R):
        count = np.zeros(len(here), dtype=np.int32)
        draw(count, np.uint64(0), b)
        out[b] = ((one - other) * count * here).sum() / (count * here).sum()
    return out


def spread(evaluation, metric="recall@5"):
    """The metric of everybody in the table (m,), 0 without answers, and who has answers."""
    here = evaluation.table.has_target[evaluation.part_name]
    value = np.zeros(len(here))
    value[here] = evaluation.per_user(metric)
    return value, here


def test_mixtures_and_shares_above_0_are_counted_draw_by_draw():
    lists, answer = world(2)
    ours, theirs = judged(lists, answer)
    found = robustness(ours, theirs, "recall@5")
    by_part = {}
    for name in ours.parts:
        (one, here), (other, _) = spread(ours.part(name)), spread(theirs.part(name))
        by_part[name] = (one - other)[here].mean(), drawn_gains(one, other, here), here
    rows = of_view(found, "parts")
    for row, share in zip(rows, (0, 0.25, 0.5, 0.75, 1), strict=True):
        drawn = (1 - share) * by_part["random"][1] + share * by_part["tail"][1]
        assert row.mean == pytest.approx((1 - share) * by_part["random"][0] + share * by_part["tail"][0])
        assert (row.low, row.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
        assert row.positive == pytest.approx((drawn > 0).mean())
    assert [row.case for row in rows[1:4]] == ["75% random, 25% tail", "50% random, 50% tail", "25% random, 75% tail"]
    assert rows[2].n_users == (by_part["random"][2] | by_part["tail"][2]).sum()
    (one, here), (other, _) = spread(ours), spread(theirs)
    assert found.rows[0].positive == pytest.approx((drawn_gains(one, other, here) > 0).mean())


def test_a_mixture_is_exact_where_it_says_so():
    """One random answer and three of the tail for everybody, hits over answers: three quarters tail is the whole."""
    lists, answer = world(3, held=(1, 3))
    found = robustness(*judged(lists, answer, profile="plain"), "recall@5")
    whole = found.rows[0]
    mixed = next(row for row in found.rows if row.case == "25% random, 75% tail")
    assert (mixed.mean, mixed.low, mixed.high) == pytest.approx((whole.mean, whole.low, whole.high))
    assert mixed.significant == whole.significant


def test_other_parts_are_taken_alone_and_two_by_two():
    lists, answer = world(4, parts=("a", "b", "c"))
    rows = of_view(robustness(*judged(lists, answer), "recall@5"), "parts")
    assert [row.case for row in rows[:4]] == ["a alone", "b alone", "c alone", "75% a, 25% b"]
    assert len(rows) == 3 + 3 * 3
    assert rows[-1].case == "25% b, 75% c"
    assert rows[-1].mean == pytest.approx(0.25 * rows[1].mean + 0.75 * rows[2].mean)


def test_one_part_or_a_part_already_taken_has_no_parts():
    lists, answer = world(5, parts=("last",))
    assert not of_view(robustness(*judged(lists, answer), "recall@5"), "parts")
    ours, theirs = judged(*world(5))
    assert not of_view(robustness(ours.part("last"), theirs.part("last"), "recall@5"), "parts")


def only(answer: Targets, keep: np.ndarray) -> Targets:
    """The same rows, those not kept (m,) without answers."""
    row = np.repeat(np.arange(len(answer)), answer.count)
    here = keep[row]
    return Targets.from_rows(
        answer.users, answer.items, answer.user, row[here], answer.item[here], answer.part[here], answer.parts
    )


@pytest.mark.parametrize("part", [None, "tail"])
@pytest.mark.parametrize("seed", [6, 7])
def test_quarters_are_worlds_of_their_people(seed, part):
    """Means against an evaluation of the quarter's answers alone, people found by code, not by row."""
    lists, answer = world(seed)
    rng = np.random.default_rng(seed)
    length = rng.integers(0, 9, 80)
    last = 10**9 + 86_400 * rng.permutation(80)
    shuffled = rng.permutation(80)
    asked = histories_of(length[shuffled], last[shuffled], answer.user[shuffled], 80)
    ours, theirs = judged(lists, answer)
    if part is not None:
        ours, theirs = ours.part(part), theirs.part(part)
    found = robustness(ours, theirs, "recall@5", HistoryStats.of(asked, real_time=True))
    mine = answer if part is None else answer.select_part(part)
    for view, value, there in (("horizon", last, length > 0), ("history", length, length >= 0)):
        counts = there & (mine.count > 0)
        edges = [sorted(value[counts])[int(np.ceil(counts.sum() * q / 4)) - 1] for q in (1, 2, 3)]
        quarter = np.array([sum(v > edge for edge in edges) for v in value])
        rows = of_view(found, view)
        assert len(rows) == 4
        assert sum(row.n_users for row in rows) == counts.sum()
        for q, row in enumerate(rows):
            own = counts & (quarter == q)
            one, other = (evaluate(side, only(mine, own), ["recall@5"])["recall@5"] for side in lists)
            assert (row.n_users, row.mean) == (own.sum(), pytest.approx(one - other))
            if view == "horizon":
                ends = [datetime.fromtimestamp(t, UTC).date().isoformat() for t in sorted(value[own])]
                assert row.case == f"ends {ends[0]} to {ends[-1]}"
            else:
                span = sorted(set(value[own].tolist()))
                assert row.case == (f"{span[0]} to {span[-1]} items" if len(span) > 1 else f"{span[0]} items")


def test_a_quarter_is_drawn_like_a_part():
    """A part whose answers are those of a quarter of the people: same draws, same test."""
    lists, answer = world(8, parts=("all",))
    length = np.random.default_rng(8).permutation(80)
    ours, theirs = judged(lists, answer)
    rows = of_view(
        robustness(ours, theirs, "recall@5", HistoryStats.of(histories_of(length, length, answer.user, 80))), "history"
    )
    row = np.repeat(np.arange(80), answer.count)
    counts = answer.count > 0
    edge = sorted(length[counts])[int(np.ceil(counts.sum() / 4)) - 1]
    part = (length[row] > edge).astype(np.int64)
    relabelled = Targets.from_rows(answer.users, answer.items, answer.user, row, answer.item, part, ("light", "others"))
    light = [one.part("light") for one in judged(lists, relabelled)]
    same(rows[0], compare(*light, "recall@5"))


def test_people_of_equal_value_share_a_quarter():
    lists, answer = world(9)
    length = np.where(np.arange(80) < 60, 3, 7)
    ours, theirs = judged(lists, answer)
    rows = of_view(
        robustness(ours, theirs, "recall@5", HistoryStats.of(histories_of(length, length, answer.user, 80))), "history"
    )
    counts = answer.count > 0
    assert [row.case for row in rows] == ["3 items", "7 items"]
    assert [row.n_users for row in rows] == [counts[:60].sum(), counts[60:].sum()]


@pytest.mark.parametrize("real_time", [False, None])
def test_without_real_times_there_is_no_horizon(real_time):
    lists, answer = world(10)
    asked = histories_of(np.arange(80), np.arange(80), answer.user, 80)
    found = robustness(*judged(lists, answer), "recall@5", HistoryStats.of(asked, real_time=real_time))
    assert {row.view for row in found.rows} == {"people", "parts", "history"}
    none = histories_of(np.zeros(80, dtype=np.int64), np.arange(80), answer.user, 80)
    found = robustness(*judged(lists, answer), "recall@5", HistoryStats.of(none, real_time=True))
    assert [row.view for row in found.rows if row.view in ("horizon", "history")] == ["history"]


def test_new_people_are_found_by_the_answers_codes_or_by_order():
    lists, answer = world(11, held=(1, 1))
    length = np.random.default_rng(11).permutation(80)
    named = histories_of(length, length, answer.user, 80)
    new = replace(named, user=np.full(80, -1, dtype=np.int32))
    ours, theirs = judged(lists, answer)
    wanted = robustness(ours, theirs, "recall@5", HistoryStats.of(named)).rows
    assert robustness(ours, theirs, "recall@5", HistoryStats.of(new, answer.user)).rows == wanted
    with pytest.raises(DataError, match="do not name all of 80"):
        robustness(ours, theirs, "recall@5", HistoryStats.of(new))
    nameless = replace(answer, user=new.user)
    unnamed = [lists_of(one.item, new.user, 80) for one in lists]
    found = robustness(*judged(unnamed, nameless), "recall@5", HistoryStats.of(new)).rows
    assert [row.n_users for row in found] == [row.n_users for row in wanted]
    assert [row.mean for row in found] == pytest.approx([row.mean for row in wanted])


def test_the_same_lists_gain_nothing_and_that_is_noise():
    lists, answer = world(12)
    ours, _ = judged(lists, answer, "0.7*recall@5+0.3*ndcg@5")
    for row in robustness(ours, ours, "0.7*recall@5+0.3*ndcg@5").rows:
        assert (row.mean, row.low, row.high, row.positive, row.significant) == (0.0, 0.0, 0.0, 0.0, False)


def test_other_people_are_refused():
    (one, _), answer = world(13)
    (other, _), others = world(14)
    ours, theirs = judged([one], answer)[0], judged([other], others)[0]
    with pytest.raises(DataError, match="who are not the same"):
        robustness(ours, theirs, "recall@5")
    with pytest.raises(SpecError, match="the same part"):
        robustness(ours, ours.part("last"), "recall@5")


def test_said_is_json_and_text_is_aligned():
    lists, answer = world(15)
    asked = histories_of(np.arange(80), 10**9 + np.arange(80) * 10**5, answer.user, 80)
    found = robustness(*judged(lists, answer), "recall@5", HistoryStats.of(asked, real_time=True))
    said = found.to_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert set(said["rows"][0]) == {"view", "case", "people", "mean", "low", "high", "positive", "significant"}
    lines = found.text()
    assert lines[0] == "gain in recall@5, with intervals of 95%"
    assert len(lines) == 3 + len(found.rows)
    assert [line.split()[0] for line in lines[3:]] == [row.view for row in found.rows]
    assert len({line.index("%") for line in lines[3:] if "alone" in line or "everybody" in line}) == 1
