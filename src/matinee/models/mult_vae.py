r"""Mult-VAE: a variational auto-encoder whose decoder is one softmax over the whole catalogue.

    z_u ~ N(0, I),    π(z_u) ∝ exp f(z_u),    x_u ~ Mult(L_u, π(z_u))                   (eq. 1)

    log p(x_u | z_u) = Σ_i x_ui log π_i(z_u)                                            (eq. 2)

    maximise  E_q [log p(x_u | z_u)] − β · KL(q(z_u | x_u) ‖ N(0, I)),    q = N(μ_u, diagM(σ_u²))

(μ_u, log σ_u²) = g(x̃_u), x̃_u the history divided by ‖x_u‖₂ with entries dropped; z_u = μ_u + σ_u ∘ ε, ε ~ N(0, I),
and z_u = μ_u when somebody is scored. g is n → hidden → 2·factors, f is factors → hidden → n, tanh between, or both are
linear without a hidden layer. β rises in a straight line to `beta` over `anneal` epochs. Somebody new is scored exactly
like everybody else.

Defaults follow the paper but for three rules. Below 50,000 people there is no hidden layer: of 6,040 (MovieLens 1M,
ndcg@10 on the validation rows) it reads .229 without and .203–.206 with one, of 610 .134 and less; the paper's had
136,677. A batch is a 64th of the people, 16 to 500, so that 1,000 people still make about 64 updates an epoch; and
annealing is counted in epochs, the paper's 200,000 updates being the whole of its training. Epochs are found on the
stop fold. Cost: an epoch takes 6 · users · hidden · n operations in the decoder and 6 · hidden an entry shown in the
encoder, whose input is never made dense; 88 · hidden · n bytes of weights; `factors` and 2 · `factors` stand for
`hidden` where there is none.

Liang, Krishnan, Hoffman and Jebara, Variational Autoencoders for Collaborative Filtering, WWW 2018. arXiv:1802.05814
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from matinee.contract import Context
from matinee.data import Interactions
from matinee.nn import encoder
from matinee.nn.batches import Batch
from matinee.nn.blocks import Bag, Tanh
from matinee.nn.losses import HELD, LOSSES, annealed, kl
from matinee.nn.train import Plan
from matinee.spec import Search


class Net(encoder.AutoEncoder):
    """Encoder and decoder."""

    axes: ClassVar[Mapping[str, str]] = {"first.weight": "i.", "output.weight": "i.", "output.bias": "i"}

    def __init__(self, n_items: int, hidden: int, factors: int) -> None:
        super().__init__()
        self.first = Bag(n_items, hidden or 2 * factors)
        self.posterior = torch.nn.Linear(hidden, 2 * factors) if hidden else None
        self.decoder = Tanh((factors, hidden) if hidden else (factors,), last=True)
        self.output = torch.nn.Linear(hidden or factors, n_items)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """μ and log σ², (b, factors) each; log σ² is kept in −10 … 10."""
        sums = self.first(batch)
        both = sums if self.posterior is None else self.posterior(torch.tanh(sums))
        mean, log_variance = both.chunk(2, dim=1)
        return mean, log_variance.clamp(-10.0, 10.0)

    def decode(self, z: Tensor) -> Tensor:
        """Logits (b, n)."""
        return self.output(self.decoder(z))

    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n) at z = μ."""
        return self.decode(self.encode(batch)[0])


class MultVAE(encoder.AutoEncoderSpec):
    """The variational auto-encoder others are compared with."""

    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use a smaller hidden layer, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), Search(32, 400, log=True)] = 200
    """Size of the latent taste z."""

    hidden: Annotated[int | None, Field(ge=0), Search(choices=(0, 200, 400, 600, 1000))] = None
    """Size of the layer between items and tastes, 0 for none; nothing means 600 from 50,000 people on, else 0."""

    epochs: Annotated[int, Field(ge=1)] = 100
    """How often everybody is seen, at most where the stop fold decides."""

    batch: Annotated[int | None, Field(ge=1), Search(16, 2000, log=True)] = None
    """People in a batch; nothing means a 64th of them, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), Search(3e-4, 3e-3, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), Search(0.2, 0.7)] = 0.5
    """Share of a history hidden from the encoder while learning."""

    l2: Annotated[float, Field(ge=0), Search(0, 0.1)] = 0.0
    """Weight decay: what matrices lose a step, times the learning rate."""

    beta: Annotated[float, Field(ge=0), Search(0.05, 1, log=True)] = 0.2
    """Weight of the KL once it is annealed; 1 is the evidence bound, less leaves tastes freer."""

    anneal: Annotated[float, Field(ge=0), Search(0, 50)] = 20.0
    """Epochs over which the weight of the KL rises to beta."""

    loss: Literal["multinomial", "bce", "focal", "mse"] = "multinomial"
    """What the logits are judged by; multinomial is the paper's."""

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers n → hidden → factors → hidden → n, or n → factors → n."""
        return Net(n_items, self.hidden or 0, self.factors)

    def fit(self, data: Interactions, ctx: Context = Context()) -> encoder.Encoder:
        """Maximise the bound by Adam."""
        room = ctx.admit(self, data)
        plan = Plan(self.epochs, self.learning_rate, self.l2)
        size = self.batch or encoder.size_for(data.n_active)
        return encoder.learn(
            self.settled(data.n_active), data, ctx, encoder.Lesson(self.bound, plan, size, room, (self.dropout,))
        )

    def settled(self, people: int) -> MultVAE:
        """The spec with a hidden layer, or none, for so many people."""
        return self if self.hidden is not None else self.model_copy(update={"hidden": encoder.hidden_for(people)})

    def bound(self, net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
        """Mean over people of reconstruction loss + β · KL, one draw of z each: −ELBO where β = 1."""
        mean, log_variance = net.encode(batch)
        z = mean + torch.exp(0.5 * log_variance) * moment.normal(mean)
        rebuilt = LOSSES[self.loss](net.decode(z), batch.row, batch.item)
        return (rebuilt + annealed(moment.now, self.anneal, self.beta) * kl(mean, log_variance)).mean()

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimiser, and the scores of a batch."""
        size, copies = self.batch or encoder.size_for(n_users), (encoder.COPIES, HELD[self.loss])
        return encoder.room(self.settled(n_users), n_users, n_items, n_rows, size, copies)
