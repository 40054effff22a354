import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.core.errors import InvalidInput
from suite.sparsity.distribution import (
    at_least,
    count_zeros,
    custom_zeros,
    global_zeros,
    layer_zeros,
)
from suite.sparsity.flops import ForwardFlops, measure_forward

LENET = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}


@pytest.fixture(scope="module")
def resnet() -> tuple[dict[str, tuple[int, ...]], ForwardFlops]:
    """Return ResNet-50's prunable shapes and its FLOPs at 224×224."""
    from torchvision.models import resnet50  # takes longer to import than all else here

    with torch.device("meta"):
        model = resnet50()
        flops = measure_forward(model, torch.empty(1, 3, 224, 224))
    weights = {name.removesuffix(".weight"): p for name, p in model.named_parameters()}
    return {name: tuple(weights[name].shape) for name in flops.layers}, flops


def ratio(resnet, sparsity, distribution, **options) -> float:
    shapes, flops = resnet
    zeros = layer_zeros(shapes, sparsity, distribution, **options)
    left = {n: flops.layers[n] * (1 - zeros[n] / math.prod(s)) for n, s in shapes.items()}
    return (sum(left.values()) + flops.other) / flops.dense


def test_resnet_50_has_the_published_size_and_cost(resnet):
    shapes, flops = resnet
    assert sum(math.prod(shape) for shape in shapes.values()) == pytest.approx(25.50e6, rel=1e-3)
    assert flops.dense / 2 == pytest.approx(4.089e9, rel=1e-3)
    assert flops.layers["conv1"] / flops.dense == pytest.approx(0.02886, abs=1e-5)


@pytest.mark.parametrize(
    ("sparsity", "expected"), [(0.8, 0.414), (0.9, 0.242), (0.95, 0.122), (0.965, 0.085)]
)
def test_erk_on_resnet_50_costs_what_rigl_reports(resnet, sparsity, expected):
    assert ratio(resnet, sparsity, "erk") == pytest.approx(expected, abs=1e-3)


def nonzeros(shapes, zeros) -> int:
    return sum(math.prod(shape) - zeros[name] for name, shape in shapes.items())


def test_erk_with_a_dense_first_layer_compensated(resnet):
    # 25,502,912 weights; 1 % of them, rounded up, is 255,030.
    zeros = layer_zeros(resnet[0], 0.99, "erk", dense=["conv1"])
    assert nonzeros(resnet[0], zeros) == 255_030
    assert ratio(resnet, 0.99, "erk", dense=["conv1"]) == pytest.approx(0.0512, abs=5e-5)


def test_erk_with_a_dense_first_layer_as_in_the_authors_code(resnet):
    # google-research/rigl: get_sparsities_erdos_renyi with conv1 among the custom sparsities.
    zeros = layer_zeros(resnet[0], 0.99, "erk", dense=["conv1"], compensate=False)
    assert nonzeros(resnet[0], zeros) == 264_386
    found = ratio(resnet, 0.99, "erk", dense=["conv1"], compensate=False)
    assert found == pytest.approx(0.0520, abs=5e-5)


@pytest.mark.parametrize(
    ("distribution", "dense", "zeros"),
    [
        # fc1 of 235,200 weights is dense; the others have 31,000, of which 90 % are 27,900.
        # fc2, 30,000: p = 400 / 30,000; fc3, 1,000: p = 110 / 1,000; ε = 3,100 / 510, so the
        # densities are 0.08105 and 0.66863: 27,568.6 and 331.4 zeros, rounded down.
        ("erk", ["fc1"], [0, 27_568, 331]),
        ("er", ["fc1"], [0, 27_568, 331]),
        # No layer is told to be dense; 239,580 of 266,200 are zero. ε = 26,620 / 1,594 gives fc3 a
        # density of 1.84: it is dense, and ε = (265,200 - 239,580) / 1,484 = 17.2642.
        ("erk", [], [216_485, 23_094, 0]),
    ],
)
def test_layers_that_do_not_compensate_have_the_sparsity_alone(distribution, dense, zeros):
    found = layer_zeros(LENET, 0.9, distribution, dense=dense, compensate=False)
    assert list(found.values()) == zeros
    assert global_zeros(LENET, 0.9, dense=dense, compensate=False) - sum(zeros) == 1


