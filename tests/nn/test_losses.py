"""Every loss against arithmetic written out in NumPy, its gradient against differences, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from matinee.nn import losses

LISTS = sorted(losses.LOSSES)


def lists(seed: int = 0, b: int = 4, n: int = 7):
    """Scores (b, n), and who took what as a matrix and as pairs; the last row took nothing."""
    rng = np.random.default_rng(seed)
    x = rng.random((b, n)) < 0.4
    x[0, :2], x[-1] = True, False
    row, item = np.nonzero(x)
    scores = rng.normal(scale=2, size=(b, n))
    return scores, x.astype(float), torch.from_numpy(row), torch.from_numpy(item)


def draws(seed: int = 1, b: int = 5, m: int = 3):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=b)), torch.from_numpy(rng.normal(size=(b, m)))


def sigma(x):
    return 1 / (1 + np.exp(-x))


def by_hand(name, s, x):
    p = sigma(s)
    if name == "multinomial":
        return -(x * np.log(np.exp(s) / np.exp(s).sum(axis=1, keepdims=True))).sum(axis=1)
    if name == "bce":
        return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)
    if name == "focal":
        return -(0.25 * x * (1 - p) ** 2 * np.log(p) + 0.75 * (1 - x) * p**2 * np.log(1 - p)).sum(axis=1)
    return ((x - s) ** 2).sum(axis=1)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("seed", range(3))
def test_lists_are_the_arithmetic(name, seed):
    s, x, row, item = lists(seed)
    made = losses.LOSSES[name](torch.from_numpy(s), row, item)
    np.testing.assert_allclose(made.numpy(), by_hand(name, s, x), rtol=1e-10)


@pytest.mark.parametrize("name", LISTS)
def test_gradients_of_lists_are_the_differences(name):
    s, _, row, item = lists(3)
    scores = torch.from_numpy(s).requires_grad_()
    weight = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)  # each row's gradient by its own factor
    assert torch.autograd.gradcheck(lambda t: losses.LOSSES[name](t, row, item) * weight, (scores,))


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("size", [80.0, 1e4])
def test_large_logits_stay_finite_and_exact(name, size):
    """Where every answer is wrong the loss is linear in the logits (quadratic for mse), and so are gradients finite."""
    scores = torch.tensor([[size, -size, 0.0]], dtype=torch.float32, requires_grad=True)
    row, item = torch.tensor([0]), torch.tensor([1])
    loss = losses.LOSSES[name](scores, row, item)
    wanted = {
        "multinomial": 2 * size,
        "bce": 2 * size + math.log(2),
        "focal": size + 0.75 * 0.25 * math.log(2),
        "mse": size**2 + (1 + size) ** 2,
    }
    assert loss.item() == pytest.approx(wanted[name], rel=1e-5)
    loss.sum().backward()
    assert torch.isfinite(scores.grad).all()


def test_uniform_logits_cost_log_n_an_item():
    made = losses.multinomial(torch.full((2, 9), 3.7), torch.tensor([0, 0, 0, 1]), torch.tensor([0, 4, 8, 2]))
    np.testing.assert_allclose(made.numpy(), [3 * math.log(9), math.log(9)], rtol=1e-6)


def test_multinomial_of_one_item_is_softmax():
    s, *_ = lists(4)
    scores, item = torch.from_numpy(s), torch.tensor([0, 6, 2, 2])
    np.testing.assert_allclose(losses.multinomial(scores, torch.arange(4), item), losses.softmax(scores, item))


def test_focal_without_focus_is_half_of_bce():
    s, _, row, item = lists(5)
    scores = torch.from_numpy(s)
    np.testing.assert_allclose(losses.focal(scores, row, item, 0.5, 0.0), losses.bce(scores, row, item) / 2)


def test_bpr_is_the_arithmetic():
    s, t = draws()
    wanted = -np.log(sigma(s.numpy()[:, None] - t.numpy())).mean(axis=1)
    np.testing.assert_allclose(losses.bpr(s, t), wanted)
    assert losses.bpr(torch.tensor([-200.0]), torch.tensor([[200.0]])).item() == pytest.approx(400.0)


@pytest.mark.parametrize(("t", "rate"), [(0.0, 0.3), (0.75, 0.3), (1.0, 0.3), (0.5, 1.0)])
def test_gbce_is_the_papers_beta(t, rate):
    s, neg = draws()
    beta = rate * (t * (1 - 1 / rate) + 1 / rate)
    wanted = -(beta * np.log(sigma(s.numpy())) + np.log(1 - sigma(neg.numpy())).sum(axis=1))
    np.testing.assert_allclose(losses.gbce(s, neg, t, rate), wanted)


def test_gbce_uncalibrated_is_bce_and_with_all_negatives_too():
    s, neg = draws()
    np.testing.assert_allclose(losses.gbce(s, neg, 0.0, 0.01), losses.sampled_bce(s, neg))
    np.testing.assert_allclose(losses.gbce(s, neg, 1.0, 1.0), losses.sampled_bce(s, neg))
    scores = torch.cat([s[:, None], neg], dim=1)
    np.testing.assert_allclose(
        losses.sampled_bce(s, neg), losses.bce(scores, torch.arange(5), torch.zeros(5, dtype=torch.long))
    )


def test_sampled_softmax_with_every_other_item_is_softmax():
    s, neg = draws(m=6)
    scores = torch.cat([s[:, None], neg], dim=1)
    wanted = losses.softmax(scores, torch.zeros(5, dtype=torch.long))
    np.testing.assert_allclose(losses.sampled_softmax(s, neg, torch.zeros_like(neg)), wanted)
    barred = torch.tensor([[0.0] * 5 + [math.inf]] * 5)
    np.testing.assert_allclose(
        losses.sampled_softmax(s, neg, barred), losses.softmax(scores[:, :6], torch.zeros(5, dtype=torch.long))
    )


def test_the_sampled_sum_is_the_whole_sum_in_expectation():
    """Over all ordered draws of m = 2 from the law q: the mean of the corrected sum is Σ e^s over all negatives."""
    s, neg = np.array([0.3]), np.array([1.2, -0.4, 2.0])
    q, m = np.array([0.2, 0.5, 0.3]), 2
    total = 0.0
    for i in range(3):
        for j in range(3):
            pair = [i, j]
            expected = torch.from_numpy(np.log(m * q[pair]))[None]
            loss = losses.sampled_softmax(torch.from_numpy(s), torch.from_numpy(neg[pair])[None], expected)
            total += q[i] * q[j] * math.exp(loss.item() + s[0])
    assert total == pytest.approx(np.exp(s).sum() + np.exp(neg).sum())


def test_ccl_is_the_arithmetic():
    made = losses.ccl(torch.tensor([0.9, -0.2]), torch.tensor([[0.5, 0.95], [-1.0, 0.4]]), 0.4, 10.0)
    np.testing.assert_allclose(made, [0.1 + 10 * (0.1 + 0.55) / 2, 1.2], rtol=1e-6)


@pytest.mark.parametrize("name", ["bpr", "gbce", "sampled_softmax", "kl"])
def test_gradients_of_draws_are_the_differences(name):
    s, neg = draws()
    s.requires_grad_(), neg.requires_grad_()
    more = {"bpr": (), "gbce": (0.75, 0.2), "sampled_softmax": (torch.rand(5, 3, dtype=torch.float64),)}
    if name == "kl":
        assert torch.autograd.gradcheck(losses.kl, (neg, (neg * 2 - 1).detach().requires_grad_()))
    else:
        assert torch.autograd.gradcheck(lambda a, b: getattr(losses, name)(a, b, *more[name]), (s, neg))


def test_kl_is_the_mean_log_ratio_of_many_draws():
    rng = np.random.default_rng(0)
    mean, log_variance = np.array([0.7, -1.1]), np.array([0.4, -0.9])
    z = mean + np.exp(log_variance / 2) * rng.normal(size=(400_000, 2))
    ratio = (-0.5 * (log_variance + (z - mean) ** 2 / np.exp(log_variance)) + 0.5 * z**2).sum(axis=1)
    made = losses.kl(torch.tensor(mean)[None], torch.tensor(log_variance)[None]).item()
    assert abs(made - ratio.mean()) < 4 * ratio.std() / len(z) ** 0.5
    assert losses.kl(torch.zeros(3, 4), torch.zeros(3, 4)).tolist() == [0, 0, 0]


def test_annealing_is_a_straight_line_up_to_the_cap():
    made = [losses.linear_anneal(now, 20.0, 0.2) for now in (0.0, 5.0, 10.0, 19.999, 20.0, 21.0, 1e9)]
    np.testing.assert_allclose(made, [0.0, 0.05, 0.1, 0.19999, 0.2, 0.2, 0.2])
    assert losses.linear_anneal(0.0, 0.0, 0.3) == 0.3


@pytest.mark.parametrize("seed", range(3))
def test_cosine_is_the_distance_of_the_directions(seed):
    s, x, row, item = lists(seed)
    x, row, item = x[:-1], row[row < 3], item[row < 3]
    apart = x / np.linalg.norm(x, axis=1, keepdims=True) - s[:-1] / np.linalg.norm(s[:-1], axis=1, keepdims=True)
    made = losses.cosine(torch.from_numpy(s[:-1]), row, item)
    np.testing.assert_allclose(made, (apart**2).sum(axis=1), rtol=1e-10)


def test_gradients_of_cosine_are_the_differences():
    s, _, row, item = lists(3)
    scores = torch.from_numpy(s).requires_grad_()
    weight = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda t: losses.cosine(t, row, item) * weight, (scores,))


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_cosine_asks_for_no_length(size):
    """Scores as taken, turned round and at a right angle, of any size float32 holds."""
    scores = size * torch.tensor([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0], [1.0, -1.0, 5.0]])
    made = losses.cosine(scores, torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 1] * 3))
    np.testing.assert_allclose(made, [0.0, 4.0, 2.0], atol=1e-6)


def test_cosine_with_nothing_is_zero_and_its_gradient_finite():
    scores = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], requires_grad=True)
    made = losses.cosine(scores, torch.tensor([0, 0]), torch.tensor([0, 2]))
    assert made.tolist() == [2.0, 2.0, 2.0]
    made.sum().backward()
    wanted = [[-math.sqrt(2), 0.0, -math.sqrt(2)], [0.0] * 3, [0.0] * 3]
    np.testing.assert_allclose(scores.grad, wanted, rtol=1e-6)
