import math
from collections.abc import Sequence

import pytest
import torch
from torch import nn

from suite.core.discovery import load
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.sparsity.flops import measure_forward
from suite.sparsity.layers import PRUNABLE
from suite.training.model import check_outputs
from tasks.model_factory import make_model
from tasks.task import Dataset, Task

RGB = (3, 32, 32)

PUBLISHED = [
    ("digits/mlp", 64 * 128 + 128 + 128 * 64 + 64 + 640 + 10),
    ("mnist/lenet_300_100", 266_610),
    ("fashion_mnist/lenet_300_100", 266_610),
    ("fashion_mnist/lenet_5", 431_080),
    ("cifar10/conv_2", 4_301_642),  # 4.3 M in Frankle & Carbin 2019, figure 2
    ("cifar10/conv_4", 2_425_930),  # 2.4 M
    # Frankle & Carbin say 1.7 M; their layers: 1,144,512 weights in convolutions (below), 256·16
    # inputs, then 256, 256 and 10 units, and a bias each.
    ("cifar10/conv_6", 1_144_512 + 896 + 4097 * 256 + 257 * 256 + 257 * 10),
    ("cifar10/resnet_20", 269_722),  # 0.27 M in He et al. 2016, table 6
    ("cifar10/resnet_32", 464_154),  # 0.46 M
    ("cifar10/resnet_56", 853_018),  # 0.85 M
    # MLPerf Tiny's network has 78,666: a bias for each of 336 channels, which batch norm makes
    # useless, and 480 moving means and variances, which are no parameters here.
    ("cifar10-jpeg-16/resnet_8", 78_666 - 336 - 480),
    ("cifar10/vgg_19", 20_035_018),  # 20.0 M in Wang et al. 2020
    ("imagenet/resnet_50", 25_557_032),  # torchvision's own count
    ("imagenet/mobilenet_v1", 4_231_976),  # 4.2 M in Howard et al. 2017, table 8
    # nanoGPT prints 10.65 M: without positions, and with the last layer's weights shared.
    ("tinyshakespeare/gpt_small", 10_646_784 + 256 * 384 + 65 * 384),
]


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def on_meta(name: str, width: float = 1.0) -> tuple[nn.Module, torch.Tensor]:
    """Return a task's model and an input for it, without memory for either."""
    task = registry.tasks()[name]
    dataset = registry.datasets()[task.dataset]
    kind = torch.int64 if dataset.kind == "text" else torch.float32
    with torch.device("meta"):
        return make_model(task, dataset, width), torch.zeros(2, *dataset.shape, dtype=kind)


@pytest.mark.parametrize("name", [t.name for t in registry.tasks() if "@" not in t.name])
def test_a_model_takes_its_datasets_inputs_and_gives_an_output_per_class(name):
    model, inputs = on_meta(name)
    dataset = registry.datasets()[registry.tasks()[name].dataset]
    check_outputs(registry.tasks()[name], dataset, model, model(inputs[:1]))


@pytest.mark.parametrize(("name", "expected"), PUBLISHED)
def test_a_model_has_its_published_size(name, expected):
    assert parameters(on_meta(name)[0]) == expected


@pytest.mark.parametrize(
    ("depth", "widen", "millions"),
    [(40, 1, 0.6), (40, 2, 2.2), (40, 4, 8.9), (16, 8, 11.0), (22, 8, 17.2), (28, 10, 36.5)],
)
def test_wide_resnets_have_the_sizes_of_the_papers_table(depth, widen, millions):
    with torch.device("meta"):
        model = load("tasks.models.wide_resnet:wide_resnet")(RGB, 10, depth=depth, widen=widen)
    assert round(parameters(model) / 1e6, 1) == millions


def test_lenet_5_has_the_weights_of_caffes():
    weights = sum(p.numel() for p in on_meta("mnist/lenet_5")[0].parameters() if p.ndim > 1)
    assert weights == 430_500  # Han et al. 2015, table 1, print 431 K with biases


GAIN = math.sqrt(2)


