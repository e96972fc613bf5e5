"""Losses as functions of logits, each in a form that neither overflows nor takes the logarithm of a rounded zero.

All give one number a row, (b,): reduce over people afterwards, so that learning rate and weight decay do not depend
on the size of a batch. σ is the logistic function, sp(x) = log(1 + eˣ) softplus; log σ(x) = −sp(−x).

Two families. *Lists* take scores of the whole catalogue (b, n) and the pairs that were taken, row (t,) and item (t,),
each pair once; they are interchangeable and stand in `LOSSES`. *Draws* take the score of one positive (b,) and of m
drawn negatives (b, m).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import relu, softplus

Lists: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""scores (b, n), row (t,), item (t,) → (b,)."""


def summed(values: Tensor, row: Tensor, n_rows: int) -> Tensor:
    """Σ of values (t,) by their row (t,): (n_rows,)."""
    return torch.zeros(n_rows, dtype=values.dtype, device=values.device).index_add(0, row, values)


class _Multinomial(torch.autograd.Function):
    """Keeps one matrix, the log softmax."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
        log_share = torch.log_softmax(scores, dim=1)
        ctx.save_for_backward(log_share, row, item)
        return -summed(log_share[row, item], row, len(scores))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        log_share, row, item = ctx.saved_tensors
        count = torch.bincount(row, minlength=len(grad)).to(grad.dtype)
        made = log_share.exp().mul_((count * grad)[:, None])
        made.index_put_((row, item), -grad[row], accumulate=True)
        return made, None, None


def multinomial(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """−Σ_i x_i log softmax(s)_i; its gradient is L · softmax(s) − x, L how many were taken.

    Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, eq. 2.
    """
    return cast(Tensor, _Multinomial.apply(scores, row, item))


def softmax(scores: Tensor, item: Tensor) -> Tensor:
    """What `multinomial` is for a single draw, −log of the softmax at the one item (b,) each row took."""
    return torch.logsumexp(scores, dim=1) - scores.gather(1, item[:, None])[:, 0]


def bce(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Binary cross-entropy −Σ_i x_i log σ(s_i) + (1 − x_i) log σ(−s_i) = Σ_i sp(s_i) − Σ_{i taken} s_i."""
    return softplus(scores).sum(dim=1) - summed(scores[row, item], row, len(scores))


def focal(scores: Tensor, row: Tensor, item: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Σ α σ(−s)^γ sp(−s) over the taken + Σ (1 − α) σ(s)^γ sp(s) over the others; γ = 0, α = ½ is half of `bce`.

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, eq. 5.
    """
    taken = scores[row, item]
    others = _focus(scores, gamma).sum(dim=1) - summed(_focus(taken, gamma), row, len(scores))
    return alpha * summed(_focus(-taken, gamma), row, len(scores)) + (1.0 - alpha) * others


def _focus(scores: Tensor, gamma: float) -> Tensor:
    """σ(s)^γ sp(s), the power taken of the logarithm: its gradient is finite where σ(s) is 0."""
    return torch.exp(-gamma * softplus(-scores)) * softplus(scores)


def mse(scores: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Σ_i (x_i − s_i)² = Σ_i s_i² + Σ_{i taken} (1 − 2 s_i)."""
    return scores.square().sum(dim=1) + summed(1.0 - 2.0 * scores[row, item], row, len(scores))


LOSSES: Mapping[str, Lists] = {"multinomial": multinomial, "bce": bce, "focal": focal, "mse": mse}
"""The losses of whole lists by name, for models whose mathematics allows any of them."""


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Mean over the negatives of −log σ(s⁺ − s⁻) = sp(s⁻ − s⁺). Rendle et al., BPR, UAI 2009, BPR-Opt."""
    return softplus(negative - positive[:, None]).mean(dim=1)


def sampled_bce(positive: Tensor, negative: Tensor) -> Tensor:
    """sp(−s⁺) + Σ sp(s⁻): binary cross-entropy of one positive and m drawn negatives."""
    return gbce(positive, negative, 0.0, 1.0)


def gbce(positive: Tensor, negative: Tensor, calibration: float, rate: float) -> Tensor:
    """β sp(−s⁺) + Σ sp(s⁻), β = 1 − t (1 − α): t = `calibration` in [0, 1], α = `rate` = m / (n − 1) of the negatives.

    t = 0 is `sampled_bce`; at t = 1 probabilities are calibrated as if all negatives had been used.
    Petrov and Macdonald, gSASRec, RecSys 2023: β = α (t (1 − 1/α) + 1/α). Not divided by m + 1 as theirs is.
    """
    beta = 1.0 - calibration * (1.0 - rate)
    return beta * softplus(-positive) + softplus(negative).sum(dim=1)


def sampled_softmax(positive: Tensor, negative: Tensor, log_expected: Tensor) -> Tensor:
    """−s⁺ + log(e^{s⁺} + Σ_j e^{s_j − log E_j}): E_j (b, m), how often negative j is expected among the m draws, m·q_j.

    The sum is then an unbiased estimate of the softmax's. The positive stands in it with certainty and is not
    corrected; a draw that must not count has log E = inf. With every other item drawn once (log E = 0) this is
    `softmax`. Bengio and Senécal, IEEE Trans. Neural Networks 2008.
    """
    together = torch.cat([positive[:, None], negative - log_expected], dim=1)
    return torch.logsumexp(together, dim=1) - positive


def ccl(positive: Tensor, negative: Tensor, margin: float, weight: float) -> Tensor:
    """1 − c⁺ + (w/m) Σ max(0, c⁻ − margin) for cosines c. Mao et al., SimpleX, CIKM 2021, eq. 1."""
    return 1.0 - positive + weight * relu(negative - margin).mean(dim=1)


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) = ½ Σ (σ² + μ² − 1 − log σ²) over the dimensions of (b, d): (b,)."""
    return 0.5 * (log_variance.exp() + mean.square() - 1.0 - log_variance).sum(dim=1)


def annealed(now: float, over: float, cap: float) -> float:
    """The weight of the KL at moment `now`: from 0 in a straight line to `cap`, reached after `over`."""
    return cap if now >= over else cap * now / over
