"""Layers of networks and the initial values of their weights."""

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
    """A linear layer on sparse input.

    Its output (b, d) is Σ weight_s W_s + b over the input of each row.
    W (n, d) has a row per item. Time and memory are linear in the input entries; no dense input (b, n) is built.
    """

    def __init__(self, n_items: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items, width))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, batch: Batch) -> Tensor:
        """Sums (b, d)."""
        return sparse_matmul(self.weight, batch) + self.bias


def sparse_matmul(weight: Tensor, batch: Batch) -> Tensor:
    """Σ weight_s W_s over the input of each row, (b, d), for W (n, d); differentiable in W."""
    return cast(Tensor, _SparseMatmul.apply(weight, batch.input_item, batch.offsets, batch.input_weight))


class _SparseMatmul(torch.autograd.Function):
    """Embedding bag; its gradient is the bag of the transposed input, which writes each row once."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, item: Tensor, offsets: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(item, offsets, weight)
        ctx.n_items = len(table)
        return _embedding_bag(table, item, offsets, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        item, offsets, weight = ctx.saved_tensors
        return _embedding_bag(grad, *_transpose_bag(item, offsets, weight, ctx.n_items)), None, None, None


def _transpose_bag(item: Tensor, offsets: Tensor, weight: Tensor, n_items: int) -> tuple[Tensor, Tensor, Tensor]:
    """The transposed bag, items ascending: row, offsets (n + 1,), weight."""
    if item.device.type == "cpu":  # counting sort of SciPy, four times as fast
        shape = (len(offsets) - 1, n_items)
        transposed = csr_array((weight.numpy(), item.numpy(), offsets.numpy()), shape=shape).tocsc()
        arrays = transposed.indices.astype(np.int64), transposed.indptr.astype(np.int64), transposed.data
        return cast(tuple[Tensor, Tensor, Tensor], tuple(torch.from_numpy(array) for array in arrays))
    row = torch.repeat_interleave(offsets.diff())
    order = torch.argsort(item, stable=True)
    starts = torch.zeros(n_items + 1, dtype=torch.int64, device=item.device)
    torch.cumsum(torch.bincount(item, minlength=n_items), 0, out=starts[1:])
    return row[order], starts, weight[order]


def _embedding_bag(table: Tensor, row: Tensor, offsets: Tensor, weight: Tensor) -> Tensor:
    return functional.embedding_bag(
        row,
        table.contiguous(),
        offsets,
        mode="sum",
        per_sample_weights=weight.to(table.dtype),
        include_last_offset=True,
    )


def normalize_rows(weight: Tensor) -> Tensor:
    """The rows of W (n, d) divided by their lengths; the backward pass needs two matrices."""
    return cast(Tensor, _NormalizeRows.apply(weight))


class _NormalizeRows(torch.autograd.Function):
    """a = w / ‖w‖; the gradient g of a gives (g − (g·a) a) / ‖w‖ for w. Rows of zeros stay zero."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(weight, dim=1, keepdim=True).clamp_min_(1e-12)
        unit = weight / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        unit, length = ctx.saved_tensors
        along = torch.linalg.vecdot(grad, unit, dim=1)[:, None]
        return torch.addcmul(grad, unit, along, value=-1.0).div_(length)


def freeze_diagonal(weight: nn.Parameter) -> None:
    """Set the gradient of the diagonal of an item × item matrix to 0 after each backward pass.

    Subtracting the diagonal from the scores instead leaves rounding errors, which Adam amplifies by its division.
    """
    weight.register_post_accumulate_grad_hook(_freeze_diagonal)


def _freeze_diagonal(weight: Tensor) -> None:
    if weight.grad is not None:
        weight.grad.fill_diagonal_(0.0)


class TanhMLP(nn.Module):
    """Linear layers of the given widths, each followed by tanh, the last one only with `last`."""

    def __init__(self, widths: Sequence[int], *, last: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """The output (b, widths[−1]) for x (b, widths[0])."""
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if self.last or i + 1 < len(self.layers):
                x = torch.tanh(x)
        return x


class Residual(nn.Module):
    """Densely connected layers of one width: h_k = LN(swish(W_k h_{k−1} + b_k + Σ_{1≤j<k} h_j)).

    The first product, W_1 h_0 + b_1, is the input, because h_0 may be sparse. Shenbin et al., RecVAE, 2020.
    """

    def __init__(self, width: int, depth: int, eps: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=eps) for _ in range(depth))

    def forward(self, first: Tensor) -> Tensor:
        """h_depth (b, width) of W_1 h_0 + b_1 (b, width)."""
        h = self.norms[0](functional.silu(first))
        total = h
        for layer, norm in zip(self.layers, self.norms[1:], strict=True):
            h = norm(functional.silu(layer(h) + total))
            total = total + h
        return h


def init_parameters(net: nn.Module, generator: torch.Generator) -> None:
    """Set initial weights: Glorot normal for matrices, normal with deviation 0.001 for vectors.

    Layer normalization is initialized as the identity. Glorot and Bengio, AISTATS 2010.
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
