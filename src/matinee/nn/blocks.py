"""Parts networks are built of, and how weights start."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from matinee.nn.batches import Batch


class SparseLinear(nn.Module):
    """A dense layer on sparse input: Σ weight_s W_s + b over what each row of a batch is shown, (b, d).

    W (n, d) has a row an item. Work and memory go with the entries shown; the input (b, n) is never made.
    """

    def __init__(self, n_items: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items, width))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, batch: Batch) -> Tensor:
        """Sums (b, d)."""
        return sparse_matmul(self.weight, batch) + self.bias


def sparse_matmul(weight: Tensor, batch: Batch) -> Tensor:
    """Σ weight_s W_s over what each row of a batch is shown, (b, d), for W (n, d); differentiable in W."""
    return cast(Tensor, _SparseMatmul.apply(weight, batch.input_item, batch.offsets, batch.input_weight))


class _SparseMatmul(torch.autograd.Function):
    """The gradient of a bag is the bag of the transpose: one pass that writes each row once, nothing filled with 0."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, shown: Tensor, offsets: Tensor, share: Tensor) -> Tensor:
        ctx.save_for_backward(shown, offsets, share)
        ctx.n_items = len(weight)
        return _embedding_bag(weight, shown, offsets, share)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        shown, offsets, share = ctx.saved_tensors
        return _embedding_bag(grad, *_transpose_bag(shown, offsets, share, ctx.n_items)), None, None, None


def _transpose_bag(shown: Tensor, offsets: Tensor, share: Tensor, n_items: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which rows each item is shown to, items ascending, as a bag: row, offsets (n + 1,), share."""
    if shown.device.type == "cpu":  # SciPy counts where a GPU sorts: four times as fast
        shape = (len(offsets) - 1, n_items)
        made = csr_array((share.numpy(), shown.numpy(), offsets.numpy()), shape=shape).tocsc()
        arrays = made.indices.astype(np.int64), made.indptr.astype(np.int64), made.data
        return cast(tuple[Tensor, Tensor, Tensor], tuple(torch.from_numpy(array) for array in arrays))
    row = torch.repeat_interleave(offsets.diff())
    order = torch.argsort(shown, stable=True)
    turned = torch.zeros(n_items + 1, dtype=torch.int64, device=shown.device)
    torch.cumsum(torch.bincount(shown, minlength=n_items), 0, out=turned[1:])
    return row[order], turned, share[order]


def _embedding_bag(table: Tensor, row: Tensor, offsets: Tensor, share: Tensor) -> Tensor:
    return functional.embedding_bag(
        row, table.contiguous(), offsets, mode="sum", per_sample_weights=share.to(table.dtype), include_last_offset=True
    )


def normalize_rows(weight: Tensor) -> Tensor:
    """The rows of W (n, d) divided by their lengths, with one matrix kept for the gradient and one made of it."""
    return cast(Tensor, _NormalizeRows.apply(weight))


class _NormalizeRows(torch.autograd.Function):
    """Of a = w / ‖w‖ with the gradient g: (g − (g·a) a) / ‖w‖ is what w gets. A row of zeros stays one."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(weight, dim=1, keepdim=True).clamp_min_(1e-12)
        made = weight / length
        ctx.save_for_backward(made, length)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        made, length = ctx.saved_tensors
        along = torch.linalg.vecdot(grad, made, dim=1)[:, None]
        return torch.addcmul(grad, made, along, value=-1.0).div_(length)


def freeze_diagonal(weight: nn.Parameter) -> None:
    """Hold the diagonal of an item × item matrix where it is: its gradient becomes 0 after each backward pass.

    Subtracting what an item says of itself would leave roundings, which Adam, dividing by their size, blows up.
    """
    weight.register_post_accumulate_grad_hook(_freeze_diagonal)


def _freeze_diagonal(weight: Tensor) -> None:
    if weight.grad is not None:
        weight.grad.fill_diagonal_(0.0)


class TanhMLP(nn.Module):
    """Dense layers of the given widths with tanh after each but, unless `last`, the last."""

    def __init__(self, widths: Sequence[int], *, last: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """From (b, widths[0]) to (b, widths[−1])."""
        for place, layer in enumerate(self.layers):
            x = layer(x)
            if self.last or place + 1 < len(self.layers):
                x = torch.tanh(x)
        return x


class Residual(nn.Module):
    """Layers of one width, each added to by all before it: h_k = LN(swish(W_k h_{k−1} + b_k + Σ_{1≤j<k} h_j)).

    The first product, W_1 h_0 + b_1, is given, since what it is taken from may be sparse. Shenbin et al., RecVAE, 2020.
    """

    def __init__(self, width: int, depth: int, eps: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=eps) for _ in range(depth))

    def forward(self, first: Tensor) -> Tensor:
        """h_depth (b, width) of W_1 h_0 + b_1 (b, width)."""
        h = self.norms[0](functional.silu(first))
        before = h
        for layer, norm in zip(self.layers, self.norms[1:], strict=True):
            h = norm(functional.silu(layer(h) + before))
            before = before + h
        return h


def init_parameters(net: nn.Module, generator: torch.Generator) -> None:
    """Fill every parameter: matrices by Glorot and Bengio (AISTATS 2010), normal; vectors normal of deviation 0.001.

    Layer normalisation starts as the identity.
    """
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter, generator=generator)
            else:
                nn.init.trunc_normal_(parameter, std=0.001, generator=generator)
    for part in net.modules():
        if isinstance(part, nn.LayerNorm):
            part.reset_parameters()
