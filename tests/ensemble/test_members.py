"""Every number of a member report against its slow definition: one user, one pair, one target at a time."""

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
from matinee.ensemble.analysis import members as analysis
from matinee.ensemble.analysis.members import analyze_members
from matinee.ensemble.analysis.overlap import pairwise_overlap
from matinee.ensemble.objective import FusionObjective
from matinee.errors import DataError, SpecError
from matinee.metrics import compare, evaluate
from matinee.topk import TopK
from tests.ensemble.pools import some_of

N_ITEMS = 40


def vocabulary(n: int) -> Vocabulary:
    return Vocabulary(pl.Series("id", np.arange(n, dtype=np.int64)))


def lists_of(rows: list[list[int]], depth: int, n_items: int = N_ITEMS) -> TopK:
    item = np.full((len(rows), depth), -1, dtype=np.int32)
    score = np.full((len(rows), depth), -np.inf, dtype=np.float32)
    for r, row in enumerate(rows):
        item[r, : len(row)] = row
        score[r, : len(row)] = 1.0 / np.arange(1, len(row) + 1)
    return TopK(np.arange(len(rows), dtype=np.int32), item, score, vocabulary(len(rows)), vocabulary(n_items))


def targets_of(rows: list[list[int]], n_items: int = N_ITEMS) -> Targets:
    row = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    item = np.array([i for own in rows for i in own], dtype=np.int64)
    vocabularies = np.arange(len(rows), dtype=np.int32), vocabulary(len(rows)), vocabulary(n_items)
    return Targets.from_rows(vocabularies[1], vocabularies[2], vocabularies[0], row, item, item % 2, ("random", "last"))


def example(seed: int, m: int = 30, M: int = 4, depth: int = 8) -> tuple[dict[str, list[list[int]]], FusionObjective]:
    """Members with different noise; short and empty lists, users without targets."""
    rng = np.random.default_rng(seed)
    preference = rng.gumbel(size=(m, N_ITEMS)) - 0.1 * np.arange(N_ITEMS)
    rows: dict[str, list[list[int]]] = {}
    for a in range(M):
        order = np.argsort(-(preference + rng.normal(scale=0.5 + 0.5 * a, size=preference.shape)), axis=1)
        size = [int(rng.choice([depth, depth, depth, 3, 0])) for _ in range(m)]
        rows[f"m{a}"] = [order[r, : size[r]].tolist() for r in range(m)]
    truth = np.argsort(-preference, axis=1)
    targets = [truth[r, : rng.integers(0, 7)].tolist() for r in range(m)]
    targets[0] = truth[0, :4].tolist()
    pool = CandidatePool.of({name: lists_of(own, depth) for name, own in rows.items()})
    return rows, FusionObjective(pool, targets_of(targets), "recall@5")


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


def overlap_of(one: list[list[int]], other: list[list[int]], k: int, p: float) -> tuple[float, float, float]:
    depth = max(map(len, [*one, *other, [0]]))
    pool = CandidatePool.of({"a": lists_of(one, depth), "b": lists_of(other, depth)})
    length = np.array([lists.length for lists in pool.lists], dtype=np.int64)
    jaccard, rbo, n_pairs = pairwise_overlap(pool.offsets, pool.rank, length, (k, p), depth)[:, 0, 1]
    return jaccard, rbo, n_pairs


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
        assert overlap_of([pair[0]], [pair[1]], 2, 0.9)[1] == pytest.approx(rbo, abs=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 14), st.floats(0.05, 0.98))
@settings(max_examples=80, deadline=None)
def test_overlap_against_counting_by_depth(seed, depth, k, p):
    rng = np.random.default_rng(seed)
    one, other = ([rng.permutation(15)[: rng.integers(0, depth + 1)].tolist() for _ in range(9)] for _ in range(2))
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a or b]
    jaccard = sum(len(set(a[:k]) & set(b[:k])) / len(set(a[:k]) | set(b[:k])) for a, b in pairs)
    rbo = sum(rbo_slow(a, b, p) for a, b in pairs)
    assert overlap_of(one, other, k, p) == pytest.approx((jaccard, rbo, len(pairs)), abs=1e-9)


