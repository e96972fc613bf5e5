"""Losses as functions of logits, in forms without overflow or logarithms of rounded zeros.

All return one number per row, (b,). Average over users afterwards, so learning rate and weight decay do not depend on
the batch size. σ is the logistic function, sp(x) = log(1 + eˣ) softplus; log σ(x) = −sp(−x).

Two families: *list losses* of scores of the whole catalogue (b, n) and target pairs, row (t,) and item (t,), each pair
once; they are interchangeable and listed in `LOSSES`. *Sampled losses* of the score of one positive (b,) and of m drawn
negatives (b, m).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import relu, softplus

Lists: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""scores (b, n), row (t,), item (t,) → (b,)."""


def segment_sum(values: Tensor, row: Tensor, n_rows: int) -> Tensor:
    """Sums (n_rows,) of values (t,) by their row (t,); deterministic on CUDA, where `index_add` is not."""
    sums = torch.zeros(n_rows, dtype=values.dtype, device=values.device)
    if values.device.type == "cpu":
        return sums.index_add(0, row, values)
    return sums.index_put((row,), values, accumulate=True)


class _Multinomial(torch.autograd.Function):
    """Multinomial loss that stores one matrix, the log softmax."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
        log_share = torch.log_softmax(scores, dim=1)
        ctx.save_for_backward(log_share, row, item)
        return -segment_sum(log_share[row, item], row, len(scores))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        log_share, row, item = ctx.saved_tensors
        count = torch.bincount(row, minlength=len(grad)).to(grad.dtype)
        made = log_share.exp().mul_((count * grad)[:, None])
        made.index_put_((row, item), -grad[row], accumulate=True)
        return made, None, None


def multinomial(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """−Σ_i x_i log softmax(s)_i; its gradient is L · softmax(s) − x, L = Σ_i x_i.

    Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, eq. 2.
    """
    return cast(Tensor, _Multinomial.apply(scores, row, item))


def softmax(scores: Tensor, item: Tensor) -> Tensor:
    """−log softmax at the one target item (b,) of each row: `multinomial` of a single item."""
    return torch.logsumexp(scores, dim=1) - scores.gather(1, item[:, None])[:, 0]


def bce(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Binary cross-entropy −Σ_i x_i log σ(s_i) + (1 − x_i) log σ(−s_i) = Σ_i sp(s_i) − Σ_{i: x_i = 1} s_i."""
    return softplus(scores).sum(dim=1) - segment_sum(scores[row, item], row, len(scores))


