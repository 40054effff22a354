"""The inputs of layers, seen while a network runs: which layers it calls, and how often."""

import torch
from torch import Tensor, nn

from suite.sparsity.layer_inputs import calls_of


def test_calls_are_in_the_order_of_the_network_not_of_its_modules():
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x))

    model = Backwards()
    found = calls_of(model, {"last": model.last, "first": model.first}, torch.ones(1, 2))
    assert list(found.items()) == [("first", 1), ("last", 1)]