@pytest.mark.parametrize(
    ("name", "layer", "deviation"),
    [
        # He et al. 2015, eq. 10: √(2 / fan-in).
        ("cifar10/resnet_20", "11.conv2", GAIN / math.sqrt(64 * 9)),
        ("cifar10/resnet_20", "14", GAIN / math.sqrt(64)),
        # GraSP's init_utils.py: √(2 / fan-out), and 0.01 in the linear layer.
        ("cifar10/vgg_19", "49", GAIN / math.sqrt(512 * 9)),
        ("cifar10/vgg_19", "55", 0.01),
        # Glorot & Bengio 2010, normal: √(2 / (fan-in + fan-out)).
        ("cifar10/conv_6", "5", GAIN / math.sqrt((64 + 128) * 9)),
        ("cifar10/conv_6", "16", GAIN / math.sqrt(4096 + 256)),
        # Glorot & Bengio 2010, uniform: of ±√(6 / (fan-in + fan-out)) the deviation is the same.
        ("cifar10/wrn_22_2", "2.conv2", GAIN / math.sqrt((32 + 32) * 9)),
        ("cifar10/wrn_22_2", "4.shortcut", GAIN / math.sqrt(32 + 64)),
        ("cifar10/wrn_22_2", "14", GAIN / math.sqrt(128 + 10)),
    ],
)
def test_initial_weights_are_drawn_as_published(name, layer, deviation):
    torch.manual_seed(0)
    task = registry.tasks()[name]
    model = make_model(task, registry.datasets()[task.dataset])
    module = model.get_submodule(layer)
    weight = module.weight.detach()
    assert float(weight.std()) == pytest.approx(deviation, rel=4 / math.sqrt(2 * weight.numel()))
    assert abs(float(weight.mean())) < 4 * deviation / math.sqrt(weight.numel())
    if "wrn" in name:
        assert float(weight.abs().max()) <= math.sqrt(3) * deviation
    else:
        assert float(weight.abs().max()) > 2 * deviation  # no uniform distribution
    assert module.bias is None or not module.bias.any()


def test_a_wide_block_drops_out_0_3_between_its_convolutions():
    torch.manual_seed(0)
    task = registry.tasks()["cifar10/wrn_22_2"]
    model = make_model(task, registry.datasets()[task.dataset])
    block, inputs = model[1], {}
    for name in ("dropout", "conv2"):
        part = block.get_submodule(name)
        part.register_forward_pre_hook(lambda m, x, name=name: inputs.update({name: x[0].detach()}))
    images = torch.randn(8, *RGB)
    model(images)
    active = inputs["dropout"] > 0
    kept = inputs["conv2"][active] > 0
    assert float(kept.float().mean()) == pytest.approx(0.7, abs=0.01)
    ratio = inputs["conv2"][active][kept] / inputs["dropout"][active][kept]
    assert torch.allclose(ratio, torch.full_like(ratio, 1 / 0.7))
    model.eval()(images)
    assert torch.equal(inputs["conv2"], inputs["dropout"])


@pytest.mark.parametrize(("depth", "weights"), [(2, 38_592), (4, 259_776), (6, 1_144_512)])
def test_conv_nets_have_the_papers_weights_in_convolutions(depth, weights):
    with torch.device("meta"):
        model = load("tasks.models.conv:conv_net")(RGB, 10, depth=depth)
    found = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Conv2d))
    assert found == weights


@pytest.mark.parametrize(
    ("name", "macs"), [("imagenet/mobilenet_v1", 569e6), ("imagenet/resnet_50", 4.09e9)]
)
def test_multiply_adds_are_the_published_ones(name, macs):
    model, inputs = on_meta(name)
    assert measure_forward(model, inputs[:1]).dense / 2 == pytest.approx(macs, rel=2e-3)


ONE_OF_EACH_MODEL = {
    (task.model, repr(task.model_options)): task.name
    for task in registry.tasks()
    if "@" not in task.name
}
"""A task for each model: the same one is on several datasets."""


@pytest.mark.parametrize("name", ONE_OF_EACH_MODEL.values())
def test_width_scales_every_model(name):
    model, inputs = on_meta(name, 0.5)
    quarter, whole = (parameters(on_meta(name, width)[0]) for width in (0.25, 1))
    assert quarter < parameters(model) < whole
    assert len(model(inputs)) == 2


