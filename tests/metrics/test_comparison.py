"""Intervals against theory, differences against pairs, corrections against worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lists_and_targets import lists_of, random_case, targets_of
from scipy import stats

from matinee.errors import DataError, SpecError, UnknownNameError
from matinee.metrics import compare, compare_all, evaluate, holm
from matinee.metrics.bootstrap import bootstrap_sums, draw
from matinee.metrics.comparison import paired_t
from matinee.metrics.user_values import bootstrap_means
from matinee.metrics.values import MetricValues

M = 400


def _examples(seed: int, shares: tuple[float, ...], n: int = M):
    """Evaluations on the same users; lists hit for a fraction of them, nested, so they correlate."""
    rng = np.random.default_rng(seed)
    target_items = targets_of({u: {1: 0, 2: 1} for u in range(n)}, ("random", "last"), n, 4)
    luck = rng.random(n)
    return [
        evaluate(
            lists_of({u: [1, 3] if luck[u] < share else [3, 0] for u in range(n)}, 2, n, 4),
            target_items,
            ["hit@2", "recall@2", "ndcg@2", "coverage@2"],
        )
        for share in shares
    ]


def _counts(seed: int, replicate: int, m: int) -> np.ndarray:
    count = np.zeros(m, dtype=np.int32)
    draw(count, np.uint64(seed), replicate)
    return count


@settings(deadline=None)
@given(st.integers(0, 2**63), st.integers(0, 10**6), st.integers(1, 300))
def test_a_replicate_draws_m_users(seed: int, b: int, m: int):
    count = _counts(seed, b, m)
    assert count.sum() == m
    assert (count >= 0).all()
    np.testing.assert_array_equal(count, _counts(seed, b, m))


def test_draws_are_uniform_and_independent():
    counts = np.array([_counts(0, b, 50) for b in range(4000)])
    assert stats.chisquare(counts.sum(axis=0)).pvalue > 1e-4
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.02)
    assert abs(np.corrcoef(counts[:-1].ravel(), counts[1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(counts[:, 0:-1:2].ravel(), counts[:, 1::2].ravel())[0, 1] + 1 / 49) < 0.015
    assert (_counts(0, 0, 50) != _counts(1, 0, 50)).any()


def test_sums_are_the_counts_times_the_rows():
    rows = np.random.default_rng(0).normal(size=(37, 5))
    expected = np.array([_counts(9, b, 37) @ rows for b in range(21)])
    np.testing.assert_allclose(bootstrap_sums(rows, 21, 9), expected, atol=1e-12)
    np.testing.assert_array_equal(bootstrap_sums(rows, 21, 9)[:5], bootstrap_sums(rows, 5, 9))
    np.testing.assert_array_equal(bootstrap_sums(rows, 21, 9)[:, 2], bootstrap_sums(rows[:, 2:3], 21, 9)[:, 0])


def test_a_ratio_is_resampled_as_a_ratio():
    rng = np.random.default_rng(1)
    value, weight = rng.random(60), rng.integers(0, 4, 60).astype(float)
    found = bootstrap_means([MetricValues(value, weight), MetricValues(value, np.ones(60))], 50, 3)
    for b in range(50):
        count = _counts(3, b, 60)
        assert found[b, 0] == pytest.approx((count * weight) @ value / (count @ weight))
        assert found[b, 1] == pytest.approx(count @ value / 60)


def test_intervals_match_the_normal_theory():
    rng = np.random.default_rng(0)
    value = rng.normal(0.3, 0.2, 5000)
    means = bootstrap_means([MetricValues(value, np.ones(5000))], 4000, 0)[:, 0]
    error = value.std(ddof=1) / np.sqrt(5000)
    assert means.std() == pytest.approx(error, rel=0.05)
    low, high = np.quantile(means, [0.025, 0.975])
    assert low == pytest.approx(value.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(value.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_cover_the_truth_at_their_level():
    rng = np.random.default_rng(2)
    inside = 0
    for trial in range(400):
        value = (rng.random(200) < 0.3).astype(float)
        low, high = np.quantile(bootstrap_means([MetricValues(value, np.ones(200))], 400, trial)[:, 0], [0.05, 0.95])
        inside += low <= 0.3 <= high
    assert 0.85 <= inside / 400 <= 0.94


def test_levels_nest():
    (one,) = _examples(0, (0.4,))
    low, high = one.interval("hit@2")
    wide = one.interval("hit@2", 0.99)
    assert wide[0] < low < one["hit@2"] < high < wide[1]
    assert one.interval("hit@2") == _examples(0, (0.4,))[0].interval("hit@2")


def test_identical_lists_do_not_differ():
    one, same = _examples(0, (0.4, 0.4))
    for profile_view in (one, same):
        found = compare(one, profile_view, "0.75*recall@2+0.25*ndcg@2")
        assert (found.mean, found.low, found.high, found.p, found.significant) == (0.0, 0.0, 0.0, 1.0, False)


def test_the_difference_is_paired():
    """The lists agree for nearly all users: the unpaired intervals overlap, the paired one is narrow."""
    one, other = _examples(0, (0.44, 0.40))
    found = compare(one, other, "hit@2")
    gain = one.per_user("hit@2") - other.per_user("hit@2")
    assert found.mean == pytest.approx(gain.mean())
    assert found.n == M
    error = gain.std(ddof=1) / np.sqrt(M)
    assert found.low == pytest.approx(gain.mean() - 1.96 * error, abs=0.25 * error)
    assert found.high == pytest.approx(gain.mean() + 1.96 * error, abs=0.25 * error)
    assert found.significant
    assert one.interval("hit@2")[0] < other.interval("hit@2")[1]
    assert found.p == pytest.approx(stats.ttest_rel(one.per_user("hit@2"), other.per_user("hit@2")).pvalue)
    back = compare(other, one, "hit@2")
    assert (back.mean, back.low, back.high) == pytest.approx((-found.mean, -found.high, -found.low))
    assert back.p == found.p


def test_the_interval_is_of_the_common_draws():
    one, other = _examples(3, (0.5, 0.3))
    found = compare(one, other, "recall@2", level=0.9)
    gain = one.per_user("recall@2") - other.per_user("recall@2")
    means = [_counts(0, b, M) @ gain / M for b in range(1000)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])))


def test_parts_are_compared_over_their_users():
    *_, topk, targets = random_case(11, n_users=40)
    *_, other, _ = random_case(12, n_users=40)
    one, two = (evaluate(lists, targets, ["ndcg@10"]).part("last") for lists in (topk, other))
    found = compare(one, two, "ndcg@10")
    assert found.n == one.n_users < len(targets)
    assert found.p == pytest.approx(stats.ttest_rel(one.per_user("ndcg@10"), two.per_user("ndcg@10")).pvalue)
    assert found.mean == pytest.approx((one.per_user("ndcg@10") - two.per_user("ndcg@10")).mean())


def test_a_ratio_is_compared_by_its_linearisation():
    *_, topk, targets = random_case(21, n_users=300)
    *_, other, _ = random_case(22, n_users=300)
    one, two = (evaluate(lists, targets, ["precision@10"], profile="implicit") for lists in (topk, other))
    found = compare(one, two, "precision@10")
    assert found.mean == pytest.approx(one["precision@10"] - two["precision@10"])
    spread = (found.high - found.low) / (2 * 1.96)
    by_t = abs(found.mean) / stats.t.isf(found.p / 2, found.n - 1)
    assert by_t == pytest.approx(spread, rel=0.1)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02, 0.021, 0.9]) == pytest.approx([0.06, 0.06, 0.9])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_the_step_down_rule_rejects(p: list[float]):
    adjusted = holm(p)
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert max(adjusted) <= 1.0
    for alpha in (0.01, 0.05, 0.2):
        rejected: set[int] = set()
        for step, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if p[i] * (len(p) - step) > alpha:
                break
            rejected.add(i)
        assert {i for i, a in enumerate(adjusted) if a <= alpha} == rejected


def test_all_against_the_best():
    one, two, three = _examples(0, (0.40, 0.44, 0.43))
    runs = {"ease": one, "vae": two, "pop": three}
    found = compare_all(runs, "hit@2")
    assert [(d.a, d.b) for d in found] == [("ease", "vae"), ("pop", "vae")]
    assert all(d.mean <= 0 for d in found)
    assert [d.p_adjusted for d in found] == holm([d.p for d in found])
    assert found[0].mean == compare(one, two, "hit@2").mean
    to = compare_all(runs, "hit@2", to="ease")
    assert [(d.a, d.b) for d in to] == [("vae", "ease"), ("pop", "ease")]
    assert all(d.mean > 0 for d in to)
    assert compare_all({"ease": one}, "hit@2") == []
    with pytest.raises(UnknownNameError, match="did you mean 'ease'"):
        compare_all(runs, "hit@2", to="esae")


def test_significance_uses_the_adjusted_p():
    one, two, *_ = examples = _examples(5, (0.40, 0.415, 0.41, 0.408, 0.404, 0.402))
    single = compare(two, one, "hit@2")
    family = compare_all({str(i): w for i, w in enumerate(examples)}, "hit@2", to="0")[0]
    assert single.p == family.p < 0.05 < family.p_adjusted
    assert (single.significant, family.significant) == (True, False)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30))
def test_paired_t(values: list[float]):
    difference = np.array(values)
    if difference.std() < 1e-6:
        return
    assert paired_t(difference) == pytest.approx(stats.ttest_1samp(difference, 0.0).pvalue, abs=1e-12)


def test_paired_t_of_nothing_to_test():
    assert paired_t(np.zeros(9)) == 1.0
    assert paired_t(np.array([0.3])) == 1.0
    assert paired_t(np.full(9, 0.25)) == 0.0


def test_incomparable_evaluations_are_refused():
    one, other = _examples(0, (0.4, 0.5))
    with pytest.raises(DataError, match="not the same"):
        compare(one, _examples(0, (0.4,), n=M - 1)[0], "hit@2")
    with pytest.raises(SpecError, match="the same part"):
        compare(one.part("last"), other, "hit@2")
    with pytest.raises(SpecError, match="one number from all lists"):
        compare(one, other, "coverage@2")
    *_, topk, targets = random_case(0)
    plain, default = (evaluate(topk, targets, ["ndcg@10"], profile=name) for name in ("plain", "matinee"))
    with pytest.raises(SpecError, match="one profile"):
        compare(plain, default, "ndcg@10")
