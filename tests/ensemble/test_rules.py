"""Every rule against a slow twin written from its header, with loops over users and candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest

from matinee.ensemble import RULES, fuse
from matinee.ensemble.rule import PointRule, RoundRobinRule, Rule
from matinee.errors import SpecError
from tests.ensemble.pools import Listed, pool_of, random_lists, random_weights, slow_norm

Scores = dict[int, float]
Active = list[tuple[Listed, float]]
"""Lists of the members with weight above 0 for one user, with the weights."""


def places(row: Listed) -> dict[int, int]:
    return {item: rank for rank, (item, _) in enumerate(row, start=1)}


def candidates(active: Active) -> list[int]:
    return sorted({item for row, _ in active for item, _ in row})


def summed(active: Active, points: Callable[[Listed, int], float]) -> Scores:
    whole = sum(w for _, w in active)
    return {i: sum(w / whole * points(row, i) for row, w in active) for i in candidates(active)}


def by_rank(points: Callable[[int], float]) -> Callable[[Active], Scores]:
    return lambda active: summed(active, lambda row, i: points(places(row)[i]) if i in places(row) else 0.0)


def borda(active: Active) -> Scores:
    c = len(candidates(active))

    def points(row: Listed, item: int) -> float:
        own = places(row)
        points = c - own[item] + 1 if item in own else (c - len(row) + 1) / 2
        return points / c

    return summed(active, points)


def normed(norm: str) -> Callable[[Listed, int], float]:
    def points(row: Listed, item: int) -> float:
        values, missing = slow_norm(norm, [s for _, s in row])
        return values[places(row)[item] - 1] if item in places(row) else missing

    return points


def comb_sum(active: Active, norm: str) -> Scores:
    return summed(active, normed(norm))


def comb_mnz(active: Active, norm: str) -> Scores:
    return {i: value * sum(i in places(row) for row, _ in active) for i, value in summed(active, normed(norm)).items()}


def product(active: Active, norms: Sequence[str], floor: float) -> Scores:
    whole = sum(w for _, w in active)
    found = dict.fromkeys(candidates(active), 1.0)
    for (row, w), norm in zip(active, norms, strict=True):
        for i in found:
            value = max(normed(norm)(row, i), floor) if i in places(row) else floor
            found[i] *= value ** (w / whole)
    return {i: math.log(value) for i, value in found.items()}


def two_tier(top: int, reserve: int, points: float, slope: float) -> Callable[[int], float]:
    def of(r: int) -> float:
        tier = 1.0 if r <= top else points if r <= reserve else 0.0
        return tier * max(0.0, 1 - slope * (r - 1))

    return of


def round_robin(active: Active, turns: list[int], first: Sequence[int] = ()) -> Scores:
    """Each turn adds the member's first new item; then the members fill up in order."""
    order = list(first)
    lists = [[item for item, _ in row] for row, _ in active]
    for turn in turns:
        new = [item for item in lists[turn] if item not in order]
        order += new[:1]
    for own in lists:
        order += [item for item in own if item not in order]
    return {item: -float(position) for position, item in enumerate(order)}


def interleave(active: Active, depth: int) -> Scores:
    shares = [Fraction(int(w), int(sum(w for _, w in active))) for _, w in active]
    due, left, turns = [Fraction(0)] * len(shares), [depth] * len(shares), []
    while any(left):
        due = [d + s for d, s in zip(due, shares, strict=True)]
        here = max((a for a in range(len(due)) if left[a]), key=lambda a: (due[a], -a))
        due[here] -= sum(s for s, n in zip(shares, left, strict=True) if n)
        left[here] -= 1
        turns.append(here)
    return round_robin(active, turns)


def quota(active: Active, quotas: Sequence[int], k: int) -> Scores:
    if not quotas:
        whole = sum(int(w) for _, w in active)
        exact = [Fraction(k * int(w), whole) for _, w in active]
        quotas = [math.floor(x) for x in exact]
        rounded_up = sorted(range(len(exact)), key=lambda a: (quotas[a] - exact[a], a))[: k - sum(quotas)]
        quotas = [n + (a in rounded_up) for a, n in enumerate(quotas)]
    return round_robin(active, [a for a, n in enumerate(quotas) for _ in range(n)])


def consensus_first(active: Active, members: int | None, depth: int) -> Scores:
    min_lists = min(members or len(active), len(active))
    key = {}
    for i in candidates(active):
        ranks = [places(row)[i] for row, _ in active if i in places(row)]
        if len(ranks) >= min_lists:
            key[i] = (-len(ranks), sum(ranks), i)
    return round_robin(active, list(range(len(active))) * depth, sorted(key, key=lambda i: key[i]))


