r"""Mult-DAE: a denoising auto-encoder with a softmax over the whole catalogue.

    minimise  −Σ_u Σ_i x_ui log softmax(f(x̃_u))_i

x̃_u is the history divided by ‖x_u‖₂ with entries dropped; f is n → factors → n, or n → hidden → factors → hidden → n
where `hidden` is not 0, tanh after every layer but the last. It is Mult-VAE with its posterior shrunk to a point and no
prior: nothing but dropout and weight decay keeps it from copying. Somebody new is scored exactly like everybody else.

The rules for batch, hidden layer and epochs are those of `mult_vae`: with 600 hidden units it reads ndcg@10 .452 on
100,000 simulated people and .399 without, but .097 against .118 on 29,858 of Gowalla. Cost: an epoch takes 6 · users ·
w · n operations in the output layer, w its width, and 6 · w an entry shown in the input, which is never made dense;
88 · w · n bytes of weights.

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
from matinee.nn.losses import HELD, LOSSES
from matinee.nn.train import Plan
from matinee.spec import Search


class Net(encoder.AutoEncoder):
    """Layers of the given widths between items and items."""

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
    """The plainest deep auto-encoder; its strength is the loss."""

    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use fewer factors, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), Search(32, 800, log=True)] = 200
    """Size of the narrowest layer."""

    hidden: Annotated[int | None, Field(ge=0), Search(choices=(0, 200, 400, 600, 1000))] = None
    """Size of a further layer on both sides, 0 for none; nothing means 600 from 50,000 people on, else 0."""

    epochs: Annotated[int, Field(ge=1)] = 100
    """How often everybody is seen, at most where the stop fold decides."""

    batch: Annotated[int | None, Field(ge=1), Search(16, 2000, log=True)] = None
    """People in a batch; nothing means a 64th of them, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), Search(3e-4, 3e-3, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), Search(0.2, 0.7)] = 0.5
    """Share of a history hidden from the network while learning."""

    l2: Annotated[float, Field(ge=0), Search(0, 0.1)] = 0.01
    """Weight decay: what matrices lose a step, times the learning rate."""

    loss: Literal["multinomial", "bce", "focal", "mse"] = "multinomial"
    """What the logits are judged by; multinomial is the paper's."""

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers n → factors → n, with `hidden` on both sides where it is more than 0."""
        return Net(n_items, (self.hidden, self.factors, self.hidden) if self.hidden else (self.factors,))

    def fit(self, data: Interactions, ctx: Context = Context()) -> encoder.Encoder:
        """Minimise the loss by Adam."""
        room = ctx.admit(self, data)
        plan = Plan(self.epochs, self.learning_rate, self.l2)
        size = self.batch or encoder.size_for(data.n_active)
        return encoder.learn(
            self.settled(data.n_active), data, ctx, encoder.Lesson(self.rebuilding, plan, size, room, (self.dropout,))
        )

    def settled(self, people: int) -> MultDAE:
        """The spec with a hidden layer, or none, for so many people."""
        return self if self.hidden is not None else self.model_copy(update={"hidden": encoder.hidden_for(people)})

    def rebuilding(self, net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
        """Mean over people of the loss of what they took."""
        return LOSSES[self.loss](net(batch), batch.row, batch.item).mean()

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimiser, and the scores of a batch."""
        size, copies = self.batch or encoder.size_for(n_users), (encoder.COPIES, HELD[self.loss])
        return encoder.room(self.settled(n_users), n_users, n_items, n_rows, size, copies)
