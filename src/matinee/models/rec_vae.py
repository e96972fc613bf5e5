r"""RecVAE: a variational auto-encoder whose prior remembers what it thought of each person an epoch ago.

    maximise  E_q [log p(x_u | z)] − β_u · KL(q(z | x̃_u) ‖ p(z | x_u)),    β_u = gamma · Σ_i x_ui

    p(z | x_u) = 3/20 N(0, I) + 3/4 q_old(z | x_u) + 1/10 N(0, e¹⁰ I),    a mixture in each dimension of z

    log p(x_u | z) = Σ_i x_ui log softmax(W z + b)_i,    q = N(μ_u, diagM(σ_u²)),    z = μ_u + σ_u ∘ ε,  ε ~ N(0, I)

(μ_u, log σ_u²), (d,) each, is linear in h_5; h_1 = LN(swish(W_1 x̃_u)), h_k = LN(swish(W_k h_{k−1} + Σ_{j<k} h_j)),
each (h,), all with biases; LN is layer normalisation with ε = 0.1. x̃_u is the history divided by ‖x_u‖₂ with entries
dropped. W (n, d) is the whole decoder. The KL is estimated at the one z drawn. q_old, which takes no gradient, is the
encoder as the epoch found it, shown the whole history; in the first epoch it is untrained. It is asked in an epoch's
first pass and remembered for the others. Where `beta` is given it is β_u of everybody. Scored is z = μ_u; somebody new
is scored exactly like everybody else.

An epoch is `encoder_passes` over the people that move the encoder alone, with dropout, then one without that moves the
decoder alone. Adam keeps moments a weight, so that one optimiser is what two would be. A batch is as in `mult_vae`.

Cost of an epoch with E encoder passes and half of a history dropped, for U people, N entries, w = (4h + 2d) h:

    4 (E + 1) U n d in the decoder + (6E + 4) U w in the dense layers + 2 (E + 2) N h in the sparse one

operations, products alone: no gradient of what a pass leaves alone is computed, and no KL in the decoder's. For 31,360
people, 6,807 items and 5.1 million entries that is 0.7 + 1.2 + 0.03 = 1.9e12 with the defaults. Weights, their
optimiser and the old encoder take 48 (h + d) n bytes, what it thought 8 d a person.

Shenbin, Alekseev, Tutubalina, Malykh and Nikolenko, RecVAE: A New Variational Autoencoder for Top-N Recommendations
with Implicit Feedback, WSDM 2020. arXiv:1912.11160
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, TypeAlias, cast

import torch
from pydantic import Field
from scipy.sparse import csr_array
from torch import Tensor
from torch.func import functional_call  # pyright: ignore[reportPrivateImportUsage]
from torch.nn import functional

from matinee.contract import Context
from matinee.data import Interactions
from matinee.nn import encoder
from matinee.nn.batches import Batch
from matinee.nn.blocks import Bag, Residual
from matinee.nn.losses import HELD, LOSSES
from matinee.nn.train import Plan
from matinee.spec import Search

Normal: TypeAlias = tuple[Tensor, Tensor]
"""μ and log σ² of independent normals, (b, d) each."""

LAYERS = 5
PRIOR = (3 / 20, 3 / 4, 1 / 10)
"""Weights of the standard normal, of the old posterior, and of the wide normal."""

WIDE = 10.0
"""log σ² of the wide normal."""


def log_density(z: Tensor, mean: Tensor | float, log_variance: Tensor | float) -> Tensor:
    """Logarithm of N(z; μ, σ²) of each dimension, (b, d)."""
    log_variance = torch.as_tensor(log_variance, dtype=z.dtype, device=z.device)
    return -0.5 * (math.log(2.0 * math.pi) + log_variance + (z - mean).square() * torch.exp(-log_variance))


def divergence(z: Tensor, now: Normal, old: Normal, prior: tuple[float, float, float] = PRIOR) -> Tensor:
    """Σ over dimensions of log q(z) − log p(z), (b,): where z is drawn from q = `now`, an unbiased estimate of the KL.

    p is in each dimension the mixture of N(0, 1), `old` and N(0, e¹⁰) with weights `prior`.
    """
    parts = [log_density(z, 0.0, 0.0), log_density(z, *old), log_density(z, 0.0, WIDE)]
    weighed = [part + math.log(weight) for part, weight in zip(parts, prior, strict=True) if weight > 0]
    return (log_density(z, *now) - torch.logsumexp(torch.stack(weighed), dim=0)).sum(dim=1)


def whole(batch: Batch) -> Batch:
    """The batch with nothing dropped: shown is everything taken, an entry weighing 1/‖x‖₂."""
    count = torch.bincount(batch.row, minlength=len(batch))
    weight = count[batch.row].to(batch.weight.dtype).rsqrt()
    return replace(batch, offsets=functional.pad(count.cumsum(0), (1, 0)), shown=batch.item, weight=weight)


class Posterior(torch.nn.Module):
    """From what people are shown to their tastes: densely connected layers of equal width."""

    def __init__(self, n_items: int, hidden: int, factors: int) -> None:
        super().__init__()
        self.first = Bag(n_items, hidden)
        self.dense = Residual(hidden, LAYERS, 0.1)
        self.heads = torch.nn.Linear(hidden, 2 * factors)

    def forward(self, batch: Batch) -> Normal:
        """μ and log σ², (b, d) each; log σ² is kept in −10 … 10."""
        mean, log_variance = self.heads(self.dense(self.first(batch))).chunk(2, dim=1)
        return mean, log_variance.clamp(-10.0, 10.0)


class Net(encoder.AutoEncoder):
    """Encoder, linear decoder, and beside them the encoder as the epoch found it, which is no weight of the model."""

    axes: ClassVar[Mapping[str, str]] = {"posterior.first.weight": "i.", "output.weight": "i.", "output.bias": "i"}

    def __init__(self, n_items: int, hidden: int, factors: int) -> None:
        super().__init__()
        self.posterior = Posterior(n_items, hidden, factors)
        self.output = torch.nn.Linear(factors, n_items)
        self.before: dict[str, Tensor] = {}
        self.people = 0
        self.thoughts = torch.empty(0, 2 * factors)  # what `before` says of each of the people

    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n) at z = μ."""
        return self.output(self.posterior(batch)[0])

    def decode_fixed(self, z: Tensor) -> Tensor:
        """Logits (b, n) by a decoder that takes no gradient."""
        return functional.linear(z, self.output.weight.detach(), self.output.bias.detach())

    def remember(self) -> None:
        """Take the encoder as it stands for the old one."""
        self.before = {name: p.detach().clone() for name, p in self.posterior.named_parameters()}
        self.thoughts = self.output.weight.new_zeros(self.people, self.thoughts.shape[1])

    @torch.no_grad()
    def old(self, batch: Batch, turn: int) -> Normal:
        """What the old encoder says of whole histories: asked in the first pass of the epoch, recalled in others."""
        if turn == 0:
            mean, log_variance = functional_call(self.posterior, self.before, (whole(batch),))
            self.thoughts[batch.user] = torch.cat([mean, log_variance], dim=1)
            return mean, log_variance
        return cast(Normal, self.thoughts[batch.user].chunk(2, dim=1))