DEPTH = 6
CASES: list[tuple[str, dict, Callable[[Active, list[int]], Scores]]] = [
    ("borda", {}, lambda p, _: borda(p)),
    ("cascade", {}, lambda p, _: round_robin(p, [])),
    ("cascade", {"max_items": 2}, lambda p, _: round_robin(p, [a for a in range(len(p)) for _ in range(2)])),
    *[("comb_mnz", {"norm": n}, lambda p, _, n=n: comb_mnz(p, n)) for n in ("min_max", "rank", "softmax", "sigmoid")],
    *[
        ("comb_sum", {"norm": n}, lambda p, _, n=n: comb_sum(p, n))
        for n in ("min_max", "z_score", "rank", "softmax", "sigmoid")
    ],
    ("interleave", {}, lambda p, _: interleave(p, DEPTH)),
    ("linear_rank", {"top": 4}, lambda p, _: by_rank(lambda r: max(0, 4 - r + 1) / 4)(p)),
    ("linear_rank", {"top": 20}, lambda p, _: by_rank(lambda r: (20 - r + 1) / 20)(p)),
    ("dcg_points", {}, lambda p, _: by_rank(lambda r: 1 / math.log2(r + 1))(p)),
    ("product", {"floor": 0.05}, lambda p, _: product(p, ["min_max"] * len(p), 0.05)),
    (
        "product",
        {"norms": ("sigmoid", "softmax", "min_max", "rank"), "floor": 0.01},
        lambda p, members_of: product(p, [("sigmoid", "softmax", "min_max", "rank")[a] for a in members_of], 0.01),
    ),
    ("quota", {"k": 5}, lambda p, _: quota(p, (), 5)),
    ("quota", {"quotas": (2, 0, 1, 3)}, lambda p, members_of: quota(p, [(2, 0, 1, 3)[a] for a in members_of], 0)),
    ("rrf", {}, lambda p, _: by_rank(lambda r: 1 / (10 + r))(p)),
    ("rrf", {"k": 0}, lambda p, _: by_rank(lambda r: 1 / r)(p)),
    ("consensus_first", {}, lambda p, _: consensus_first(p, None, DEPTH)),
    ("consensus_first", {"members": 2}, lambda p, _: consensus_first(p, 2, DEPTH)),
    (
        "two_tier",
        {"top": 2, "reserve": 4, "worth": 0.4, "slope": 0.25},
        lambda p, _: by_rank(two_tier(2, 4, 0.4, 0.25))(p),
    ),
    ("two_tier", {"top": 1, "reserve": 3, "slope": 0.6}, lambda p, _: by_rank(two_tier(1, 3, 0.3, 0.6))(p)),
    ("top_n_vote", {"top": 3}, lambda p, _: by_rank(lambda r: float(r <= 3))(p)),
]


def test_every_rule_has_a_twin():
    assert {kind for kind, _, _ in CASES} == set(RULES.names())