@pytest.fixture(params=[0, 1, 2])
def case(request):
    rows, objective = example(request.param)
    popularity = np.random.default_rng(request.param).permutation(N_ITEMS) // 2
    weights = np.array([2.0, 1.0, 0.0, 0.5])
    return (
        rows,
        objective,
        popularity,
        weights,
        analyze_members(objective, RULES.get("rrf")(), weights, popularity, resamples=300),
    )


def slow_values(rows, objective) -> np.ndarray:
    """recall@5 of every member for all users with targets: hits / min(5, targets)."""
    targets = [set(own.tolist()) for own in np.split(objective.target.item, objective.target.offsets[1:-1])]
    return np.array(
        [
            [len(set(own[r][:5]) & held) / min(5, len(held)) for r, held in enumerate(targets) if held]
            for own in rows.values()
        ]
    )


def test_members_alone_are_evaluated(case):
    rows, objective, _, weights, found = case
    for a, one in enumerate(found.members):
        single = evaluate(objective.pool.lists[a], objective.target, ["recall@5", "coverage@5"], resamples=300)
        assert one.name == f"m{a}"
        assert one.weight == pytest.approx(weights[a] / 3.5)
        assert (one.mean, one.interval) == (single["recall@5"], single.interval("recall@5"))
        listed = {i for row in rows[one.name] for i in row[:5]}
        assert one.coverage == single["coverage@5"] == len(listed) / N_ITEMS
    assert [one.mean for one in found.members] == pytest.approx(slow_values(rows, objective).mean(axis=1).tolist())


@pytest.mark.parametrize("kind", ["rrf", "borda", "comb_mnz", "comb_sum", "cascade", "interleave", "top_n_vote"])
def test_lists_without_a_member_lack_its_items(kind):
    """Item by item: short lists stay short, and Borda counts only the candidates of the other members."""
    _, objective = example(5)
    rule, weights = RULES.get(kind)(), np.array([2.0, 1.0, 0.0, 0.5])
    subsets = [[0, 1, 3], [1, 3], [0, 3], [0, 1]]
    for lists, subset in zip(analysis._leave_one_out(objective, rule, weights, 7), subsets, strict=True):
        expected = fuse(rule, some_of(objective.pool, subset), weights[subset], 7)
        np.testing.assert_array_equal(lists.item, expected.item)
        assert (lists.length < 7).any()


@pytest.mark.parametrize("kind", ["rrf", "borda", "comb_mnz", "comb_sum", "cascade", "interleave", "top_n_vote"])
@pytest.mark.parametrize("block", [7, 1024])
def test_leaving_out_equals_rebuilding_without(kind, block, monkeypatch):
    """Borda counts candidates, so those of the excluded member must be removed."""
    monkeypatch.setattr(analysis, "BLOCK", block)
    _, objective = example(5)
    rule, weights = RULES.get(kind)(), np.array([2.0, 1.0, 0.0, 0.5])
    found = analyze_members(objective, rule, weights, np.arange(N_ITEMS), resamples=300)

    def rebuild(members: list[int]):
        lists = fuse(rule, some_of(objective.pool, members), weights[members], 5)
        return evaluate(lists, objective.target, ["recall@5"], resamples=300)

    whole = rebuild([0, 1, 3])
    assert (found.mean, found.interval) == (whole["recall@5"], whole.interval("recall@5"))
    assert found.members[2].gain is None
    differences = {a: compare(whole, rebuild([b for b in (0, 1, 3) if b != a]), "recall@5") for a in (0, 1, 3)}
    raw = sorted(one.p for one in differences.values())
    for a, expected in differences.items():
        gain = found.members[a].gain
        assert (gain.mean, gain.low, gain.high, gain.p) == (expected.mean, expected.low, expected.high, expected.p)
        stepped = max(min(1.0, (3 - i) * p) for i, p in enumerate(raw) if p <= expected.p)
        assert gain.p_adjusted == pytest.approx(stepped)
        assert (not gain.significant) == (gain.low <= 0 <= gain.high or stepped >= 0.05)
        assert (gain.a, gain.b) == ("ensemble", f"without m{a}")


