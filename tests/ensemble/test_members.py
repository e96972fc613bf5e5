"""Every number of a portrait against its slow definition: one person, one pair, one answer at a time."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.data import Targets, Vocabulary
from matinee.ensemble import RULES, CandidatePool, fuse
from matinee.ensemble.analysis import members as room
from matinee.ensemble.analysis.members import analyze_members
from matinee.ensemble.analysis.overlap import pairwise_overlap
from matinee.ensemble.objective import FusionObjective
from matinee.errors import DataError, SpecError
from matinee.metrics import compare, evaluate
from matinee.topk import TopK
from tests.ensemble.pools import some_of

N_ITEMS = 40


def words(n: int) -> Vocabulary:
    return Vocabulary(pl.Series("id", np.arange(n, dtype=np.int64)))


def lists_of(rows: list[list[int]], depth: int, n_items: int = N_ITEMS) -> TopK:
    item = np.full((len(rows), depth), -1, dtype=np.int32)
    score = np.full((len(rows), depth), -np.inf, dtype=np.float32)
    for r, row in enumerate(rows):
        item[r, : len(row)] = row
        score[r, : len(row)] = 1.0 / np.arange(1, len(row) + 1)
    return TopK(np.arange(len(rows), dtype=np.int32), item, score, words(len(rows)), words(n_items))


def answers_of(rows: list[list[int]], n_items: int = N_ITEMS) -> Targets:
    row = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    item = np.array([i for own in rows for i in own], dtype=np.int64)
    return Targets.from_rows(
        words(len(rows)), words(n_items), np.arange(len(rows), dtype=np.int32), row, item, item % 2, ("random", "last")
    )


def world(seed: int, m: int = 30, M: int = 4, depth: int = 8) -> tuple[dict[str, list[list[int]]], FusionObjective]:
    """Members that see a person's taste with more or less noise; short and empty lists, people without answers."""
    rng = np.random.default_rng(seed)
    taste = rng.gumbel(size=(m, N_ITEMS)) - 0.1 * np.arange(N_ITEMS)
    rows: dict[str, list[list[int]]] = {}
    for a in range(M):
        order = np.argsort(-(taste + rng.normal(scale=0.5 + 0.5 * a, size=taste.shape)), axis=1)
        size = [int(rng.choice([depth, depth, depth, 3, 0])) for _ in range(m)]
        rows[f"m{a}"] = [order[r, : size[r]].tolist() for r in range(m)]
    truth = np.argsort(-taste, axis=1)
    answers = [truth[r, : rng.integers(0, 7)].tolist() for r in range(m)]
    answers[0] = truth[0, :4].tolist()
    pool = CandidatePool.of({name: lists_of(own, depth) for name, own in rows.items()})
    return rows, FusionObjective(pool, answers_of(answers), "recall@5")


def rbo_slow(one: list[int], other: list[int], p: float) -> float:
    """Equation 32 of Webber, Moffat and Zobel (2010), term by term."""
    short, long = sorted((one, other), key=len)
    s, l = len(short), len(long)
    if s == 0:
        return 0.0
    X = [len(set(short[:d]) & set(long[:d])) for d in range(l + 1)]
    total = sum(X[d] / d * p**d for d in range(1, l + 1))
    total += sum(X[s] * (d - s) / (s * d) * p**d for d in range(s + 1, l + 1))
    return (1 - p) / p * total + ((X[l] - X[s]) / l + X[s] / s) * p**l


def shared_of(one: list[list[int]], other: list[list[int]], k: int, p: float) -> tuple[float, float, float]:
    depth = max(map(len, [*one, *other, [0]]))
    pool = CandidatePool.of({"a": lists_of(one, depth), "b": lists_of(other, depth)})
    length = np.array([lists.length for lists in pool.lists], dtype=np.int64)
    jaccard, rbo, people = pairwise_overlap(pool.offsets, pool.rank, length, (k, p), depth)[:, 0, 1]
    return jaccard, rbo, people


@pytest.mark.parametrize(
    ("one", "other", "rbo"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1.0),
        ([7], [7], 1.0),
        ([1, 2, 3], [4, 5, 6], 0.0),
        ([], [4, 5, 6], 0.0),
        # X = 0, 2: (1 − p)/p · (0 + 2/2 · p²) + 2/2 · p² = p(1 − p) + p² = p
        ([1, 2], [2, 1], 0.9),
        # s = 1, l = 2, X = 1, 1: (1 − p)/p · (p + p²/2 + 1·1/(1·2) · p²) + (0 + 1) p² = (1 − p)(1 + p) + p² = 1
        ([1], [1, 2], 1.0),
        # s = 1, l = 2, X = 0, 1: (1 − p)/p · p²/2 + (1/2 + 0) p² = p/2
        ([2], [1, 2], 0.45),
    ],
)
def test_rbo_by_hand(one, other, rbo):
    assert rbo_slow(one, other, 0.9) == pytest.approx(rbo, abs=1e-12)
    for pair in ((one, other), (other, one)):
        assert shared_of([pair[0]], [pair[1]], 2, 0.9)[1] == pytest.approx(rbo, abs=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 14), st.floats(0.05, 0.98))
