"""Properties of every rule; new rules are tested without registration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.candidates.norms import NORMS
from matinee.ensemble import RULES, Rule, fuse
from matinee.ensemble.rule import PointRule, RoundRobinRule
from tests.ensemble.pools import pool_of, random_lists, random_weights

MEMBERS, DEPTH, K = 4, 6, 24
OPTIONS: dict[str, list[dict]] = {
    "borda": [{}],
    "cascade": [{}, {"max_items": 2}],
    "comb_mnz": [{"norm": n} for n in NORMS if n != "z_score"],
    "comb_sum": [{"norm": n} for n in NORMS],
    "linear_rank": [{}, {"top": 3}],
    "product": [{}, {"norms": ("sigmoid", "softmax", "min_max", "rank"), "floor": 0.1}],
    "quota": [{}, {"k": 3}, {"quotas": (3, 0, 1, 2)}],
    "consensus_first": [{}, {"members": 2}],
    "two_tier": [{"top": 2, "reserve": 4}, {"top": 2, "reserve": 4, "slope": 0.0}],
    "top_n_vote": [{}, {"top": 3}],
}
CLASSES = {kind: RULES.get(kind) for kind in RULES.names()}
CASES = [(kind, options) for kind in CLASSES for options in OPTIONS.get(kind, [{}])]
POINTS = [one for one in CASES if issubclass(CLASSES[one[0]], PointRule)]
TURNS = [one for one in CASES if issubclass(CLASSES[one[0]], RoundRobinRule)]
PER_MEMBER = ("norms", "quotas")

seeds = st.integers(0, 10**6)
few = settings(max_examples=5, deadline=None)  # of six users each


def rule_of(kind: str, options: dict, members: list[int] | None = None) -> Rule:
    """The rule of a kind; options per member are restricted to `members`."""
    own = dict(options)
    for name in PER_MEMBER:
        if members is not None and len(own.get(name, ())) > 1:
            own[name] = tuple(own[name][m] for m in members)
    return CLASSES[kind](**own)


def by_rule(cases):
    return pytest.mark.parametrize(("kind", "options"), cases, ids=[f"{k}-{n}" for n, (k, _) in enumerate(cases)])


@by_rule(POINTS)
@few
@given(seed=seeds)
def test_the_order_of_members_does_not_matter(kind, options, seed):
    members, weights = random_lists(seed, MEMBERS, depth=DEPTH), random_weights(seed, MEMBERS)
    order = np.random.default_rng([seed, 3]).permutation(MEMBERS).tolist()
    one = fuse(rule_of(kind, options), pool_of(members), weights, K)
    other = fuse(rule_of(kind, options, order), pool_of([members[m] for m in order]), weights[order], K)
    np.testing.assert_array_equal(one.item, other.item)
    np.testing.assert_allclose(one.score, other.score, rtol=1e-6, atol=1e-7)


@by_rule(CASES)
@few
@given(seed=seeds)
def test_weight_0_equals_leaving_out(kind, options, seed):
    """For the whole list, and for Borda too, where points depend on the number of candidates."""
    members, weights = random_lists(seed, MEMBERS, depth=DEPTH), random_weights(seed, MEMBERS)
    weights[seed % MEMBERS] = 0.0
    weights[(seed + 1) % MEMBERS] += 1.0
    active = np.flatnonzero(weights).tolist()
    one = fuse(rule_of(kind, options), pool_of(members), weights, K)
    other = fuse(rule_of(kind, options, active), pool_of([members[m] for m in active]), weights[active], K)
    np.testing.assert_array_equal(one.item, other.item)
    np.testing.assert_array_equal(one.score, other.score)


@by_rule(CASES)
@few
@given(seed=seeds, factor=st.sampled_from([0.125, 1 / 3, 0.7, 3.0, 10.0, 1e6]))
def test_only_proportions_of_weights_count(kind, options, seed, factor):
    pool, weights = pool_of(random_lists(seed, MEMBERS, depth=DEPTH)), random_weights(seed, MEMBERS)
    one, other = (fuse(rule_of(kind, options), pool, w, K) for w in (weights, factor * weights))
    np.testing.assert_array_equal(one.item, other.item)
    np.testing.assert_allclose(one.score, other.score, rtol=1e-6, atol=1e-7)


def dominated(members, weights, row: int) -> list[tuple[int, int]]:
    """(i, j): every active member that lists j lists i before it."""
    rows = [[i for i, _ in members[m][row]] for m in np.flatnonzero(weights)]
    listed = sorted({i for row in rows for i in row})
    return [
        (i, j) for j in listed for i in listed if i != j and all(i in row[: row.index(j)] for row in rows if j in row)
    ]


@by_rule(CASES)
@few
@given(seed=seeds)
def test_a_dominated_item_is_not_ranked_higher(kind, options, seed):
    members, weights = random_lists(seed, MEMBERS, items=9, depth=DEPTH), random_weights(seed, MEMBERS)
    pool = pool_of(members, 9)
    scores = rule_of(kind, options).scores(pool, weights)
    for r in range(len(pool)):
        own = slice(pool.offsets[r], pool.offsets[r + 1])
        found = dict(zip(pool.item[own].tolist(), scores[own].tolist(), strict=True))
        for i, j in dominated(members, weights, r):
            assert found[i] >= found[j], (r, i, j)
            if (kind, options) in TURNS:
                assert found[i] > found[j]


def test_dominated_items_are_not_rare():
    """Guards the test above: between 5 % and 50 % of the ordered pairs, on average."""
    fractions = []
    for seed in range(40):
        members, weights = random_lists(seed, MEMBERS, items=9, depth=DEPTH), random_weights(seed, MEMBERS)
        for r in range(len(members[0])):
            listed = {i for m in np.flatnonzero(weights) for i, _ in members[m][r]}
            if len(listed) > 1:
                fractions.append(len(dominated(members, weights, r)) / (len(listed) * (len(listed) - 1)))
    assert 0.05 < np.mean(fractions) < 0.5


@by_rule(CASES)
@few
@given(seed=seeds)
def test_every_listed_item_occurs_once(kind, options, seed):
    """Exactly the items of members with weight above 0, each once, best first, ties by item code."""
    members, weights = random_lists(seed, MEMBERS, depth=DEPTH), random_weights(seed, MEMBERS)
    lists = fuse(rule_of(kind, options), pool_of(members), weights, K)
    for r, (item, score) in enumerate(zip(lists.item.tolist(), lists.score.tolist(), strict=True)):
        expected = {i for m in np.flatnonzero(weights) for i, _ in members[m][r]}
        assert sorted(i for i in item if i >= 0) == sorted(expected)
        assert item[len(expected) :] == [-1] * (K - len(expected))
        pairs = [(-s, i) for s, i in zip(score, item, strict=True) if i >= 0]
        assert pairs == sorted(pairs)


@by_rule(CASES)
@few
@given(seed=seeds)
def test_other_users_do_not_matter(kind, options, seed):
    pool, weights = pool_of(random_lists(seed, MEMBERS, depth=DEPTH)), random_weights(seed, MEMBERS)
    some = np.array([1, 3, 4])
    one = fuse(rule_of(kind, options), pool, weights, K)
    other = fuse(rule_of(kind, options), pool.select_rows(some), weights, K)
    np.testing.assert_array_equal(one.item[some], other.item)
    np.testing.assert_array_equal(one.score[some], other.score)