def test_options_per_member_survive_leaving_out():
    """The other members keep their quotas and norms."""
    _, objective = example(6, M=3)
    found = analyze_members(
        objective, RULES.get("quota")(quotas=(2, 1, 2)), np.ones(3), np.arange(N_ITEMS), resamples=100
    )
    rest = fuse(RULES.get("quota")(quotas=(2, 2)), some_of(objective.pool, [0, 2]), None, 5)
    whole = fuse(RULES.get("quota")(quotas=(2, 1, 2)), objective.pool, None, 5)
    expected = compare(
        *(evaluate(one, objective.target, ["recall@5"], resamples=100) for one in (whole, rest)), "recall@5"
    )
    assert (found.members[1].gain.mean, found.members[1].gain.low) == (expected.mean, expected.low)
    analyze_members(
        objective, RULES.get("product")(norms=("sigmoid", "min_max", "softmax")), np.ones(3), np.arange(N_ITEMS)
    )


def test_best_members_user_by_user(case):
    rows, objective, _, _, found = case
    value = slow_values(rows, objective)
    best, wins, top = [0.0] * 4, [0] * 4, 0.0
    for user in value.T:
        highest = max(user)
        top += highest
        tied = [a for a in range(4) if user[a] == highest]
        for a in tied if highest > 0 else []:
            best[a] += 1 / len(tied)
            wins[a] += len(tied) == 1
    n = value.shape[1]
    assert found.n_users == n
    assert [one.best for one in found.members] == pytest.approx([b / n for b in best])
    assert [one.wins for one in found.members] == wins
    assert found.oracle.best == pytest.approx(top / n)


def test_popular_share_counts_listed_items(case):
    rows, _, popularity, _, found = case
    assert found.popular == 1  # 1 % of 40 items, rounded up
    first = max(range(N_ITEMS), key=lambda i: (popularity[i], -i))
    for one in found.members:
        places = [i for row in rows[one.name] for i in row[:5]]
        assert one.popular == pytest.approx(places.count(first) / len(places))


def test_most_popular_is_one_percent_with_ties_by_code():
    assert np.flatnonzero(analysis.most_popular(np.full(250, 3))).tolist() == [0, 1, 2]
    assert np.flatnonzero(analysis.most_popular(np.arange(300))).tolist() == [297, 298, 299]


def test_pairs_user_by_user_and_target_by_target(case):
    rows, objective, _, _, found = case
    value = slow_values(rows, objective)
    pair_of = iter(found.pairs)
    targets = np.split(objective.target.item, objective.target.offsets[1:-1])
    hits = np.array([[i in own[r][:5] for r, held in enumerate(targets) for i in held] for own in rows.values()])
    for a in range(4):
        for b in range(a + 1, 4):
            pair = next(pair_of)
            assert (pair.a, pair.b) == (f"m{a}", f"m{b}")
            both = [(x, y) for x, y in zip(rows[pair.a], rows[pair.b], strict=True) if x or y]
            rbo = sum(rbo_slow(x, y, 0.9) for x, y in both) / len(both)
            jaccard = sum(len(set(x[:5]) & set(y[:5])) / len(set(x[:5]) | set(y[:5])) for x, y in both) / len(both)
            assert (pair.rbo, pair.jaccard) == pytest.approx((rbo, jaccard))
            assert pair.metric_corr == pytest.approx(np.corrcoef(value[a], value[b])[0, 1])
            assert pair.hits == pytest.approx(np.corrcoef(hits[a], hits[b])[0, 1])
    assert next(pair_of, None) is None
    assert found.oracle.any_member == pytest.approx(hits.any(axis=0).mean())
    assert found.oracle.all_members == pytest.approx(hits.all(axis=0).mean())


def test_only_selected_users_count():
    """A restricted objective gives the report of a data set without the other users."""
    _, objective = example(9)
    selected = np.random.default_rng(0).random(30) < 0.6
    rows = np.flatnonzero(selected)
    each = np.random.default_rng(1).random((30, 4))
    targets = [own.tolist() for own in np.split(objective.target.item, objective.target.offsets[1:-1])]
    small_pool = objective.pool.select_rows(rows)
    few = Targets.from_rows(
        objective.target.users,
        objective.target.items,
        small_pool.user,
        np.repeat(np.arange(len(rows)), [len(targets[r]) for r in rows]),
        np.array([i for r in rows for i in targets[r]]),
        np.array([i % 2 for r in rows for i in targets[r]]),
        ("random", "last"),
    )
    rule = RULES.get("rrf")()
    one = analyze_members(objective.restrict(selected), rule, each, np.arange(N_ITEMS), resamples=100)
    other = analyze_members(
        FusionObjective(small_pool, few, "recall@5"), rule, each[rows], np.arange(N_ITEMS), resamples=100
    )
    assert one.to_dict() == other.to_dict()
    assert one.members[0].weight == pytest.approx((each[rows, 0] / each[rows].sum(axis=1)).mean())
    assert one.n_users == sum(bool(targets[r]) for r in rows)