@settings(max_examples=80, deadline=None)
def test_what_lists_share_is_counted_depth_by_depth(seed, depth, k, p):
    rng = np.random.default_rng(seed)
    one, other = ([rng.permutation(15)[: rng.integers(0, depth + 1)].tolist() for _ in range(9)] for _ in range(2))
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a or b]
    jaccard = sum(len(set(a[:k]) & set(b[:k])) / len(set(a[:k]) | set(b[:k])) for a, b in pairs)
    rbo = sum(rbo_slow(a, b, p) for a, b in pairs)
    assert shared_of(one, other, k, p) == pytest.approx((jaccard, rbo, len(pairs)), abs=1e-9)


@pytest.fixture(params=[0, 1, 2])
def case(request):
    rows, judge = world(request.param)
    popularity = np.random.default_rng(request.param).permutation(N_ITEMS) // 2
    weights = np.array([2.0, 1.0, 0.0, 0.5])
    return (
        rows,
        judge,
        popularity,
        weights,
        analyze_members(judge, RULES.get("rrf")(), weights, popularity, resamples=300),
    )


def slow_values(rows, judge) -> np.ndarray:
    """recall@5 of every member for everybody with answers: hits / min(5, answers)."""
    answers = [set(own.tolist()) for own in np.split(judge.target.item, judge.target.offsets[1:-1])]
    return np.array(
        [
            [len(set(own[r][:5]) & mine) / min(5, len(mine)) for r, mine in enumerate(answers) if mine]
            for own in rows.values()
        ]
    )


def test_members_alone_are_evaluated(case):
    rows, judge, _, weights, found = case
    for a, one in enumerate(found.members):
        alone = evaluate(judge.pool.lists[a], judge.target, ["recall@5", "coverage@5"], resamples=300)
        assert one.name == f"m{a}"
        assert one.weight == pytest.approx(weights[a] / 3.5)
        assert (one.mean, one.interval) == (alone["recall@5"], alone.interval("recall@5"))
        listed = {i for row in rows[one.name] for i in row[:5]}
        assert one.coverage == alone["coverage@5"] == len(listed) / N_ITEMS
    assert [one.mean for one in found.members] == pytest.approx(slow_values(rows, judge).mean(axis=1).tolist())


@pytest.mark.parametrize("kind", ["rrf", "borda", "comb_mnz", "comb_sum", "cascade", "interleave", "top_n_vote"])
def test_lists_without_a_member_hold_nothing_that_it_alone_names(kind):
    """Item by item: short lists stay short, and Borda counts the candidates of the others only."""
    _, judge = world(5)
    rule, weights = RULES.get(kind)(), np.array([2.0, 1.0, 0.0, 0.5])
    teams = [[0, 1, 3], [1, 3], [0, 3], [0, 1]]
    for lists, team in zip(room._leave_one_out(judge, rule, weights, 7), teams, strict=True):
        rebuilt = fuse(rule, some_of(judge.pool, team), weights[team], 7)
        np.testing.assert_array_equal(lists.item, rebuilt.item)
        assert (lists.length < 7).any()


@pytest.mark.parametrize("kind", ["rrf", "borda", "comb_mnz", "comb_sum", "cascade", "interleave", "top_n_vote"])
@pytest.mark.parametrize("block", [7, 1024])
def test_leaving_out_is_building_it_again_without(kind, block, monkeypatch):
    """With small lists the candidates of the left member are missed, and Borda counts them: nothing may remain."""
    monkeypatch.setattr(room, "BLOCK", block)
    _, judge = world(5)
    rule, weights = RULES.get(kind)(), np.array([2.0, 1.0, 0.0, 0.5])
    found = analyze_members(judge, rule, weights, np.arange(N_ITEMS), resamples=300)

    def built(members: list[int]):
        lists = fuse(rule, some_of(judge.pool, members), weights[members], 5)
        return evaluate(lists, judge.target, ["recall@5"], resamples=300)

    whole = built([0, 1, 3])
    assert (found.mean, found.interval) == (whole["recall@5"], whole.interval("recall@5"))
    assert found.members[2].gain is None
    differences = {a: compare(whole, built([b for b in (0, 1, 3) if b != a]), "recall@5") for a in (0, 1, 3)}
    raw = sorted(one.p for one in differences.values())
    for a, wanted in differences.items():
        gain = found.members[a].gain
        assert (gain.mean, gain.low, gain.high, gain.p) == (wanted.mean, wanted.low, wanted.high, wanted.p)
        stepped = max(min(1.0, (3 - i) * p) for i, p in enumerate(raw) if p <= wanted.p)
        assert gain.p_adjusted == pytest.approx(stepped)
        assert (not gain.significant) == (gain.low <= 0 <= gain.high or stepped >= 0.05)
        assert (gain.a, gain.b) == ("ensemble", f"without m{a}")