@pytest.mark.parametrize(
    ("sparsity", "expected"), [(0.8, 0.223), (0.9, 0.126), (0.95, 0.077), (0.965, 0.063)]
)
def test_uniform_on_resnet_50_costs_what_rigl_reports(resnet, sparsity, expected):
    assert ratio(resnet, sparsity, "uniform") == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("distribution", "claims"),
    [
        # Mocanu et al. 2018, eq. 3: (n_in + n_out) / (n_in · n_out); a kernel does not count.
        ("er", {"point": 96 / (32 * 64), "conv": 96 / (32 * 64), "linear": 74 / (64 * 10)}),
        # Evci et al. 2020, §3(1): the kernel's sides are in both sums.
        ("erk", {"point": 98 / 2048, "conv": 102 / (2048 * 9), "linear": 74 / 640}),
    ],
)
def test_densities_are_in_the_ratio_of_the_published_formula(distribution, claims):
    shapes = {"point": (64, 32, 1, 1), "conv": (64, 32, 3, 3), "linear": (10, 64)}
    zeros = layer_zeros(shapes, 0.95, distribution)
    density = {name: 1 - zeros[name] / math.prod(shape) for name, shape in shapes.items()}
    for name in shapes:
        assert density[name] / density["conv"] == pytest.approx(claims[name] / claims["conv"], 0.02)


@pytest.mark.parametrize(("sparsity", "layers"), [(0.8, 8), (0.9, 1), (0.95, 0)])
def test_erk_leaves_the_published_number_of_layers_dense(resnet, sparsity, layers):
    zeros = layer_zeros(resnet[0], sparsity, "erk")
    assert sum(count == 0 for count in zeros.values()) == layers


@pytest.mark.parametrize("distribution", ["er", "erk"])
@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.9, 0.98, 0.999])
def test_the_total_is_met_to_the_weight(resnet, distribution, sparsity):
    for shapes in (resnet[0], LENET):
        total = sum(math.prod(shape) for shape in shapes.values())
        zeros = layer_zeros(shapes, sparsity, distribution)
        assert all(0 <= zeros[n] <= math.prod(s) for n, s in shapes.items())
        assert sum(zeros.values()) == count_zeros(sparsity, total)


@given(st.integers(0, 999), st.integers(1, 10_000))
def test_zeros_are_counted_without_binary_rounding(thousandths, size):
    assert count_zeros(thousandths / 1000, size) == thousandths * size // 1000


@pytest.mark.parametrize("dense", [["fc3=0"], ["fc3=0.0"], []])
def test_a_layer_is_dense_by_a_share_of_zero_or_by_no_share(dense):
    zeros = custom_zeros(LENET, 0.8967, ["fc[12]=0.9", *dense])
    assert zeros == {"fc1": 211_680, "fc2": 27_000, "fc3": 0}


@pytest.mark.parametrize("share", ["1", "-0.1", "nan", "half", ""])
def test_a_share_outside_zero_to_one_is_refused(share):
    with pytest.raises(InvalidInput, match=r"give a fraction in \[0, 1\)"):
        custom_zeros(LENET, 0.9, [f"fc1={share}"])


def test_uniform_keeps_the_layers_it_is_told_to_keep_dense():
    zeros = {
        which: [z > 0 for z in layer_zeros(LENET, 0.9, "uniform", uniform_dense=which).values()]
        for which in ("none", "first", "first_last")
    }
    assert zeros == {
        "none": [True, True, True],
        "first": [False, True, True],
        "first_last": [False, True, False],
    }


def test_no_sparsity_means_no_zeros():
    assert sum(layer_zeros(LENET, 0.0, "erk").values()) == 0


@pytest.mark.parametrize("distribution", ["er", "erk"])
def test_dense_layers_that_alone_exceed_the_budget_are_refused_by_name(distribution):
    with pytest.raises(InvalidInput, match="fc1"):
        layer_zeros(LENET, 0.9, distribution, dense=["fc1"])
    with pytest.raises(InvalidInput, match="fc1"):
        global_zeros(LENET, 0.9, dense=["fc1"])


def test_counts_are_raised_to_a_minimum_at_the_same_sum():
    counts = {"a": 10, "b": 20, "c": 30}
    assert at_least({"a": 0, "b": 5, "c": 30}, counts) == counts
    assert at_least({"a": 16, "b": 0, "c": 15}, counts) == {"a": 16, "b": 17, "c": 27}
    assert at_least({"a": 0, "b": 20, "c": 40}, counts) == {"a": 0, "b": 20, "c": 40}