def test_other_metrics_and_cuts():
    """A weighted metric, another profile, and k above the list length."""
    rows, objective = example(3)
    other = FusionObjective(objective.pool, objective.target, "0.5*recall@5+0.5*ndcg@3", "plain")
    found = analyze_members(other, RULES.get("dcg_points")(), np.ones(4), np.arange(N_ITEMS), k=11, resamples=100)
    single = evaluate(objective.pool.lists[1], objective.target, ["0.5*recall@5+0.5*ndcg@3"], "plain")
    assert found.members[1].mean == single["0.5*recall@5+0.5*ndcg@3"]
    assert found.members[1].coverage == len({i for row in rows["m1"] for i in row}) / N_ITEMS
    assert found.k == 11


def test_to_dict_is_json_and_text_is_aligned(case):
    found = case[-1]
    table = found.to_dict()
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert table["members"][2]["gain"] is None
    assert table["members"][0]["gain"]["significant"] == found.members[0].gain.significant
    assert table["oracle"]["best"] == found.oracle.best
    lines = found.text(pairs=4)
    rows = lines[4:9]
    assert rows[1].split()[0] == max(found.members, key=lambda one: one.mean).name
    assert {len(line) for line in rows} == {len(rows[0])}
    assert lines[-1] == "and 2 less similar pairs"
    assert "and" not in found.text()[-1]


def test_a_member_without_items_has_nan():
    """Without listed items shares and correlations are NaN, written as null."""
    rows, objective = example(4, M=2)
    empty = lists_of([[]] * 30, 8)
    pool = CandidatePool.of({"some": lists_of(rows["m0"], 8), "none": empty, "mute": empty})
    found = analyze_members(
        FusionObjective(pool, objective.target, "recall@5"), RULES.get("rrf")(), [1, 0, 0], np.arange(N_ITEMS)
    )
    none = found.members[1]
    assert (none.mean, none.best, none.wins, none.coverage, found.members[0].gain) == (0.0, 0.0, 0, 0.0, None)
    assert math.isnan(none.popular)
    table = found.to_dict()
    assert table["pairs"][0] == {
        "a": "some", "b": "none", "jaccard": 0.0, "rbo": 0.0, "metric_corr": None, "hits": None
    }  # fmt: skip
    assert table["pairs"][2]["rbo"] is None
    assert any("nan" in line for line in found.text()) is False


@pytest.mark.parametrize("weights", [[1.0, 1.0], [0.0] * 4, [1, 1, 1, -1], [[1.0] * 4] * 3])
def test_weights_of_the_wrong_shape_are_refused(weights):
    with pytest.raises(SpecError, match="for 4 members; expected one number"):
        analyze_members(example(0)[1], RULES.get("rrf")(), np.array(weights), np.arange(N_ITEMS))


def test_popularity_of_another_catalogue_is_refused():
    with pytest.raises(DataError, match="popularity of 7 items"):
        analyze_members(example(0)[1], RULES.get("rrf")(), np.ones(4), np.arange(7))


def test_identical_members_are_one_line():
    rows, objective = example(5, M=2)
    lists = [lists_of(rows[name], 8) for name in ("m0", "m1", "m0")]
    pool = CandidatePool.of(dict(zip(("a", "b", "again"), lists, strict=True)))
    found = analyze_members(
        FusionObjective(pool, objective.target, "recall@5"), RULES.get("rrf")(), [1, 1, 1], np.arange(N_ITEMS)
    )
    assert found.copies == {"again": "a"}
    lines = found.text()
    assert "again has the same lists as a" in lines
    assert len([line for line in lines if line.startswith("again")]) == 1
    assert len(found.to_dict()["members"]) == 3