def test_knobs_a_member_survive_leaving_out():
    """The quotas and norms of those who stay are still theirs."""
    _, judge = world(6, M=3)
    found = analyze_members(judge, RULES.get("quota")(quotas=(2, 1, 2)), np.ones(3), np.arange(N_ITEMS), resamples=100)
    rest = fuse(RULES.get("quota")(quotas=(2, 2)), some_of(judge.pool, [0, 2]), None, 5)
    whole = fuse(RULES.get("quota")(quotas=(2, 1, 2)), judge.pool, None, 5)
    wanted = compare(*(evaluate(one, judge.target, ["recall@5"], resamples=100) for one in (whole, rest)), "recall@5")
    assert (found.members[1].gain.mean, found.members[1].gain.low) == (wanted.mean, wanted.low)
    analyze_members(
        judge, RULES.get("product")(norms=("sigmoid", "min_max", "softmax")), np.ones(3), np.arange(N_ITEMS)
    )


def test_best_members_person_by_person(case):
    rows, judge, _, _, found = case
    value = slow_values(rows, judge)
    best, wins, top = [0.0] * 4, [0] * 4, 0.0
    for person in value.T:
        most = max(person)
        top += most
        tied = [a for a in range(4) if person[a] == most]
        for a in tied if most > 0 else []:
            best[a] += 1 / len(tied)
            wins[a] += len(tied) == 1
    n = value.shape[1]
    assert found.people == n
    assert [one.best for one in found.members] == pytest.approx([b / n for b in best])
    assert [one.wins for one in found.members] == wins
    assert found.oracle.best == pytest.approx(top / n)


def test_popular_places_are_of_the_filled_ones(case):
    rows, _, popularity, _, found = case
    assert found.popular == 1  # 1 % of 40 items, rounded up
    first = max(range(N_ITEMS), key=lambda i: (popularity[i], -i))
    for one in found.members:
        places = [i for row in rows[one.name] for i in row[:5]]
        assert one.popular == pytest.approx(places.count(first) / len(places))


def test_most_popular_are_one_in_a_hundred_and_ties_go_by_code():
    assert np.flatnonzero(room.most_popular(np.full(250, 3))).tolist() == [0, 1, 2]
    assert np.flatnonzero(room.most_popular(np.arange(300))).tolist() == [297, 298, 299]


def test_pairs_person_by_person_and_answer_by_answer(case):
    rows, judge, _, _, found = case
    value = slow_values(rows, judge)
    pair_of = iter(found.pairs)
    answers = np.split(judge.target.item, judge.target.offsets[1:-1])
    hits = np.array([[i in own[r][:5] for r, mine in enumerate(answers) for i in mine] for own in rows.values()])
    for a in range(4):
        for b in range(a + 1, 4):
            pair = next(pair_of)
            assert (pair.one, pair.other) == (f"m{a}", f"m{b}")
            both = [(x, y) for x, y in zip(rows[pair.one], rows[pair.other], strict=True) if x or y]
            rbo = sum(rbo_slow(x, y, 0.9) for x, y in both) / len(both)
            jaccard = sum(len(set(x[:5]) & set(y[:5])) / len(set(x[:5]) | set(y[:5])) for x, y in both) / len(both)
            assert (pair.rbo, pair.jaccard) == pytest.approx((rbo, jaccard))
            assert pair.values == pytest.approx(np.corrcoef(value[a], value[b])[0, 1])
            assert pair.hits == pytest.approx(np.corrcoef(hits[a], hits[b])[0, 1])
    assert next(pair_of, None) is None
    assert found.oracle.found == pytest.approx(hits.any(axis=0).mean())
    assert found.oracle.every == pytest.approx(hits.all(axis=0).mean())


