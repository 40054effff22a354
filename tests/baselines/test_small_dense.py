"""The width of the small dense control."""

import functools

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.training.context import TrialContext
from suite.training.model import make_model
from suite.training.network import count_parameters
from tasks.models.transformer import gpt, vit
from tests.support.helpers import make


def test_a_small_dense_network_is_the_widest_that_fits():
    counts = []

    def parameters(width: float) -> tuple[int, int]:
        hidden = max(1, round(100 * width))
        counts.append(64 * hidden + hidden + hidden * 10 + 10)
        return counts[-1], counts[-1] - hidden - 10

    sparsifier = make("small_dense")
    width = sparsifier.width(parameters)
    whole, prunable = parameters(1.0)
    budget = whole - int(0.9 * prunable)
    assert parameters(width)[0] <= budget < parameters(width + 0.01)[0]


def test_a_network_that_cannot_get_narrower_is_refused():
    with pytest.raises(InvalidInput, match="the narrowest network has 500: lower the sparsity"):
        make("small_dense").width(lambda width: (500, 500))


def fitted(task: str, sparsity: float) -> tuple[TrialContext, float, float]:
    """Return the context, the width, and the share of the sparse parameter count that is used."""
    context = TrialContext.of(Trial.make(task=task, method="small_dense", sparsity=sparsity))
    parameters = functools.partial(count_parameters, context.task, context.dataset)
    width = context.make_sparsifier().width(parameters)
    whole, prunable = parameters(1.0)
    budget = whole - int(round(sparsity * 100) * prunable // 100)
    return context, width, parameters(width)[0] / budget


@pytest.mark.slow
@pytest.mark.parametrize("sparsity", [0.8, 0.9, 0.95, 0.98])
@pytest.mark.parametrize(
    "task", ["cifar10/vit_small", "tinyshakespeare/gpt_small", "tinyshakespeare/gpt_small@short"]
)
def test_a_small_dense_transformer_uses_its_parameters(task, sparsity):
    context, width, used = fitted(task, sparsity)
    assert 0.9 <= used <= 1
    with torch.device("meta"):
        block = make_model(context, width).blocks[0]
    assert block.project.in_features % block.heads == 0
    assert block.contract.in_features >= 1


@pytest.mark.parametrize(
    ("task", "sparsity", "units"),
    [
        # LeNet-300-100 has 266,610 parameters, 266,200 of them weights: at 98 % 5,734 are left.
        # 7 and 2 units have 785·7 + 8·2 + 3·10 = 5,541; the next width has 8 units, over 6,280.
        ("mnist/lenet_300_100", 0.98, [7, 2]),
        # At 90 %, 27,030: 33 and 11 have 785·33 + 34·11 + 12·10 = 26,399, 34 and 11 27,195.
        ("mnist/lenet_300_100", 0.9, [33, 11]),
    ],
)
def test_the_small_dense_mlp_is_the_widest_that_fits(task, sparsity, units):
    context, width, used = fitted(task, sparsity)
    with torch.device("meta"):
        model = make_model(context, width)
    found = [m.out_features for m in model if isinstance(m, torch.nn.Linear)]
    assert found == [*units, 10]
    assert 0.9 <= used <= 1


@pytest.mark.parametrize("build", [vit, gpt])
def test_a_transformer_of_another_width_has_as_many_weights_as_if_it_were_not_rounded(build):
    shape = (3, 32, 32) if build is vit else (64,)
    for width in (1.0, 0.9, 0.51, 0.33, 0.171):
        with torch.device("meta"):
            model = build(shape, 10, width=width)
        block, dim = model.blocks[0], (192 if build is vit else 384) * width
        weights = sum(m.weight.numel() for m in block.children() if isinstance(m, torch.nn.Linear))
        ratio = 2 if build is vit else 4
        rounding = 1.1 * block.project.in_features  # half a hidden unit, in both matrices
        assert abs(weights - (4 + 2 * ratio) * dim**2) <= rounding
        if width == 1:
            assert block.expand.out_features == ratio * block.project.in_features
