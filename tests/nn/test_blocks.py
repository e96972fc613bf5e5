"""The bag against a dense product, its gradient too; products in bf16 only while training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from matinee.nn.batches import make_batch
from matinee.nn.blocks import normalize_rows, sparse_matmul
from matinee.nn.memory import bf16_matmul
from tests.logs import random_log


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_bag_is_a_product_with_the_rows(dropout):
    """Rows without an entry and items nobody is shown are among them."""
    matrix = random_log().matrix.copy()
    matrix = matrix[[3, 5, 8, 3]]
    batch = make_batch(matrix, np.arange(4), np.random.default_rng(1), dropout)
    dense = np.zeros(matrix.shape)
    row = np.repeat(np.arange(4), np.diff(batch.offsets.numpy()))
    dense[row, batch.input_item.numpy()] = batch.input_weight.numpy()
    weight = torch.randn(matrix.shape[1], 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    weight.requires_grad_()
    made = sparse_matmul(weight, batch)
    np.testing.assert_allclose(made.detach().numpy(), dense @ weight.detach().numpy(), atol=1e-7)
    grad = torch.randn(made.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    made.backward(grad)
    assert weight.grad is not None
    np.testing.assert_allclose(weight.grad.numpy(), dense.T @ grad.numpy(), atol=1e-7)


def test_an_empty_batch_of_entries_has_no_gradient():
    matrix = random_log().matrix
    batch = make_batch(matrix[[0]][:, :0], np.arange(1))
    assert len(batch.input_item) == 0
    weight = torch.ones(5, 2, requires_grad=True)
    made = sparse_matmul(weight, batch)
    made.sum().backward()
    assert weight.grad is not None
    assert (made == 0).all()
    assert (weight.grad == 0).all()


def test_products_are_exact_again_after_training():
    places = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)
    before = [place.fp32_precision for place in places]

    def fails_within():
        with bf16_matmul():
            assert [place.fp32_precision for place in places] == ["bf16", "tf32"]
            raise KeyError

    with pytest.raises(KeyError):
        fails_within()
    with bf16_matmul(quick=False):
        assert [place.fp32_precision for place in places] == before
    assert [place.fp32_precision for place in places] == before


def test_directions_against_autograd():
    """A row of zeros among them stays one and takes no part."""
    weight = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weight[2] = 0.0
    grad = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = []
    for way in (normalize_rows, lambda w: torch.nn.functional.normalize(w, dim=1)):
        one = weight.clone().requires_grad_()
        made = way(one)
        made.backward(grad)
        assert one.grad is not None
        found.append((made.detach().numpy(), np.delete(one.grad.numpy(), 2, axis=0)))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