def test_only_those_asked_about_count():
    """A judge with an eye on some people is the portrait of a world without the others."""
    _, judge = world(9)
    asked = np.random.default_rng(0).random(30) < 0.6
    rows = np.flatnonzero(asked)
    each = np.random.default_rng(1).random((30, 4))
    answers = [own.tolist() for own in np.split(judge.target.item, judge.target.offsets[1:-1])]
    small_pool = judge.pool.select_rows(rows)
    few = Targets.from_rows(
        judge.target.users,
        judge.target.items,
        small_pool.user,
        np.repeat(np.arange(len(rows)), [len(answers[r]) for r in rows]),
        np.array([i for r in rows for i in answers[r]]),
        np.array([i % 2 for r in rows for i in answers[r]]),
        ("random", "last"),
    )
    rule = RULES.get("rrf")()
    one = analyze_members(judge.restrict(asked), rule, each, np.arange(N_ITEMS), resamples=100)
    other = analyze_members(
        FusionObjective(small_pool, few, "recall@5"), rule, each[rows], np.arange(N_ITEMS), resamples=100
    )
    assert one.to_dict() == other.to_dict()
    assert one.members[0].weight == pytest.approx((each[rows, 0] / each[rows].sum(axis=1)).mean())
    assert one.n_users == sum(bool(answers[r]) for r in rows)


def test_other_metrics_and_cuts():
    """A blend, another profile, and k beyond the lists."""
    rows, judge = world(3)
    other = FusionObjective(judge.pool, judge.target, "0.5*recall@5+0.5*ndcg@3", "plain")
    found = analyze_members(other, RULES.get("dcg_points")(), np.ones(4), np.arange(N_ITEMS), k=11, resamples=100)
    alone = evaluate(judge.pool.lists[1], judge.target, ["0.5*recall@5+0.5*ndcg@3"], "plain")
    assert found.members[1].mean == alone["0.5*recall@5+0.5*ndcg@3"]
    assert found.members[1].coverage == len({i for row in rows["m1"] for i in row}) / N_ITEMS
    assert found.k == 11


def test_said_is_json_and_text_is_aligned(case):
    found = case[-1]
    said = found.to_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["members"][2]["gain"] is None
    assert said["members"][0]["gain"]["significant"] == found.members[0].gain.significant
    assert said["oracle"]["best"] == found.oracle.best
    lines = found.text(pairs=4)
    table = lines[4:9]
    assert table[1].split()[0] == max(found.members, key=lambda one: one.mean).name
    assert {len(line) for line in table} == {len(table[0])}
    assert lines[-1] == "and 2 pairs less alike"
    assert "and" not in found.text()[-1]


def test_a_member_that_says_nothing_has_no_numbers_and_no_error():
    """Nothing listed: shares and correlations are not numbers, and are written as null."""
    rows, judge = world(4, M=2)
    empty = lists_of([[]] * 30, 8)
    pool = CandidatePool.of({"some": lists_of(rows["m0"], 8), "none": empty, "mute": empty})
    found = analyze_members(
        FusionObjective(pool, judge.target, "recall@5"), RULES.get("rrf")(), [1, 0, 0], np.arange(N_ITEMS)
    )
    none = found.members[1]
    assert (none.mean, none.best, none.wins, none.coverage, found.members[0].gain) == (0.0, 0.0, 0, 0.0, None)
    assert math.isnan(none.popular)
    said = found.to_dict()
    assert said["pairs"][0] == {
        "one": "some", "other": "none", "jaccard": 0.0, "rbo": 0.0, "values": None, "hits": None
    }  # fmt: skip
    assert said["pairs"][2]["rbo"] is None
    assert any("nan" in line for line in found.text()) is False


@pytest.mark.parametrize("weights", [[1.0, 1.0], [0.0] * 4, [1, 1, 1, -1], [[1.0] * 4] * 3])
def test_weights_of_the_wrong_shape_are_refused(weights):
    with pytest.raises(SpecError, match="for 4 members; expected one number"):
        analyze_members(world(0)[1], RULES.get("rrf")(), np.array(weights), np.arange(N_ITEMS))


def test_popularity_of_another_catalogue_is_refused():
    with pytest.raises(DataError, match="popularity of 7 items"):
        analyze_members(world(0)[1], RULES.get("rrf")(), np.ones(4), np.arange(7))


def test_members_with_equal_lists_are_one_line():
    rows, judge = world(5, M=2)
    lists = [lists_of(rows[name], 8) for name in ("m0", "m1", "m0")]
    pool = CandidatePool.of(dict(zip(("a", "b", "again"), lists, strict=True)))
    found = analyze_members(
        FusionObjective(pool, judge.target, "recall@5"), RULES.get("rrf")(), [1, 1, 1], np.arange(N_ITEMS)
    )
    assert found.copies == {"again": "a"}
    lines = found.text()
    assert "again has the same lists as a" in lines
    assert len([line for line in lines if line.startswith("again")]) == 1
    assert len(found.to_dict()["members"]) == 3