@pytest.mark.parametrize("name", ["vit", "gpt"])
def test_all_matrices_of_a_transformer_but_embeddings_can_be_pruned(name):
    task = {"vit": "cifar10/vit_small", "gpt": "tinyshakespeare/gpt_small"}[name]
    model, _ = on_meta(task)
    prunable = {id(m.weight) for m in model.modules() if isinstance(m, PRUNABLE)}
    left = [n for n, p in model.named_parameters() if p.ndim >= 2 and id(p) not in prunable]
    assert left == {"vit": ["first", "position"], "gpt": ["embed.weight", "position.weight"]}[name]


def test_gpt_sees_only_what_is_before():
    torch.manual_seed(0)
    model = load("tasks.models.transformer:gpt")((16,), 10, dim=24, depth=2, heads=2).eval()
    text = torch.randint(10, (1, 16))
    other = text.clone()
    other[0, 9:] = (other[0, 9:] + 1) % 10
    one, two = model(text), model(other)
    assert torch.equal(one[:, :9], two[:, :9])
    assert not torch.equal(one[:, 9:], two[:, 9:])


def test_resnet_50_is_torchvisions_own():
    from torchvision.models import resnet50

    with torch.device("meta"):
        theirs = resnet50()
    ours, _ = on_meta("imagenet/resnet_50")
    shapes = [{n: p.shape for n, p in m.named_parameters()} for m in (ours, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("builder", "options", "words"),
    [
        ("resnet:resnet", {"depth": 18}, "6n"),
        ("wide_resnet:wide_resnet", {"depth": 20}, "6n"),
        ("conv:conv_net", {"depth": 3}, "2, 4, 6"),
        ("conv:vgg_bn", {"depth": 11}, "16, 19"),
        ("transformer:vit", {"patch": 5}, "patch=5"),
        ("transformer:vit", {"dim": 100}, "heads=12"),
        ("mlp:mlp", {"hiden": (3,)}, "hiden"),
    ],
)
def test_options_that_make_no_model_are_refused_before_anything_runs(builder, options, words):
    task = Task("a/b", "", title="", dataset="a", model=f"tasks.models.{builder}",
                model_options=options)  # fmt: skip
    with pytest.raises(InvalidInput, match=words):
        make_model(task, images(10))


def images(classes: int, shape: Sequence[int] = RGB) -> Dataset:
    """Return a declaration of RGB images."""
    return Dataset("a", "", title="", load=":load", shape=tuple(shape), classes=classes, train=2,
                   test=1, mean=(0.0,), std=(1.0,))  # fmt: skip


def test_a_model_with_too_few_outputs_is_refused_by_the_name_of_its_last_layer():
    task = Task("a/b", "", title="", dataset="a", model="tasks.models.conv:conv_net")
    model = make_model(task, images(10))
    with pytest.raises(InvalidInput, match=r"outputs of shape \(10,\).*'\d+'.*has 7 classes"):
        check_outputs(task, images(7), model, model(torch.zeros(1, *RGB)))


def test_an_option_that_the_model_lacks_is_refused_with_the_nearest():
    task = Task("a/b", "", title="", dataset="a", model="tasks.models.mlp:mlp",
                model_options={"hiden": (5,)})  # fmt: skip
    with pytest.raises(InvalidInput) as refused:
        make_model(task, images(3, (4,)))
    assert str(refused.value) == (
        "task a/b: model_options: unknown option 'hiden': did you mean hidden?"
    )


def test_any_module_is_a_model_and_gets_shape_and_classes_if_it_names_them():
    plain = Task("a/b", "", title="", dataset="a", model="torch.nn:Linear",
                 model_options={"in_features": 4, "out_features": 3})  # fmt: skip
    assert isinstance(make_model(plain, images(3, (4,))), nn.Linear)
    named = Task("a/b", "", title="", dataset="a", model="tasks.models.mlp:mlp",
                 model_options={"hidden": (5,)})  # fmt: skip
    assert make_model(named, images(3, (4,)))(torch.zeros(2, 4)).shape == (2, 3)
    with pytest.raises(InvalidInput, match="'width'"):
        make_model(plain, images(3), width=0.5)
    for model, words in (("fractions:Fraction", "not a torch.nn.Module"), ("math:pi", "neither")):
        with pytest.raises(InvalidInput, match=words):
            make_model(Task("a/b", "", title="", dataset="a", model=model), images(3))