@pytest.mark.parametrize(("kind", "options", "twin"), CASES, ids=[f"{k}-{n}" for n, (k, _, _) in enumerate(CASES)])
@pytest.mark.parametrize("seed", range(4))
def test_a_rule_equals_its_twin(kind, options, twin, seed):
    members, weights = random_lists(seed, members=4, n_users=15, depth=DEPTH), random_weights(seed, 4)
    rule = RULES.read({"kind": kind, **options}, "test")
    pool = pool_of(members, depth=DEPTH)
    scores = rule.scores(pool, weights)
    members_of = np.flatnonzero(weights).tolist()
    for r in range(len(pool)):
        own = slice(pool.offsets[r], pool.offsets[r + 1])
        found = dict(zip(pool.item[own].tolist(), scores[own].tolist(), strict=True))
        assert set(found) == {i for member in members for i, _ in member[r]}
        expected = twin([(members[a][r], float(weights[a])) for a in members_of], members_of)
        assert {i for i, s in found.items() if s > -np.inf} == set(expected)
        assert [found[i] for i in expected] == pytest.approx(list(expected.values()), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", [k for k in RULES.names() if issubclass(RULES.get(k), PointRule)])
def test_weights_per_user(kind):
    """User r under weights[r] has the list of common weights weights[r]."""
    members = random_lists(5, members=3)
    pool, rule = pool_of(members), RULES.get(kind)()
    weights = np.stack([random_weights(seed, 3) for seed in range(len(pool))])
    weights[4] = 0.0
    lists = fuse(rule, pool, weights, 5)
    for r in range(len(pool)):
        if r == 4:
            assert lists.item[r].tolist() == [-1] * 5
            continue
        alike = fuse(rule, pool, weights[r], 5)
        assert lists.item[r].tolist() == alike.item[r].tolist()
        np.testing.assert_array_equal(lists.score[r], alike.score[r])


@pytest.mark.parametrize("kind", RULES.names())
def test_invalid_weights_are_refused(kind):
    pool, rule = pool_of(random_lists(0)), RULES.get(kind)()
    for wrong in ([1.0, 2.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0], [np.inf, 1.0, 1.0], np.ones((2, 3)), [0.0] * 3):
        with pytest.raises(SpecError):
            fuse(rule, pool, wrong, 3)
    with pytest.raises(SpecError, match="at least 1"):
        fuse(rule, pool, None, 0)
    if issubclass(RULES.get(kind), RoundRobinRule):
        with pytest.raises(SpecError, match="weights per user"):
            fuse(rule, pool, np.ones((len(pool), 3)), 3)


@pytest.mark.parametrize("kind", RULES.names())
def test_empty_lists_give_empty_lists(kind):
    pool = pool_of([[[], []], [[], []]])
    assert fuse(RULES.get(kind)(), pool, None, 3).item.tolist() == [[-1] * 3] * 2


@pytest.mark.parametrize("kind", RULES.names())
def test_a_single_member_keeps_its_order(kind):
    """All ranks are within the tiers of the rule, and scores differ."""
    member = [[(i, 9.0 - p) for p, i in enumerate(row)] for row in ([5, 1, 7, 0], [2, 9], [])]
    options = {"product": {"floor": 1e-9}}.get(kind, {})
    lists = fuse(RULES.read({"kind": kind, **options}, "test"), pool_of([member]), None, 4)
    expected = (
        [[0, 1, 5, 7], [2, 9, -1, -1], [-1] * 4] if kind == "top_n_vote" else [[5, 1, 7, 0], [2, 9, -1, -1], [-1] * 4]
    )
    assert lists.item.tolist() == expected


def test_points_times_weights_are_the_scores():
    """Weighted points equal the rule's scores for rules without votes; Borda needs weights above 0."""
    for kind in RULES.names():
        rule: Rule = RULES.get(kind)()
        if isinstance(rule, PointRule) and not rule.by_votes:
            pool, weights = pool_of(random_lists(3)), np.array([0.5, 0.2, 0.3])
            np.testing.assert_allclose(weights @ rule.points(pool), rule.scores(pool, weights), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "n"), [({"norms": ("rank", "rank")}, 3), ({"norms": ("z_score",)}, 3), ({"norms": ("rank",) * 4}, 3)]
)
def test_product_refuses_other_numbers_of_norms(options, n):
    with pytest.raises(SpecError, match=f"norms .* for {n} members"):
        fuse(RULES.read({"kind": "product", **options}, "test"), pool_of(random_lists(0, members=n)), None, 3)


def test_quotas_are_one_per_member():
    with pytest.raises(SpecError, match=r"quotas \[1, 2\] for 3 members"):
        fuse(RULES.read({"kind": "quota", "quotas": (1, 2)}, "test"), pool_of(random_lists(0)), None, 3)


def test_equal_remainders_go_to_the_earlier_member():
    """1 : 4 : 4 of seven places are 7/9, 28/9, 28/9; 1 : 1 : 1 of four are 4/3 each, the first gets two."""
    lists = [[[(10 * a + p, -float(p)) for p in range(5)]] for a in range(3)]
    rule = RULES.read({"kind": "quota", "k": 4}, "test")
    assert fuse(rule, pool_of(lists, 40), [1, 1, 1], 4).item.tolist() == [[0, 1, 10, 20]]
    rule = RULES.read({"kind": "quota", "k": 7}, "test")
    assert fuse(rule, pool_of(lists, 40), [1, 4, 4], 7).item.tolist() == [[0, 10, 11, 12, 20, 21, 22]]


def test_remaining_members_continue_in_turn():
    """Under 8 : 1 : 1 the first list ends early; the other two share what remains."""
    lists = [[[(10 * a + p, -float(p)) for p in range(6)]] for a in range(3)]
    found = fuse(RULES.get("interleave")(), pool_of(lists, 40), [8, 1, 1], 18).item[0].tolist()
    assert [i for i in found if i < 10] == [0, 1, 2, 3, 4, 5]
    assert [i // 10 for i in found if i >= 10] == [1, 2] * 6


@pytest.mark.parametrize("weights", [(12, 3, 1), (8, 1, 4), (1, 9, 3)])
def test_remaining_members_keep_their_proportions(weights):
    """Lists without a common item, so that nothing is skipped: the order of names is the order of turns."""
    lists = [[[(10 * a + p, -float(p)) for p in range(9)]] for a in range(3)]
    found = fuse(RULES.get("interleave")(), pool_of(lists, 40, 9), weights, 27).item[0].tolist()
    expected = interleave([(own[0], float(w)) for own, w in zip(lists, weights, strict=True)], 9)
    assert found == sorted(expected, key=lambda i: -expected[i])
