r"""Neural EASE (NEASE): EASE's weights learnt by gradient, so that any loss of whole lists can judge its scores.

    s_u = x_u W,    W (n, n) with a zero diagonal

    minimise  Σ_u loss(s_u, x_u) + l2 · ‖W‖²

x_u is a history as a set, 0 or 1, with entries dropped where `dropout` is given; s_u are logits. With the loss "mse"
and no dropout the minimum is EASE's at the same l2; the others have no closed form, which is why there is a loop. W
starts at 0: there is no symmetry to break, and noise between items nobody took together would stay. An item never helps
to predict itself, so a person is asked for everything they took. The diagonal's gradient is set to 0 after each
backward pass: a rounding leftover there would be blown up by Adam, which divides by its size.

The paper judges σ(s) by the focal loss with one half of a history shown and the other asked for, and has no penalty.

Cost: a batch takes 4 · n operations an entry shown, and a pass over n² weights with their penalty and optimiser, which
is most of it; 60 n² bytes in training, 4 n² afterwards.

Vančura and Kordík, Deep Variational Autoencoder with Shallow Parallel Path (VASP), ICANN 2021, §3.2.
Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019. arXiv:1905.03375
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array
from torch import Tensor

from matinee.contract import Context
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.nn import encoder
from matinee.nn.batches import Batch
from matinee.nn.blocks import bag, hollow
from matinee.nn.losses import HELD, LOSSES
from matinee.nn.train import Plan
from matinee.spec import Search


class Net(encoder.AutoEncoder):
    """The weights W."""

    axes: ClassVar[Mapping[str, str]] = {"weight": "ii"}
    normal: ClassVar[bool] = False

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(n_items, n_items))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (b, n)."""
        return bag(self.weight, batch)


class NeuralEASE(encoder.AutoEncoderSpec):
    """EASE with a loss of one's choice, for the price of a training."""

    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use ease (a fifteenth of the memory), elsa (which grows with n), or a k-core."

    l2: Annotated[float, Field(ge=0), Search(0.1, 1000, log=True)] = 20.0
    """Ridge penalty on all weights; with the loss "mse" the l2 of EASE."""

    epochs: Annotated[int, Field(ge=1)] = 100
    """How often everybody is seen, at most where the stop fold decides."""

    batch: Annotated[int | None, Field(ge=1), Search(16, 2000, log=True)] = None
    """People in a batch; nothing means a 64th of them, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), Search(1e-4, 1e-2, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), Search(0, 0.7)] = 0.0
    """Share of a history hidden from the network while learning."""

    loss: Literal["multinomial", "bce", "focal", "mse"] = "bce"
    """What the logits are judged by; focal is the paper's."""

    def net(self, n_items: int, n_users: int) -> Net:
        """One matrix."""
        return Net(n_items)

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """Minimise the loss by Adam."""
        room = ctx.admit(self, data)
        prior = data.popularity.astype(np.float32)

        def shape(state: dict[str, NDArray[np.float32]], epochs: int) -> ItemItem:
            settled = self.model_copy(update={"epochs": epochs or self.epochs})
            return ItemItem(settled, data.items, state["weight"], prior)

        def penalised(net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
            return self.penalised(net, batch, data.n_active)

        size = self.batch or encoder.size_for(data.n_active)
        plan = Plan(self.epochs, self.learning_rate)
        lesson = encoder.Lesson(penalised, plan, size, room, (self.dropout,), begin=begin)
        return encoder.learnt(self, data, ctx, lesson, shape)

    def penalised(self, net: Net, batch: Batch, people: int) -> Tensor:
        """Mean over people of the loss of what they took, and the penalty's share of one of the `people` who learn."""
        judged = LOSSES[self.loss](net(batch), batch.row, batch.item).mean()
        return judged + self.l2 / people * net.weight.square().sum()

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimiser and penalty, and the scores of a batch."""
        size, copies = self.batch or encoder.size_for(n_users), (encoder.COPIES + 4, HELD[self.loss])
        return encoder.room(self, n_users, n_items, n_rows, size, copies)


def begin(net: Net, seen: csr_array, generator: torch.Generator) -> None:
    """Start at 0 and hold the diagonal there."""
    torch.nn.init.zeros_(net.weight)
    hollow(net.weight)
