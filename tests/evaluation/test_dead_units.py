import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite.evaluation import dead_units as units
from suite.evaluation.dead_units import UnitCounts, dead_units
from suite.sparsity.layers import PRUNABLE
from tasks.models.resnet import resnet
from tests.support.helpers import conv_net, digits


def full_masks(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: torch.ones_like(module.weight, dtype=torch.bool)
        for name, module in model.named_modules()
        if isinstance(module, PRUNABLE)
    }


def test_units_without_connections_and_collapsed_layers_are_counted():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    masks = full_masks(model)
    masks["0"][1] = False
    masks["2"][:] = False
    found = dead_units(model, masks, torch.randn(10, 4))
    assert found["0"].unconnected == 1
    assert not found["0"].collapsed
    assert found["2"] == UnitCounts(total=2, unconnected=2, silent=None, collapsed=True)


def test_the_units_of_a_transposed_convolution_are_its_output_channels():
    model = nn.Sequential(nn.ConvTranspose1d(4, 6, 3, groups=2), nn.ReLU())
    mask = torch.ones(4, 3, 3, dtype=torch.bool)
    mask[:2, 1] = False  # the second output of the first group
    mask[2] = False  # one input of the second group
    found = dead_units(model, {"0": mask}, torch.randn(10, 4, 5))
    assert found["0"] == UnitCounts(total=6, unconnected=1, silent=None, collapsed=False)


def test_a_unit_that_never_fires_on_the_sample_is_silent():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 1.0]]))
        model[0].bias.copy_(torch.tensor([0.0, 0.0, -100.0]))
    masks = full_masks(model)
    both = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert dead_units(model, masks, both)["0"].silent == 1
    assert dead_units(model, masks, both[:1])["0"].silent == 2


@pytest.mark.parametrize("seed", range(3))
def test_silent_units_of_convolutions_are_those_that_hooks_on_the_relus_see(seed):
    model = conv_net()
    torch.manual_seed(seed)
    with torch.no_grad():
        model[1].bias.sub_(3 * torch.rand(8))  # of the norm: what comes after it counts
        model[3].bias.sub_(torch.rand(16))
        model[6].bias.sub_(torch.rand(32))
    expected, hooks = {}, []
    for layer, relu in (("0", 2), ("3", 4), ("6", 7)):

        def see(module, inputs, output, layer=layer):
            expected[layer] = sum(
                bool((output.detach()[:, unit] <= 0).all()) for unit in range(output.shape[1])
            )

        hooks.append(model[relu].register_forward_hook(see))
    model.eval()(digits().x[:200])
    for hook in hooks:
        hook.remove()
    found = dead_units(model, full_masks(model), digits().x[:200])
    assert {name: found[name].silent for name in expected} == expected
    assert sum(expected.values()) > 0
    assert found["8"].silent is None


def test_functional_relus_are_seen_and_residual_sums_told_apart():
    found = dead_units(model := resnet((1, 8, 8), 10, depth=8), full_masks(model), digits().x[:50])
    judged = {name for name, units in found.items() if units.silent is not None}
    assert judged == {"0", "3.conv1", "4.conv1", "5.conv1"}  # conv2's go into a sum first


def test_layers_over_a_sequence_have_their_units_in_the_last_dimension():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        model[0].bias[2] = -100.0
    assert dead_units(model, full_masks(model), torch.randn(5, 7, 4))["0"].silent == 1


def test_a_layer_used_twice_is_silent_only_where_it_never_fires():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2, bias=False)

        def forward(self, x):
            return F.relu(self.layer(x)) + F.relu(self.layer(-x))

    model = Twice()
    with torch.no_grad():
        model.layer.weight.copy_(torch.eye(2))
    x = torch.tensor([[1.0, 0.0]])
    assert dead_units(model, full_masks(model), x)["layer"].silent == 1


@pytest.mark.parametrize("between", [nn.GELU(), nn.Tanh(), nn.Identity()])
def test_without_a_relu_nothing_is_said_of_silence(between):
    model = nn.Sequential(nn.Linear(4, 3), between, nn.Linear(3, 2))
    found = dead_units(model, full_masks(model), torch.randn(10, 4))
    assert [units.silent for units in found.values()] == [None, None]


def test_looking_leaves_the_network_as_it_was():
    model = conv_net().train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    examples = digits().x[:50].clone()
    dead_units(model, full_masks(model), examples)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(examples, digits().x[:50])
    assert all(module.training for module in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_many_examples_are_looked_at_in_parts(monkeypatch):
    model, x = conv_net(), digits().x[:60]
    model[6].bias.data.sub_(0.1)
    whole = dead_units(model, full_masks(model), x)
    monkeypatch.setattr(units, "MAX_HELD_BYTES", 50_000)
    assert dead_units(model, full_masks(model), x) == whole
    parts = [dead_units(model, full_masks(model), part)["6"].silent for part in x.split(7)]
    assert 0 < whole["6"].silent < min(parts)


def test_a_compiled_network_is_looked_into_as_written():
    model = conv_net()
    before = dead_units(model, full_masks(model), digits().x[:50])
    model.compile()
    assert dead_units(model, full_masks(model), digits().x[:50]) == before
