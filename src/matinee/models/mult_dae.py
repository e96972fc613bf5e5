r"""Mult-DAE: a denoising auto-encoder with a softmax over the whole catalogue.

    minimise  −Σ_u Σ_i x_ui log softmax(f(x̃_u))_i

x̃_u is the history divided by ‖x_u‖₂ with entries dropped; f is n → factors → n, or n → hidden → factors → hidden → n
if `hidden` is not 0, tanh after every layer but the last. It is Mult-VAE with a point
posterior and no prior; dropout and weight decay are the only regularization. New users are scored like training users.

Batch size, hidden layer and epochs follow `mult_vae`: with 600 hidden units ndcg@10 is .452 on 100,000 simulated users
and .399 without, but .097 and .118 on 29,858 users of Gowalla. Cost: an epoch takes 6 · users · w · n operations in the
output layer, w its width, and 6 · w per entry of the sparse input; 88 · w · n bytes of weights.

Liang, Krishnan, Hoffman and Jebara, Variational Autoencoders for Collaborative Filtering, WWW 2018. arXiv:1802.05814
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from matinee.contract import Context
from matinee.data import Interactions
from matinee.nn import encoder
from matinee.nn.batches import Batch
from matinee.nn.blocks import Bag, Tanh
from matinee.nn.losses import HELD, LOSSES
from matinee.nn.params import BatchSize, Epochs, InputDropout, LearningRate, Loss, WeightDecay
from matinee.nn.train import Plan
from matinee.spec import Search


class Net(encoder.AutoEncoder):
    """Layers n → widths → n."""

    axes: ClassVar[Mapping[str, str]] = {"first.weight": "i.", "output.weight": "i.", "output.bias": "i"}

    def __init__(self, n_items: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.first = Bag(n_items, widths[0])
        self.middle = Tanh(widths, last=True)
        self.output = torch.nn.Linear(widths[-1], n_items)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (b, n)."""
        return self.output(self.middle(torch.tanh(self.first(batch))))


class MultDAE(encoder.AutoEncoderSpec):
    """A denoising auto-encoder with a multinomial loss."""

    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use fewer factors, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), Search(32, 800, log=True)] = 200
    """Size of the innermost layer."""

    hidden: Annotated[int | None, Field(ge=0), Search(choices=(0, 200, 400, 600, 1000))] = None
    """Size of one more layer on both sides, 0 for none. None means 600 with 50,000 or more users, otherwise 0."""

    epochs: Epochs = 100

    batch: BatchSize = None

    learning_rate: LearningRate = 1e-3

    dropout: InputDropout = 0.5

    l2: WeightDecay = 0.01

    loss: Loss = "multinomial"

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers n → factors → n, with `hidden` on both sides if above 0."""
        return Net(n_items, (self.hidden, self.factors, self.hidden) if self.hidden else (self.factors,))

    def fit(self, data: Interactions, ctx: Context = Context()) -> encoder.Encoder:
        """Minimize the loss with Adam."""
        room = ctx.admit(self, data)
        plan = Plan(self.epochs, self.learning_rate, self.l2)
        size = self.batch or encoder.size_for(data.n_active)
        return encoder.learn(
            self.settled(data.n_active), data, ctx, encoder.Lesson(self.rebuilding, plan, size, room, (self.dropout,))
        )

    def settled(self, n_users: int) -> MultDAE:
        """The spec with `hidden` set for this number of users."""
        return self if self.hidden is not None else self.model_copy(update={"hidden": encoder.hidden_for(n_users)})

    def rebuilding(self, net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
        """Mean loss over users."""
        return LOSSES[self.loss](net(batch), batch.row, batch.item).mean()

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimizer state, and the scores of a batch."""
        size, copies = self.batch or encoder.size_for(n_users), (encoder.COPIES, HELD[self.loss])
        return encoder.room(self.settled(n_users), n_users, n_items, n_rows, size, copies)