def focal(scores: Tensor, row: Tensor, item: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss Σ α σ(−s)^γ sp(−s) over targets + Σ (1 − α) σ(s)^γ sp(s) over the others.

    γ = 0, α = ½ is half of `bce`.

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, eq. 5.
    """
    taken = scores[row, item]
    others = _focus(scores, gamma).sum(dim=1) - segment_sum(_focus(taken, gamma), row, len(scores))
    return alpha * segment_sum(_focus(-taken, gamma), row, len(scores)) + (1.0 - alpha) * others


def _focus(scores: Tensor, gamma: float) -> Tensor:
    """σ(s)^γ sp(s), computed by the logarithm so that the gradient is finite at σ(s) = 0."""
    return torch.exp(-gamma * softplus(-scores)) * softplus(scores)


def mse(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Σ_i (x_i − s_i)² = Σ_i s_i² + Σ_{i: x_i = 1} (1 − 2 s_i)."""
    return scores.square().sum(dim=1) + segment_sum(1.0 - 2.0 * scores[row, item], row, len(scores))


LOSSES: Mapping[str, Lists] = {"multinomial": multinomial, "bce": bce, "focal": focal, "mse": mse}
"""List losses by name, for models that allow any of them."""

SCORE_MATRICES: Mapping[str, int] = {"multinomial": 5, "bce": 7, "focal": 12, "mse": 9}
"""Matrices (b, n) in memory at once during a step, including scores and their gradient."""


def cosine(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """‖x/‖x‖ − s/‖s‖‖² = 2 (1 − cos(x, s)), independent of both lengths.

    The cosine is 0 if s = 0 or x = 0, with finite gradients. It is not in `LOSSES`: it is at most 4 for histories of
    any length, so a KL term or penalty tuned for a likelihood would dominate it.
    Vančura et al., ELSA, RecSys 2022.
    """
    largest = scores.detach().abs().amax(dim=1, keepdim=True)  # squares of scores of any size stay in range
    scaled = scores / torch.where(largest > 0, largest, 1.0)
    length = scaled.square().sum(dim=1)
    count = torch.bincount(row, minlength=len(scores)).to(scores.dtype)
    inverse = torch.rsqrt(torch.where(length > 0, length, 1.0) * count.clamp_min(1.0))
    return 2.0 - 2.0 * segment_sum(scaled[row, item], row, len(scores)) * inverse


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Mean over the negatives of −log σ(s⁺ − s⁻) = sp(s⁻ − s⁺).

    Rendle et al., BPR, UAI 2009, BPR-Opt.
    """
    return softplus(negative - positive[:, None]).mean(dim=1)


def sampled_bce(positive: Tensor, negative: Tensor) -> Tensor:
    """sp(−s⁺) + Σ sp(s⁻): binary cross-entropy of one positive and m drawn negatives."""
    return gbce(positive, negative, 0.0, 1.0)


def gbce(positive: Tensor, negative: Tensor, calibration: float, rate: float) -> Tensor:
    """β sp(−s⁺) + Σ sp(s⁻) with β = 1 − t (1 − α).

    t = `calibration` in [0, 1], α = `rate` = m / (n − 1) of the negatives.
    t = 0 is `sampled_bce`; at t = 1 probabilities are calibrated as if all negatives had been used.
    Petrov and Macdonald, gSASRec, RecSys 2023: β = α (t (1 − 1/α) + 1/α). Not divided by m + 1 as theirs is.
    """
    beta = 1.0 - calibration * (1.0 - rate)
    return beta * softplus(-positive) + softplus(negative).sum(dim=1)


def sampled_softmax(positive: Tensor, negative: Tensor, log_expected: Tensor) -> Tensor:
    """−s⁺ + log(e^{s⁺} + Σ_j e^{s_j − log E_j}): E_j (b, m) = m·q_j.

    E_j is the expected count of negative j among the m draws. The sum is an unbiased estimate of the softmax's. The
    positive is always included and not corrected; log E = inf excludes a draw. With every other item drawn once (log E
    = 0) this is `softmax`. Bengio and Senécal, IEEE Trans. Neural Networks 2008.
    """
    together = torch.cat([positive[:, None], negative - log_expected], dim=1)
    return torch.logsumexp(together, dim=1) - positive


def ccl(positive: Tensor, negative: Tensor, margin: float, weight: float) -> Tensor:
    """1 − c⁺ + (w/m) Σ max(0, c⁻ − margin) for cosines c.

    Mao et al., SimpleX, CIKM 2021, eq. 1.
    """
    return 1.0 - positive + weight * relu(negative - margin).mean(dim=1)


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) = ½ Σ (σ² + μ² − 1 − log σ²) over the dimensions of (b, d): (b,)."""
    return 0.5 * (log_variance.exp() + mean.square() - 1.0 - log_variance).sum(dim=1)


def linear_anneal(now: float, over: float, cap: float) -> float:
    """The weight of the KL term at `now`: linear from 0 to `cap` at `over`."""
    return cap if now >= over else cap * now / over


def focal_from_log_prob(log_p: Tensor, row: Tensor, item: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """`focal` of probabilities by their logarithms (b, n) ≤ 0, as of a product of sigmoids.

    Σ −α (1 − p)^γ log p over targets + Σ −(1 − α) p^γ log(1 − p) over the others. Exact for probabilities that
    underflow or round to 1; a logarithm of 0 is treated as 1 − 1e-38, with a loss of 87.
    """
    return cast(Tensor, _FocalFromLogProb.apply(log_p, row, item, alpha, gamma))


class _FocalFromLogProb(torch.autograd.Function):
    """Focal loss that stores one matrix, the logarithms; no factor of its gradient is infinite."""

    @staticmethod
    def forward(ctx: Any, log_p: Tensor, row: Tensor, item: Tensor, alpha: float, gamma: float) -> Tensor:
        log_p = log_p.clamp(max=-torch.finfo(log_p.dtype).tiny)
        ctx.save_for_backward(log_p, row, item)
        ctx.alpha, ctx.gamma = alpha, gamma
        one = log_p[row, item]
        taken = -torch.exp(gamma * _log_one_minus_exp(one)) * one
        others = _log_one_minus_exp(log_p).neg_().mul_(torch.exp(gamma * log_p))
        rest = others.sum(dim=1) - segment_sum(others[row, item], row, len(log_p))
        return alpha * segment_sum(taken, row, len(log_p)) + (1.0 - alpha) * rest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        log_p, row, item = ctx.saved_tensors
        alpha, gamma = ctx.alpha, ctx.gamma
        one = log_p[row, item]
        left = torch.expm1(one).neg_()  # 1 − p
        taken = alpha * left**gamma * (gamma * one.exp() * (one / left) - 1.0)
        made = torch.exp(log_p).div_(torch.expm1(log_p).neg_()).sub_(gamma * _log_one_minus_exp(log_p))
        made.mul_(torch.exp(gamma * log_p)).mul_(((1.0 - alpha) * grad)[:, None])
        made.index_put_((row, item), taken * grad[row])
        return made, None, None, None, None


def _log_one_minus_exp(x: Tensor) -> Tensor:
    """log(1 − eˣ) of x < 0. Mächler, Accurately Computing log(1 − exp(−|a|)), 2012, eq. 7."""
    return torch.where(x > -math.log(2.0), torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))
