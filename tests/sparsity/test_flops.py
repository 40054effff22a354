import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import flop_registry

from suite.core.errors import InvalidInput
from suite.sparsity.candidates import Candidates
from suite.sparsity.flops import FlopsLedger, ForwardFlops, gradients_read, measure_forward
from suite.sparsity.prunable import ALL_MATRICES, Coverage
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


@pytest.mark.parametrize("known", [True, False])
def test_attention_is_counted(known, monkeypatch):
    """Also by versions of torch that have no formula for attention on a CPU."""
    if not known:
        on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        monkeypatch.delitem(flop_registry, on_cpu, raising=False)
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


class Turned(nn.Module):
    """Takes examples first, and gives a layer the tokens first where it wants them so."""

    def __init__(self, layer: nn.Module, *, batch_first: bool, inputs: int = 1) -> None:
        super().__init__()
        self.layer, self.batch_first, self.inputs = layer, batch_first, inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.batch_first else x.transpose(0, 1)
        return self.layer(*[x] * self.inputs)[0]


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_every_weight_of_a_recurrent_layer_has_its_operations(kind, gates, batch_first):
    layer = kind(8, 16, 2, bidirectional=True, batch_first=batch_first)
    model = Turned(layer, batch_first=batch_first)
    flops = measure_forward(model, torch.randn(3, 5, 8), ALL_MATRICES)
    inputs = {"l0": 8, "l0_reverse": 8, "l1": 32, "l1_reverse": 32}
    hidden = {f"layer.weight_hh_{end}": 2 * 5 * gates * 16 * 16 for end in inputs}
    first = {f"layer.weight_ih_{end}": 2 * 5 * gates * 16 * n for end, n in inputs.items()}
    assert flops.layers == hidden | first
    assert flops.other == 0


def test_the_projection_of_an_lstm_is_counted_at_every_step():
    model = Turned(nn.LSTM(8, 16, proj_size=4, batch_first=True), batch_first=True)
    flops = measure_forward(model, torch.randn(3, 5, 8), ALL_MATRICES)
    assert flops.layers == {
        "layer.weight_ih_l0": 2 * 5 * 64 * 8,
        "layer.weight_hh_l0": 2 * 5 * 64 * 4,
        "layer.weight_hr_l0": 2 * 5 * 4 * 16,
    }


def test_weights_packed_into_one_memory_are_told_apart():
    """As cuDNN packs those of a recurrent layer."""
    layer = nn.GRU(8, 16, batch_first=True)
    weights = [layer.weight_ih_l0, layer.weight_hh_l0]
    packed = torch.cat([weight.detach().flatten() for weight in weights])
    for weight, part in zip(weights, packed.split([384, 768]), strict=True):
        weight.data = part.view_as(weight)
    flops = measure_forward(Turned(layer, batch_first=True), torch.randn(2, 5, 8), ALL_MATRICES)
    assert flops.layers == {
        "layer.weight_ih_l0": 2 * 5 * 384,
        "layer.weight_hh_l0": 2 * 5 * 768,
    }


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNNCell, 1), (nn.GRUCell, 3), (nn.LSTMCell, 4)])
def test_a_cell_is_counted_for_one_step(kind, gates):
    flops = measure_forward(kind(8, 16), torch.randn(3, 8), ALL_MATRICES)
    assert flops.layers == {"weight_ih": 2 * gates * 16 * 8, "weight_hh": 2 * gates * 16 * 16}
    assert flops.other == 0


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_packed_projections_of_attention_have_their_operations(batch_first):
    attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
    model = Turned(attention, batch_first=batch_first, inputs=3)
    flops = measure_forward(model, torch.randn(2, 5, 8), ALL_MATRICES)
    assert flops.layers == {"layer.in_proj_weight": 2 * 5 * 24 * 8, "layer.out_proj": 2 * 5 * 64}
    assert flops.other == 2 * 2 * 2 * 25 * 4


def test_attention_to_other_sizes_of_keys_counts_each_projection():
    attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=4, batch_first=True)
    example = (torch.randn(2, 5, 8), torch.randn(2, 7, 6), torch.randn(2, 7, 4))
    flops = measure_forward(attention, example, ALL_MATRICES)
    assert flops.layers == {
        "q_proj_weight": 2 * 5 * 64,
        "k_proj_weight": 2 * 7 * 48,
        "v_proj_weight": 2 * 7 * 32,
        "out_proj": 2 * 5 * 64,
    }
    assert flops.other == 2 * 2 * 2 * 5 * 7 * 4


