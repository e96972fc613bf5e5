"""Focal loss of logarithms: against arithmetic in float64 and with 100 digits, its gradient, limits and ends."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from torch.nn import functional

from matinee.nn.losses import bce, focal, focal_from_log_prob

SETTINGS = [(0.25, 2.0), (0.5, 0.0), (0.9, 0.5), (0.1, 3.0)]


def chances(seed=0, b=5, n=8):
    """Logarithms of chances (b, n), and who took what as a matrix and as pairs; the last row took nothing."""
    rng = np.random.default_rng(seed)
    x = rng.random((b, n)) < 0.4
    x[0, :2], x[-1] = True, False
    row, item = np.nonzero(x)
    return np.log(rng.uniform(0.01, 0.99, size=(b, n))), x, torch.from_numpy(row), torch.from_numpy(item)


@pytest.mark.parametrize(("alpha", "gamma"), SETTINGS)
def test_it_is_the_arithmetic(alpha, gamma):
    log_p, x, row, item = chances()
    p = np.exp(log_p)
    terms = np.where(x, -alpha * (1 - p) ** gamma * np.log(p), -(1 - alpha) * p**gamma * np.log(1 - p))
    made = focal_from_log_prob(torch.from_numpy(log_p), row, item, alpha, gamma)
    np.testing.assert_allclose(made.numpy(), terms.sum(axis=1), rtol=1e-12)
    single = focal_from_log_prob(torch.from_numpy(log_p).float(), row, item, alpha, gamma)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), terms.sum(axis=1), rtol=3e-6)


@pytest.mark.parametrize(("alpha", "gamma"), SETTINGS)
def test_its_gradient_is_the_differences(alpha, gamma):
    log_p, _, row, item = chances(1)
    weight = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.7], dtype=torch.float64)  # each row's gradient by its own factor
    given = torch.from_numpy(log_p).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: focal_from_log_prob(t, row, item, alpha, gamma) * weight, (given,))


@pytest.mark.parametrize(("alpha", "gamma"), SETTINGS)
def test_of_one_sigmoid_it_is_focal_with_its_gradient(alpha, gamma):
    _, _, row, item = chances(2)
    s = torch.linspace(-30, 30, 40, dtype=torch.float32).reshape(5, 8)
    s = s[:, torch.randperm(8, generator=torch.Generator().manual_seed(0))]
    one, other = s.clone().requires_grad_(), s.clone().requires_grad_()
    made, wanted = (
        focal_from_log_prob(functional.logsigmoid(one), row, item, alpha, gamma),
        focal(other, row, item, alpha, gamma),
    )
    np.testing.assert_allclose(made.detach(), wanted.detach(), rtol=1e-5)
    made.sum().backward(), wanted.sum().backward()
    np.testing.assert_allclose(one.grad, other.grad, rtol=2e-5, atol=1e-7)


def test_without_focus_it_is_half_of_bce():
    _, _, row, item = chances(3)
    s = torch.from_numpy(np.random.default_rng(3).normal(size=(5, 8)))
    made = focal_from_log_prob(functional.logsigmoid(s), row, item, 0.5, 0.0)
    np.testing.assert_allclose(made, bce(s, row, item) / 2, rtol=1e-12)


@pytest.mark.parametrize("exponent", [-5000.0, -120.0, -90.0, -20.0, -1.0, -0.7, -0.69, -1e-3, -1e-9, -1e-20, -1e-37])
@pytest.mark.parametrize("taken", [True, False])
def test_it_holds_from_one_end_to_the_other(exponent, taken):
    """Value and gradient in float32 against 100 digits; 1 − p and its logarithm are lost to plain arithmetic here."""
    given = torch.tensor([[exponent]], dtype=torch.float32, requires_grad=True)
    pairs = torch.tensor([0] if taken else [], dtype=torch.long)
    made = focal_from_log_prob(given, pairs, pairs)
    made.sum().backward()
    with localcontext() as digits:
        digits.prec = 100
        x, alpha = Decimal(given.item()), Decimal("0.25")
        p = x.exp()
        q = 1 - p
        if taken:
            value, slope = -alpha * q**2 * x, alpha * (2 * q * p * x - q**2)
        else:
            value = -(1 - alpha) * p**2 * q.ln()
            slope = (1 - alpha) * (p**3 / q - 2 * p**2 * q.ln())
    assert made.item() == pytest.approx(float(value), rel=2e-5, abs=1e-38)
    assert given.grad is not None
    assert given.grad.item() == pytest.approx(float(slope), rel=2e-5, abs=1e-38)


@pytest.mark.parametrize(("alpha", "gamma"), SETTINGS)
def test_a_chance_of_exactly_one_or_nothing_left_of_it_costs_what_is_finite(alpha, gamma):
    given = torch.tensor([[0.0, 0.0, -3e38, -3e38]], dtype=torch.float32, requires_grad=True)
    made = focal_from_log_prob(given, torch.tensor([0, 0]), torch.tensor([0, 2]), alpha, gamma)
    assert math.isfinite(made.item())
    (made / 16).sum().backward()
    assert given.grad is not None
    assert torch.isfinite(given.grad).all()
    assert given.grad[0, 1] > 1e30
    assert given.grad[0, 2].item() == pytest.approx(-alpha / 16)
    assert given.grad[0, 3].item() == 0.0


def test_through_three_sigmoids_that_are_sure_the_gradient_is_finite():
    """An item not taken that all three factors promise costs about as much as the least sure of them is sure."""
    s = torch.tensor([40.0, 60.0, 80.0], requires_grad=True)
    log_p = functional.logsigmoid(s).sum()[None, None]
    made = focal_from_log_prob(log_p, torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long))
    made.sum().backward()
    assert made.item() == pytest.approx(0.75 * 40, rel=1e-5)
    np.testing.assert_allclose(s.grad, [0.75, 0.0, 0.0], atol=1e-5)
