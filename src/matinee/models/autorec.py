r"""AutoRec: each history rebuilt through one hidden layer, every cell counting, taken or not.

    h(x) = W g(Vx + μ) + b

    minimise  Σ_u loss(x_u, h(x_u)) + l2 / 2 · (‖V‖² + ‖W‖²)

x (n,) is a history as it stands, 0 or 1; V (factors, n), W (n, factors), μ (factors,), b (n,); g is `activation`. This
is the user-based model, which scores somebody new exactly like everybody else. The paper predicts ratings, and its loss
is the squared error of the cells that are rated. Where all that is known is who took what, cells not taken have to
count, or all ones would be the best answer; and the default is the multinomial loss, which on MovieLens ranks better
than squared error over all cells. This is then Mult-DAE with σ for tanh, histories not divided by their length, and a
penalty where that hides half of what it is shown.

With `activation` "identity", `loss` "mse" and factors ≥ n the minimum is known: with the means x̄ taken out, X − x̄ =
P diagM(s) Q', the scores are x̄ + (x − x̄) Q diagM(max(0, 1 − l2 / 2s²)) Q'. Ridge regression of X on itself has
s² / (s² + l2 / 2) there: both shrink the same for large s, but this one forgets a direction that is weak.

The penalty is part of what is minimised, not a decay beside it, and belongs to a sum over people, so that its weight
need not change with their number. The rule for batch and epochs is that of `mult_vae`. Cost: an epoch takes 6 · users ·
factors · n operations in the output layer and 6 · factors an entry in the input, which is never made dense; 104 ·
factors · n bytes of weights.

Sedhain, Menon, Sanner and Xie, AutoRec: Autoencoders Meet Collaborative Filtering, WWW 2015
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from matinee.contract import Context
from matinee.data import Interactions
from matinee.nn import encoder
from matinee.nn.batches import Batch
from matinee.nn.blocks import Bag
from matinee.nn.losses import HELD, LOSSES
from matinee.nn.train import Plan
from matinee.spec import Search

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "identity": torch.positive,
}
"""What a hidden unit makes of its sum, by name."""


class Net(encoder.AutoEncoder):
    """Two layers; the histories it is shown are 0 or 1."""

    axes: ClassVar[Mapping[str, str]] = {"first.weight": "i.", "output.weight": "i.", "output.bias": "i"}
    normal: ClassVar[bool] = False

    def __init__(self, n_items: int, factors: int, activation: str) -> None:
        super().__init__()
        self.first = Bag(n_items, factors)
        self.output = torch.nn.Linear(factors, n_items)
        self.activation = ACTIVATIONS[activation]

    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n)."""
        return self.output(self.activation(self.first(batch)))


class AutoRec(encoder.AutoEncoderSpec):
    """The first auto-encoder for recommendation, and the plainest."""

    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use fewer factors, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), Search(32, 800, log=True)] = 200
    """Size of the hidden layer."""

    activation: Literal["sigmoid", "tanh", "identity"] = "sigmoid"
    """What a hidden unit makes of its sum; sigmoid is the paper's best, identity makes the model linear."""

    epochs: Annotated[int, Field(ge=1)] = 100
    """How often everybody is seen, at most where the stop fold decides."""

    batch: Annotated[int | None, Field(ge=1), Search(16, 2000, log=True)] = None
    """People in a batch; nothing means a 64th of them, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), Search(3e-4, 1e-2, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), Search(0, 0.7)] = 0.0
    """Share of a history hidden from the network while learning; the paper hides nothing."""

    l2: Annotated[float, Field(ge=0), Search(0.1, 100, log=True)] = 1.0
    """Penalty on the squares of both matrices, beside a loss summed over people."""

    loss: Literal["multinomial", "bce", "focal", "mse"] = "multinomial"
    """What the scores are judged by; mse is the paper's, over every cell."""

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers n → factors → n."""
        return Net(n_items, self.factors, self.activation)

    def fit(self, data: Interactions, ctx: Context = Context()) -> encoder.Encoder:
        """Minimise the objective by Adam."""
        room = ctx.admit(self, data)
        people = data.n_active

        def loss(net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
            return self.objective(net, batch, people)

        plan = Plan(self.epochs, self.learning_rate)
        size = self.batch or encoder.size_for(data.n_active)
        return encoder.learn(self, data, ctx, encoder.Lesson(loss, plan, size, room, (self.dropout,)))

    def objective(self, net: Net, batch: Batch, people: int) -> Tensor:
        """The objective divided by how many `people` it sums over, as a batch of them tells it."""
        rebuilt = LOSSES[self.loss](net(batch), batch.row, batch.item).mean()
        squares = net.first.weight.square().sum() + net.output.weight.square().sum()
        return rebuilt + (self.l2 / (2.0 * people)) * squares

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimiser, and the scores of a batch."""
        size, copies = self.batch or encoder.size_for(n_users), (encoder.COPIES + 2, HELD[self.loss])
        return encoder.room(self, n_users, n_items, n_rows, size, copies)