def test_attention_to_another_sequence_reads_parts_of_the_packed_weight():
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    example = {
        "query": torch.randn(2, 5, 8),
        **dict.fromkeys(("key", "value"), torch.ones(2, 7, 8)),
    }
    flops = measure_forward(attention, example, ALL_MATRICES)
    assert flops.layers == {"in_proj_weight": 2 * (5 + 2 * 7) * 64, "out_proj": 2 * 5 * 64}


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_transposed_convolution_uses_every_weight_once_at_each_input(dims):
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
    layer = kind(4, 6, 3, stride=2, groups=2)
    flops = measure_forward(layer, torch.randn(2, 4, *[5] * dims), ALL_MATRICES)
    assert flops.layers == {"": 2 * 5**dims * (4 * 3 * 3**dims)}
    assert flops.other == 0


@pytest.mark.parametrize("tokens", [(), (7,)])
def test_a_bilinear_layer_multiplies_by_its_weight_and_by_the_second_input(tokens):
    example = (torch.randn(2, *tokens, 3), torch.randn(2, *tokens, 4))
    flops = measure_forward(nn.Bilinear(3, 4, 5), example, ALL_MATRICES)
    places = math.prod(tokens)
    assert flops.layers == {"": places * 2 * 3 * 4 * 5}
    assert flops.other == places * 2 * 4 * 5


def test_looking_up_an_embedding_costs_nothing():
    model = nn.Sequential(nn.Embedding(20, 6), nn.Linear(6, 3))
    coverage = Coverage(("linear",), include=("Embedding",))
    flops = measure_forward(model, torch.zeros(2, 5, dtype=torch.int64), coverage)
    assert flops.layers == {"0": 0, "1": 2 * 5 * 18}


def test_a_matrix_of_ones_own_has_its_operations():
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.randn(6, 3))
            self.other = nn.Parameter(torch.randn(3, 2))

        def forward(self, *, x: torch.Tensor) -> torch.Tensor:
            return x @ self.matrix @ self.other

    coverage = Coverage(("linear",), include=("matrix",))
    flops = measure_forward(Product(), {"x": torch.randn(2, 6)}, coverage)
    assert flops.layers == {"matrix": 2 * 18}
    assert flops.other == 2 * 6


def test_examples_of_any_kind_are_left_as_they_are():
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
            return self.layer(x.mul_(scale))

    for example in ((torch.ones(2, 4), torch.full((2, 1), 3.0)), {}):
        given = example or {"x": torch.ones(2, 4), "scale": torch.full((2, 1), 3.0)}
        assert measure_forward(InPlace(), given).layers == {"layer": 2 * 12}
        assert torch.equal(given[0] if example else given["x"], torch.ones(2, 4))


@pytest.mark.parametrize("example", [(), {}, (3,), torch.ones(0, 4), torch.tensor(1.0)])
def test_an_example_without_a_batch_is_refused(example):
    with pytest.raises(InvalidInput, match="whose first dimension counts the examples"):
        measure_forward(nn.Linear(4, 3), example)


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


SIZES = {"a": 100, "b": 50}
"""Of layers that cost 3 and 4 operations per weight, beside 60 others."""
OF_TWO = ForwardFlops({"a": 300.0, "b": 200.0}, other=60.0)


def test_a_step_is_forward_pass_input_gradients_and_weight_gradients():
    active = {"a": 10, "b": 50}
    assert OF_TWO.of_counts(active, SIZES) == 30 + 200 + 60
    assert OF_TWO.step(SIZES, SIZES, SIZES) == 3 * 560
    assert OF_TWO.step(active, active, SIZES) == 3 * 290
    assert OF_TWO.step(active, {"a": 20, "b": 50}, SIZES) == 2 * 290 + 320


def test_the_gradients_of_a_step_are_those_trained_or_those_looked_at():
    active, trained = {"a": 10, "b": 50}, {"a": 30, "b": 50}
    assert gradients_read(active, SIZES, trained, dense_gradient=False) == trained
    assert gradients_read(active, SIZES, trained, dense_gradient=True) == SIZES
    few = gradients_read(active, SIZES, active, dense_gradient=True, candidates=Candidates(0.5))
    assert few == {"a": 15, "b": 50}


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


def test_a_ledger_keeps_the_parts_of_its_total_and_restores_them():
    flops = ForwardFlops({"a": 100.0, "b": 200.0}, other=10.0)
    ledger = FlopsLedger(flops, 4)
    ledger.charge_scoring(3.0, {"a": 0.5})
    ledger.charge_method(7.0)
    ledger.charge_method(5.0)
    assert (ledger.scoring, ledger.method, ledger.total) == (3 * 260.0, 12.0, 3 * 260.0 + 12.0)
    again = FlopsLedger(flops, 4)
    again.restore(ledger.state())
    again.charge_method(1.0)
    assert (again.scoring, again.method, again.total) == (780.0, 13.0, 793.0)
