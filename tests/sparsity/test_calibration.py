"""Pruning after training: which inputs a layer is pruned by, and what is refused."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning, TrialFailed
from suite.sparsity.calibration import CalibratedPruning
from suite.sparsity.layer_inputs import calibrating
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import keep_top
from suite.sparsity.plan import Plan
from suite.sparsity.scoring import Examples
from tests.support.helpers import Charged

OPTIONS = {"distribution": "uniform", "uniform_dense": "none"}


class ByPositions(CalibratedPruning):
    """Keeps the first weights, and notes the statistic: the sum of inputs, and how many there were.

    Sums of small whole numbers are exact in any order.
    """

    def __init__(self, plan: Plan, options: dict[str, Any]) -> None:
        sizes = {"calibration_examples": 128, "calibration_batch": 128}
        super().__init__(plan, sizes | OPTIONS | options)
        self.seen: dict[str, list[float]] = {}

    def statistic(self, inputs: Tensor) -> Tensor:
        count = torch.full((len(inputs), 1), inputs.shape[1])
        return torch.cat([inputs.sum(1), count], 1)

    def prune(self, layer: PrunableWeight, statistic: Tensor, zeros: int) -> None:
        self.seen[layer.name] = statistic.flatten().tolist()
        order = torch.arange(layer.size, 0, -1).float()
        self.set_mask(layer, keep_top(order, layer.size - zeros).view(layer.shape))


def attached(model: nn.Module, x: Any, **options: Any) -> ByPositions:
    method = ByPositions(Plan(1, 0.5, 0, 0), options)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    flat = x if isinstance(x, Tensor) else next(iter(x.values() if isinstance(x, dict) else x))
    method.attach(model, optimizer, examples=Examples(x, torch.zeros(len(flat)), F.mse_loss, 0))
    return method


def linear(weight: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), bias=False)
    layer.weight.data = torch.tensor(weight, dtype=torch.float32)
    return layer


def test_a_layer_is_pruned_by_the_inputs_that_pruned_layers_give():
    model = nn.Sequential(linear([[1, 2], [3, 4]]), nn.ReLU(), linear([[1, 1], [1, 1]]))
    method = attached(model, torch.tensor([[1.0, 0.0], [2.0, 5.0]]))
    method.end_training()
    # Pruned to [[1, 2], [0, 0]], the first layer gives (1, 0) and (12, 0): sums 13, 0 of 2 inputs.
    assert method.seen == {"0": [3, 5, 2], "2": [13, 0, 2]}
    assert [layer.active for layer in method.layers] == [2, 2]


@pytest.mark.parametrize("size", [1, 2, 3, 128])
def test_small_batches_give_the_same_statistics(size):
    model = nn.Sequential(linear([[1, 2], [3, 4]]), nn.ReLU(), linear([[1, 1], [1, 1]]))
    x = torch.arange(14.0).view(7, 2)
    method = attached(model, x, calibration_batch=size)
    method.end_training()
    assert method.seen == {"0": [42, 49, 7], "2": [140, 0, 7]}  # 42 + 2·49 = 140


def test_only_so_many_examples_are_used():
    method = attached(nn.Sequential(linear([[1, 2]])), torch.ones(9, 2), calibration_examples=4)
    method.end_training()
    assert method.seen == {"0": [4, 4, 4]}


def test_all_examples_are_used_where_there_are_fewer_than_by_default_and_a_note_says_so():
    method = attached(nn.Sequential(linear([[1, 2]])), torch.ones(9, 2))
    method.end_training()
    assert method.seen == {"0": [9, 9, 9]}
    (note,) = method.notes()
    assert note.startswith("pruned by the inputs of 9 examples, all there are, not of")
    enough = attached(nn.Sequential(linear([[1, 2]])), torch.ones(9, 2), calibration_examples=9)
    assert enough.notes() == []


def test_more_examples_than_there_are_are_refused_unless_that_is_the_default():
    says = "calibration_examples=10: there are 9 examples to draw from: give at most 9"
    with pytest.raises(InvalidInput, match=says):
        attached(nn.Sequential(linear([[1, 2]])), torch.ones(9, 2), calibration_examples=10)


class Twice(nn.Module):
    """Calls one layer twice, with another one in between."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = linear([[1, 0], [5, 1]])
        self.between = linear([[1, 1], [1, 1]])

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(self.between(self.shared(x)))