class RecVAE(encoder.AutoEncoderSpec):
    """A deep encoder held near its own past, a linear decoder, the two trained by turns."""

    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use a smaller hidden layer, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), Search(32, 500, log=True)] = 200
    """Size of the latent taste z."""

    hidden: Annotated[int, Field(ge=1), Search(100, 1000, log=True)] = 600
    """Size of the five layers between items and tastes."""

    epochs: Annotated[int, Field(ge=1)] = 50
    """Rounds of encoder and decoder passes, at most where the stop fold decides."""

    encoder_passes: Annotated[int, Field(ge=1), Search(1, 5)] = 3
    """Passes over the people an epoch that move the encoder; one more moves the decoder."""

    batch: Annotated[int | None, Field(ge=1), Search(16, 2000, log=True)] = None
    """People in a batch; nothing means a 64th of them, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), Search(1e-4, 2e-3, log=True)] = 5e-4
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), Search(0.2, 0.8)] = 0.5
    """Share of a history hidden from the encoder while it learns."""

    l2: Annotated[float, Field(ge=0), Search(0, 0.1)] = 0.0
    """Weight decay: what matrices lose a step, times the learning rate."""

    gamma: Annotated[float, Field(ge=0), Search(5e-4, 0.05, log=True)] = 0.005
    """Weight of the KL for each item a person took: the more is known, the nearer to the prior a taste is held."""

    beta: Annotated[float | None, Field(ge=0), Search(0.05, 1, log=True)] = None
    """Weight of the KL, the same for everybody; nothing means `gamma` times the number of items each person took."""

    loss: Literal["multinomial", "bce", "focal", "mse"] = "multinomial"
    """What the logits are judged by; multinomial is the paper's."""

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers n → five of `hidden` → factors → n."""
        return Net(n_items, self.hidden, self.factors)

    def fit(self, data: Interactions, ctx: Context = Context()) -> encoder.Encoder:
        """Maximise the bound by Adam, encoder and decoder by turns."""
        room = ctx.admit(self, data)
        plan = Plan(self.epochs, self.learning_rate, self.l2)
        size = self.batch or encoder.size_for(data.n_active)
        dropout = (*[self.dropout] * self.encoder_passes, 0.0)
        return encoder.learn(self, data, ctx, encoder.Lesson(self.bound, plan, size, room, dropout, begin=begun))

    def bound(self, net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
        """Mean over people of what the turn minimises, at one draw of z each.

        That is reconstruction loss + β_u · KL for the encoder, and the reconstruction loss alone for the decoder.
        """
        if moment.begins:
            net.remember()
        judge = LOSSES[self.loss]
        if moment.turn == self.encoder_passes:
            with torch.no_grad():
                z = _drawn(net.posterior(batch), moment)
            return judge(net.output(z), batch.row, batch.item).mean()
        now = cast(Normal, net.posterior(batch))
        z = _drawn(now, moment)
        rebuilt = judge(net.decode_fixed(z), batch.row, batch.item)
        return (rebuilt + self.weight(batch) * divergence(z, now, net.old(batch, moment.turn))).mean()

    def weight(self, batch: Batch) -> Tensor:
        """β_u, the weight of each person's KL, (b,)."""
        if self.beta is not None:
            return torch.full((len(batch),), self.beta, device=batch.row.device)
        return self.gamma * torch.bincount(batch.row, minlength=len(batch)).to(batch.weight.dtype)

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimiser, the old encoder and its thoughts, a batch's scores and what its layers keep."""
        size = self.batch or encoder.size_for(n_users)
        old = sum(p.numel() for p in Posterior(1, self.hidden, self.factors).parameters()) + self.hidden * (n_items - 1)
        kept = old + 2 * self.factors * n_users + 4 * LAYERS * size * self.hidden
        return encoder.room(self, n_users, n_items, n_rows, size, (encoder.COPIES, HELD[self.loss])) + 4 * kept


def begun(net: Net, seen: csr_array, generator: torch.Generator) -> None:
    """Weights start as they always do; there is room for what is thought of each person."""
    net.people = seen.shape[0]


def _drawn(of: Normal, moment: encoder.Moment) -> Tensor:
    """One z (b, d) a person."""
    mean, log_variance = of
    return mean + torch.exp(0.5 * log_variance) * moment.normal(mean)
