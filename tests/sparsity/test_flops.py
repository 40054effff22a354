import math

import pytest
import torch
from torch import nn

from suite.sparsity.flops import FlopsLedger, ForwardFlops, measure_forward
from suite.sparsity.schedule import CubicRamp
from tests.support.helpers import PLAN, attach, conv_net, fit, make


class Tokens(nn.Module):
    """Linear layers over 3-D inputs, one of them shared and one called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.once = nn.Linear(6, 4, bias=False)
        self.twice = nn.Linear(4, 4, bias=False)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.twice.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tied(self.twice(self.twice(self.once(x))))


def test_tokens_shared_weights_and_repeated_calls_are_counted():
    flops = measure_forward(Tokens(), torch.randn(5, 7, 6))
    assert flops.layers == {"once": 2 * 7 * 6 * 4, "twice": 3 * 2 * 7 * 4 * 4}
    assert flops.other == 0


def test_operations_belong_to_the_weight_they_read_whoever_runs_them():
    class Roundabout(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.ModuleDict({"l": nn.Linear(4, 4, bias=False)})
            self.second = nn.ModuleDict({"l": self.first["l"]})
            self.by_function = nn.Linear(4, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.second["l"](self.first["l"](x))
            return nn.functional.linear(x, self.by_function.weight)

    flops = measure_forward(Roundabout(), torch.randn(3, 4))
    assert flops.layers == {"first.l": 2 * 2 * 16, "by_function": 2 * 24}


def test_attention_is_counted():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    flops = measure_forward(layer, torch.randn(2, 5, 8))
    assert flops.layers == {
        "self_attn.out_proj": 2 * 5 * 64,
        "linear1": 2 * 5 * 128,
        "linear2": 2 * 5 * 128,
    }
    # Projections to query, key and value, and two products of 5 × 5 by 4 for each of two heads.
    assert flops.other == 2 * 5 * 8 * 24 + 2 * 2 * 2 * 25 * 4


def test_what_cannot_be_pruned_costs_the_same_at_any_density():
    flops = ForwardFlops({"a": 100.0, "b": 10.0}, other=50.0)
    assert flops.dense == 160.0
    assert flops.at({}) == 160.0
    assert flops.at({"a": 0.5}) == 110.0  # `b` is not among those that are pruned: dense
    assert flops.at({"a": 0.5, "b": 0.1}) == 101.0
    assert flops.at({"a": 0.0, "b": 0.0}) == 50.0


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrent_layers_are_counted_by_step_layer_and_direction(kind, gates):
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = kind(8, 16, 2, bidirectional=True, batch_first=True)
            self.head = nn.Linear(32, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.layer(x)[0][:, -1])

    enabled = torch.backends.mkldnn.enabled
    flops = measure_forward(Recurrent(), torch.randn(3, 5, 8))
    assert torch.backends.mkldnn.enabled == enabled
    assert flops.layers == {"head": 2 * 32 * 4}
    by_step = 2 * gates * 16 * ((8 + 16) + (32 + 16))
    assert flops.other == 2 * 5 * by_step


def test_convolutions_count_groups_and_strides():
    flops = measure_forward(conv_net(), torch.randn(2, 1, 8, 8))
    assert flops.layers == {
        "0": 2 * 64 * 8 * 9,
        "3": 2 * 16 * 16 * 4 * 9,
        "6": 2 * 256 * 32,
        "8": 2 * 320,
    }


def test_measuring_leaves_buffers_modes_random_state_and_hooks_alone():
    model = conv_net()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    measure_forward(model, torch.randn(4, 1, 8, 8, generator=torch.Generator()))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def ledger_after(method: str, **options) -> tuple[float, float]:
    """Return (charged, 3 f_D × batch × steps) after a whole run of `PLAN`."""
    model = conv_net()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    sparsifier = make(method, **options)
    attach(sparsifier, model, optimizer)
    flops = measure_forward(model, torch.randn(1, 1, 8, 8))
    ledger = FlopsLedger(flops, 32)

    original = sparsifier.after_backward

    def charged(step: int) -> bool:
        ledger.charge_step(sparsifier.layers, dense_gradient=sparsifier.wants_dense_gradient(step))
        return original(step)

    sparsifier.after_backward = charged  # type: ignore[method-assign]
    fit(model, optimizer, sparsifier)
    dense = 3 * flops.dense * 32 * PLAN.steps
    sparse = flops.sparse(sparsifier.layers) / flops.dense
    return ledger.total / dense, sparse


def test_a_dense_step_costs_three_forward_passes():
    assert ledger_after("dense") == (1.0, 1.0)


@pytest.mark.parametrize("method", ["static", "set"])
def test_constant_sparsity_costs_its_density(method):
    charged, sparse = ledger_after(method)
    assert charged == pytest.approx(sparse, rel=1e-9)


def test_rigl_pays_for_dense_gradients_at_updates_only():
    every = 7
    charged, sparse = ledger_after("rigl", update_every=every, update_end=1.0)
    updates = math.ceil(PLAN.steps / every) - 1
    expected = sparse + updates * (1 - sparse) / 3 / PLAN.steps
    assert charged == pytest.approx(expected, rel=1e-9)


def test_gradual_pruning_costs_the_average_over_its_ramp():
    charged, sparse = ledger_after("magnitude", update_every=1)
    ramp = CubicRamp(0, 1, 0, int(0.75 * PLAN.steps))  # a step uses the masks of the one before
    shares = [ramp(step - 1) for step in range(1, PLAN.steps + 1)]
    average = 1 - (1 - sparse) * sum(shares) / PLAN.steps
    assert charged == pytest.approx(average, rel=0.01)
