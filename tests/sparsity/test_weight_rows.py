"""Weights as matrices: outputs are their rows times the unfolded inputs."""

import pytest
import torch
from torch import nn

from suite.sparsity.weight_rows import from_rows, to_rows, unfolded


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 3, bias=False), (4, 5)),
        (nn.Linear(5, 3, bias=False), (2, 7, 5)),
        (nn.Linear(5, 3, bias=False), (5,)),
        (nn.Conv1d(4, 6, 3, stride=2, padding=2, groups=2, bias=False), (3, 4, 9)),
        (nn.Conv2d(4, 8, (3, 2), (1, 2), (2, 1), (2, 1), 4, bias=False), (3, 4, 8, 7)),
        (nn.Conv2d(3, 6, 3, padding="same", dilation=2, bias=False), (2, 3, 6, 6)),
        (nn.Conv2d(4, 2, 3, padding=1, padding_mode="circular", bias=False), (2, 4, 5, 5)),
        (nn.Conv2d(4, 2, 3, padding=(2, 0), padding_mode="reflect", bias=False), (2, 4, 5, 5)),
        (nn.Conv2d(2, 4, 3, padding="valid", bias=False), (2, 5, 5)),
        (nn.Conv3d(2, 3, (1, 2, 3), padding=1, bias=False), (2, 2, 4, 4, 4)),
    ],
    ids=["tokens", "batch of tokens", "one token", "conv1d", "grouped", "same", "circular",
         "reflect", "one image", "conv3d"],
)  # fmt: skip
@pytest.mark.parametrize("at_once", [2**24, 60])
def test_outputs_are_rows_times_unfolded_inputs(layer, shape, at_once, monkeypatch):
    monkeypatch.setattr("suite.sparsity.weight_rows.AT_ONCE", at_once)
    layer, x = layer.double(), torch.randn(shape, generator=torch.manual_seed(0)).double()
    rows = to_rows(layer.weight.detach(), getattr(layer, "groups", 1))
    features = torch.cat(list(unfolded(layer, x)), 1)
    products = rows @ features.mT  # [groups, out / groups, positions]
    outputs = layer(x)
    if isinstance(layer, nn.Linear):
        expected = outputs.reshape(-1, layer.out_features).T
    else:
        batch = outputs if outputs.ndim == layer.weight.ndim else outputs.unsqueeze(0)
        expected = batch.movedim(1, 0).flatten(1)
    torch.testing.assert_close(products.flatten(0, 1), expected)
    assert torch.equal(from_rows(rows, layer.weight.shape), layer.weight)
