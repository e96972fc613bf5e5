r"""CDAE: a denoising auto-encoder whose hidden layer also knows who is asking.

    z_u = tanh(W'x̃_u + V_u + b),    s_u = W₂ z_u + b₂

    minimise  Σ_u E [loss(x_u, s_u)]   over what is dropped of x̃_u, and V_u

x̃_u (n,) is the history divided by ‖x_u‖₂ with entries dropped; W (n, factors) and W₂ (n, factors) have a row an item,
V (users, factors) a row for each person of the log. With the multinomial loss this is known as Multi-CDAE, and without
V it is Mult-DAE. The paper's hidden unit is σ, of which tanh is a shift and a stretch, and it draws negatives where
this sums over the catalogue.

Somebody new has V_u = 0. So that the network has seen such people, each person is one in a share `user_dropout` of the
batches they are in; known or new, both are as they will be asked for, and nothing is rescaled. Everybody starts as
somebody new, V = 0.

The rules for batch and epochs are those of `mult_vae`. Cost: an epoch takes 6 · users · factors · n operations in the
output layer and 6 · factors an entry shown in the input, which is never made dense; 88 · factors · n + 44 · factors ·
users bytes of weights.

Wu, DuBois, Zheng and Ester, Collaborative Denoising Auto-Encoders for Top-N Recommender Systems, WSDM 2016
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from scipy.sparse import csr_array
from torch import Tensor

from matinee.contract import Context
from matinee.data import Interactions
from matinee.nn import encoder
from matinee.nn.batches import Batch
from matinee.nn.blocks import Bag
from matinee.nn.losses import HELD, LOSSES
from matinee.nn.train import Plan
from matinee.spec import Search


class Net(encoder.AutoEncoder):
    """Two layers, and a row for each person that is added to the sums of the hidden one."""

    axes: ClassVar[Mapping[str, str]] = {
        "first.weight": "i.",
        "output.weight": "i.",
        "output.bias": "i",
        "person.weight": "u.",
    }

    def __init__(self, n_items: int, n_users: int, factors: int) -> None:
        super().__init__()
        self.first = Bag(n_items, factors)
        self.output = torch.nn.Linear(factors, n_items)
        self.person = torch.nn.Embedding(n_users, factors)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (b, n); user −1 is somebody new, to whom nothing is added."""
        known = torch.nonzero(batch.user >= 0)[:, 0]
        sums = self.first(batch).index_add(0, known, self.person(batch.user[known]))
        return self.output(torch.tanh(sums))


class CDAE(encoder.AutoEncoderSpec):
    """A Mult-DAE with a memory for each person, to whom the same history may mean something else."""

    query_by: ClassVar[Literal["history", "user_id", "both"]] = "both"
    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use fewer factors, a smaller batch, a k-core, or mult_dae, which keeps no people."

    factors: Annotated[int, Field(ge=1), Search(32, 800, log=True)] = 200
    """Size of the hidden layer."""

    epochs: Annotated[int, Field(ge=1)] = 100
    """How often everybody is seen, at most where the stop fold decides."""

    batch: Annotated[int | None, Field(ge=1), Search(16, 2000, log=True)] = None
    """People in a batch; nothing means a 64th of them, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), Search(3e-4, 3e-3, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), Search(0.2, 0.7)] = 0.5
    """Share of a history hidden from the network while learning."""

    user_dropout: Annotated[float, Field(ge=0, le=1), Search(0.1, 0.9)] = 0.5
    """How often a person is learnt as somebody new; 1 knows nobody by name, 0 never learns from a stranger."""

    l2: Annotated[float, Field(ge=0), Search(0, 0.1)] = 0.01
    """Weight decay: what matrices lose a step, times the learning rate."""

    loss: Literal["multinomial", "bce", "focal", "mse"] = "multinomial"
    """What the logits are judged by; the paper's are bce and mse."""

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers n → factors → n, and `n_users` rows."""
        return Net(n_items, n_users, self.factors)

    def fit(self, data: Interactions, ctx: Context = Context()) -> encoder.Encoder:
        """Minimise the loss by Adam."""
        room = ctx.admit(self, data)
        plan = Plan(self.epochs, self.learning_rate, self.l2)
        size = self.batch or encoder.size_for(data.n_active)
        lesson = encoder.Lesson(self.rebuilding, plan, size, room, (self.dropout,), begin=strangers)
        return encoder.learn(self, data, ctx, lesson)

    def rebuilding(self, net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
        """Mean over people of the loss of what they took, each a stranger with chance `user_dropout`."""
        known = torch.rand(len(batch), generator=moment.noise) >= self.user_dropout
        user = torch.where(known.to(batch.user.device), batch.user, -1)
        return LOSSES[self.loss](net(replace(batch, user=user)), batch.row, batch.item).mean()

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimiser, those of people too, and the scores of a batch."""
        size, copies = self.batch or encoder.size_for(n_users), (encoder.COPIES, HELD[self.loss])
        return encoder.room(self, n_users, n_items, n_rows, size, copies)


def strangers(net: Net, matrix: csr_array, noise: torch.Generator) -> None:
    """Start the rows of people at 0; all else stays as it is."""
    torch.nn.init.zeros_(net.person.weight)