def test_a_layer_that_is_called_twice_is_pruned_by_the_inputs_of_both_calls():
    method = attached(Twice(), torch.tensor([[1.0, 2.0]]))
    method.end_training()
    # shared, while dense: (1, 2) → (1, 7), between → (8, 8): inputs (1, 2) + (8, 8), 2 positions.
    # Then pruned to [[1, 0], [0, 0]]: (1, 2) → (1, 0), by which `between` is pruned.
    assert method.seen == {"shared": [9, 10, 2], "between": [1, 0, 1]}


class ByName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(4, 2)
        self.embed.weight.data = torch.tensor([[1.0, 0], [2, 0], [0, 3], [0, 4]])
        self.out = linear([[1, 1], [1, 1]])

    def forward(self, tokens: Tensor, factor: Tensor) -> Tensor:
        return self.out(input=self.embed(tokens) * factor[:, None, None])


def test_inputs_may_be_token_ids_and_several_tensors():
    for several in (dict, tuple):
        given: Any = {"tokens": torch.tensor([[0, 1], [2, 3]]), "factor": torch.tensor([1.0, 2.0])}
        given = given if several is dict else tuple(given.values())
        method = attached(ByName(), given)
        method.end_training()
        assert method.seen == {"out": [3, 14, 4]}


def test_the_network_is_left_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Sequential(nn.Linear(6, 2))
    )
    model[3].eval()
    method = attached(model, torch.randn(9, 4))
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(dict(model.named_buffers()))
    biases = [model[0].bias.clone(), model[3][0].bias.clone()]
    hooks = sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())
    state = torch.get_rng_state()
    method.end_training()
    assert torch.equal(state, torch.get_rng_state())
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in model.named_buffers())
    assert torch.equal(model[0].bias, biases[0])
    after = sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())
    assert hooks == after == 0


def test_buffers_written_in_evaluation_mode_are_restored():
    class Counting(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 2)
            self.register_buffer("calls", torch.zeros(()))

    model = Counting()
    model.register_forward_pre_hook(lambda module, args: module.calls.add_(1) and None)
    with calibrating(model):
        model(torch.ones(1, 2))
        assert int(model.calls) == 1
    assert int(model.calls) == 0


def test_fused_encoder_layers_are_run_module_by_module():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    method = attached(model, torch.randn(5, 3, 4), dense_layers=("self_attn*",))
    method.end_training()
    assert {name: seen[-1] for name, seen in method.seen.items()} == {"linear1": 15, "linear2": 15}
    assert torch.backends.mha.get_fastpath_enabled()


# ---------------------------------------------------------------------- what is refused


class Functional(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.fc = nn.Linear(3, 4), nn.Linear(4, 4)
        if kind == "tied":
            self.first = nn.Linear(4, 4)
            self.first.weight = self.fc.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.kind == "function":
            return F.linear(x, self.fc.weight)
        if self.kind == "also":
            return self.fc(x) + self.fc.weight[1:3].sum()
        return self.fc(x) if self.kind == "tied" else x


class Doubling(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(2 * input)


@pytest.mark.parametrize(
    ("model", "width", "says"),
    [
        (Functional("tied"), 4, r"layer 'first' shares its weight \(first.weight and fc.weight\)"),
        (Functional("function"), 3, "layer 'fc' is not called in a forward pass"),
        (Functional("never"), 3, "layer 'fc' is not called in a forward pass"),
        (Functional("also"), 3, "layer 'fc' has a weight that is also read outside the layer"),
        (nn.Sequential(nn.Linear(3, 4), Doubling(4, 4)), 3, "layer '1' has a forward pass of its"),
    ],
    ids=["tied", "function", "never", "also", "own forward"],
)
def test_a_layer_whose_inputs_cannot_be_seen_is_refused_when_attached(model, width, says):
    with pytest.raises(
        InvalidInput, match=f"ByPositions: {says}.*leave it dense with dense_layers"
    ):
        attached(model, torch.ones(4, width))
    named = "first" if "first" in says else "1" if "'1'" in says else "fc"
    attached(model, torch.ones(4, width), dense_layers=(named,)).end_training()


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        (nn.LSTM(3, 4, batch_first=True), r"weight_ih_l0' belongs to LSTM"),
        (nn.Sequential(nn.ConvTranspose1d(3, 4, 3)), r"0' belongs to ConvTranspose1d"),
        (nn.TransformerEncoderLayer(4, 2, 8), "self_attn.in_proj_weight' belongs to Multihead"),
    ],
    ids=["recurrent", "transposed", "attention"],
)
def test_other_kinds_of_layers_are_refused_with_their_name(model, layer):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(InvalidInput, match=layer):
        sparsify(
            model, optimizer, "wanda", sparsity=0.5, steps=3, examples=(torch.ones(2, 3, 4),) * 2
        )


def test_attentions_output_projection_is_refused_its_weight_is_read_by_a_function():
    model = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    with pytest.raises(InvalidInput, match="layer 'self_attn.out_proj' is not called"):
        attached(model, torch.ones(2, 3, 4))


def test_examples_are_needed_from_the_start_and_must_fit_the_model():
    model = nn.Linear(3, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(InvalidInput, match=r"give it some, sparsify\(..., examples="):
        sparsify(model, optimizer, "wanda", sparsity=0.5, steps=3)
    with pytest.raises(InvalidInput, match=r"the model does not take examples \(2, 5\)"):
        attached(model, torch.ones(7, 5))
    attached(model, torch.ones(2, 3), dense_layers=("*",))


class Routed(nn.Module):
    """Calls one layer, both or one of them twice, by what the examples hold."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
        self.trained = False

    def forward(self, x: Tensor) -> Tensor:
        if self.trained and len(x) > 2:
            return self.a(x) if self.skips else self.b(self.b(self.a(x)))
        return self.b(self.a(x))


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("size", [3, 128])
def test_layers_that_are_called_otherwise_for_other_examples_are_not_pruned_wrongly(skips, size):
    model = Routed()
    model.trained, model.skips = True, skips
    method = attached(model, torch.ones(6, 2), calibration_batch=size)
    if not skips and size == 3:  # summed over all calls of all batches
        method.end_training()
        assert method.seen["b"][-1] == 12
        return
    with pytest.raises(InvalidInput, match="layer 'b' was called a different number of times"):
        method.end_training()


def test_inputs_that_are_not_finite_are_named():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    method = attached(model, torch.ones(4, 2))
    model[0].bias.data[0] = torch.inf
    with pytest.raises(TrialFailed, match="layer '1': its inputs .* not finite"):
        method.end_training()


# ---------------------------------------------------------------------- in training loops


def test_it_is_charged_one_forward_pass_through_the_pruned_network():
    charges = Charged()
    model = nn.Sequential(linear([[1, 2], [3, 4]]), linear([[1, 1], [1, 1]]))
    for size in (128, 2):
        method = ByPositions(Plan(1, 0.5, 0, 0), {"calibration_batch": size})
        method.attach(
            model,
            torch.optim.SGD(model.parameters(), 0.1),
            examples=Examples(torch.ones(5, 2), torch.ones(5), F.mse_loss, 0),
            flops=charges,
        )
        method.end_training()
        method.execution.release()
    assert charges.scoring == [(5, {"0": 0.5, "1": 0.5})] * 2


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_ones_own_loop_prunes_after_the_last_step_and_may_train_on(method, execution):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    examples = (torch.randn(20, 4), torch.zeros(20, 4))
    handle = sparsify(
        model, optimizer, method, sparsity=0.5, steps=4, examples=examples, execution=execution,
        calibration_examples=20,
    )  # fmt: skip
    steps(model, optimizer, 3)
    assert handle.sparsity == 0
    steps(model, optimizer, 1)
    assert handle.sparsity == 0.5
    masks = {name: mask.clone() for name, mask in handle.masks().items()}
    handle.extend(steps=3)
    steps(model, optimizer, 5)
    assert all(torch.equal(mask, masks[name]) for name, mask in handle.masks().items())
    momentum = optimizer.state[model[0].weight]["exp_avg"]
    if execution == "csr":  # of the values that are stored since the end of training
        assert momentum.shape == model[0].weight.shape == (16,)
    else:
        assert not momentum[~masks["0"]].any()
    assert handle.sparsity == 0.5


def test_a_layer_that_was_frozen_is_left_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    examples = (torch.randn(20, 4), torch.zeros(20, 4))
    with pytest.warns(SparsityWarning, match="of 20 examples, all there are, not of .*=128"):
        handle = sparsify(model, optimizer, "wanda", sparsity=0.5, steps=4, examples=examples)
    steps(model, optimizer, 2)
    model[0].weight.requires_grad_(False)
    with pytest.warns(SparsityWarning, match="layer '0' was frozen"):
        steps(model, optimizer, 2)
    assert [int(mask.sum()) for mask in handle.masks().values()] == [32, 16]
