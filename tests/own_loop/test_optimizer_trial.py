"""Under which optimizers pruned weights stay zero, and which are refused."""

import copy
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from suite.core.errors import InvalidInput
from suite.own_loop.optimizers import check_state, check_updates, usable_optimizers
from suite.sparsity.prunable import find_prunable
from suite.sparsity.storage.masked import (
    KEEPS_ZEROS,
    MaskedWeight,
    mask_gradients,
    mask_moved,
)
from tests.own_loop.libraries import library
from tests.support.helpers import OPTIMIZERS, batch_of, conv_net, digits

Build = Callable[[nn.Module], Any]


def everything(model: nn.Module) -> list[nn.Parameter]:
    return list(model.parameters())


def matrices(model: nn.Module) -> list[nn.Parameter]:
    return [model[6].weight, model[8].weight]


# ------------------------------------------------------------------ the table of optimizers

KEPT = None
"""Pruned weights are exactly 0 throughout training; the others are refused with these words."""

TORCH: dict[str, str | None] = {
    "SGD": KEPT,
    "Adam": KEPT,
    "AdamW": KEPT,
    "ASGD": KEPT,
    "Adadelta": KEPT,
    "Adagrad": KEPT,
    "NAdam": KEPT,
    "RAdam": KEPT,
    "RMSprop": KEPT,
    "Adamax": KEPT,  # its running maximum is at least eps
    "Rprop": KEPT,  # its step sizes have a minimum
    "Muon": KEPT,
    "Adafactor": r"keeps state 'row_var' of shape \(16, 4, 3, 1\)",
    "LBFGS": "calls its closure more than once a step",
    "SparseAdam": "takes sparse gradients only",
}
SCHEDULE_FREE: dict[str, str | None] = {
    "SGDScheduleFree": KEPT,
    "AdamWScheduleFree": KEPT,
    "RAdamScheduleFree": KEPT,
    "SGDScheduleFreeClosure": "does not step without a closure",
}
TIMM: dict[str, str | None] = {
    "sgd": KEPT,
    "adamw": KEPT,
    "lookahead_adamw": KEPT,
    "lookahead_lion": KEPT,
    "nadamw": KEPT,
    "lion": KEPT,
    "cadamw": KEPT,
    "lamb": KEPT,
    "lars": KEPT,
    "mars": KEPT,
    "adan": KEPT,
    "adopt": KEPT,
    "laprop": KEPT,
    "madgrad": KEPT,
    "novograd": KEPT,
    "adamp": KEPT,
    "adabelief": KEPT,
    "rmsproptf": KEPT,
    "muon": KEPT,
    "adamuon": KEPT,
    "adahessian": "differentiates gradients",
    "adafactor": "keeps state 'exp_avg_sq_row' of shape",
    "adafactorbv": "keeps state 'exp_avg_sq_r' of shape",
}
PYTORCH_OPTIMIZER: dict[str, str | None] = {
    "adabelief": KEPT,
    "yogi": KEPT,
    "ranger": KEPT,
    "scion": KEPT,
    "adai": KEPT,
    "ademamix": KEPT,
    "prodigy": KEPT,
    "tiger": KEPT,
    "sgdp": KEPT,
    "stableadamw": KEPT,
    "schedulefreeadamw": KEPT,
    "came": "keeps state 'exp_avg_sq_row' of shape",
    "sm3": "keeps state 'accumulator_0' of shape",
    "shampoo": "keeps state 'pre_cond_0' of shape",
    "soap": "keeps state 'GG' in a list",
    "aggmo": "keeps state 'momentum_buffer' in a dict",
    "flashadamw": "keeps state 'exp_avg::quantized' of type int8",
    "vsgd": "makes NaN of weights of 0",
    "alig": "does not step without a closure",
    "sophiah": "differentiates gradients",
    "racs": "keeps state 's' of shape",
}


def of_torch(name: str) -> Build:
    options = {"lr": 0.01} if name != "Adafactor" else {}
    chosen = matrices if name == "Muon" else everything
    return lambda model: getattr(torch.optim, name)(chosen(model), **options)


def of_schedule_free(name: str) -> Build:
    return lambda model: getattr(library("schedulefree"), name)(everything(model), lr=0.01)


def of_timm(name: str) -> Build:
    return lambda model: library("timm.optim").create_optimizer_v2(model, opt=name, lr=0.01)


def of_pytorch_optimizer(name: str) -> Build:
    return lambda model: library("pytorch_optimizer").load_optimizer(name)(
        everything(model), lr=0.01
    )


def of_transformers(**options: Any) -> Build:
    return lambda model: library("transformers").Adafactor(everything(model), **options)


TABLE: list[Any] = [
    pytest.param(build(name), expected, id=f"{source}-{name}")
    for source, build, table in (
        ("torch", of_torch, TORCH),
        ("schedulefree", of_schedule_free, SCHEDULE_FREE),
        ("timm", of_timm, TIMM),
        ("pytorch_optimizer", of_pytorch_optimizer, PYTORCH_OPTIMIZER),
    )
    for name, expected in table.items()
]
FACTORED = r"Adafactor keeps state 'exp_avg_sq_row' of shape \(16, 4, 3\) for a weight of shape"
TABLE += [
    pytest.param(of_transformers(), FACTORED, id="transformers-Adafactor"),
    pytest.param(
        of_transformers(lr=1e-3, relative_step=False), FACTORED, id="transformers-Adafactor-lr"
    ),
]


def test_the_table_has_every_optimizer_of_torch():
    own = {
        name
        for name, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    }
    assert own - {"Optimizer"} == set(TORCH)


@pytest.mark.filterwarnings("ignore")  # of the libraries
@pytest.mark.parametrize(("build", "expected"), TABLE)
def test_an_optimizer_keeps_pruned_weights_at_zero_or_is_refused(build, expected):
    model = conv_net()
    given = build(model)
    (optimizer,) = usable_optimizers(given)
    if expected is not KEPT:
        with pytest.raises(InvalidInput, match=expected) as refusal:
            check_updates(optimizer)
        assert str(refusal.value).startswith(f"{type(optimizer).__name__} ")
        assert "so pruned weights cannot be kept at 0: use SGD, Adam" in str(refusal.value)
        assert "\n" not in str(refusal.value)
        return
    check_updates(optimizer)
    assert_zeros_stay(model, given, optimizer)


def assert_zeros_stay(
    model: nn.Module,
    given: Any,
    optimizer: torch.optim.Optimizer,
    mask_after_step: Callable[[list[MaskedWeight]], None] = mask_moved,
) -> None:
    """Train with masks that change midway; zeros are exact throughout.

    `given` is what the user steps, `optimizer` what it steps in turn.
    """
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    prunable = [found for found in find_prunable(model) if id(found.parameter) in trained]
    weights = [MaskedWeight(found, optimizer) for found in prunable]
    generator = torch.Generator().manual_seed(1)

    def draw_masks() -> None:
        for weight in weights:
            weight.set_mask(torch.rand(weight.shape, generator=generator) < 0.3)

    def before(*_: Any) -> None:
        mask_gradients(weights)

    def after(*_: Any) -> None:
        mask_after_step(weights)

    draw_masks()
    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)
    if hasattr(given, "train"):
        given.train()
    start = [weight.values.clone() for weight in weights]
    for step in range(1, 15):  # two periods of slow weights
        x, y = batch_of(digits(), step, 8)
        given.zero_grad()
        F.cross_entropy(model(x), y).backward()
        if step in (3, 9):
            draw_masks()
        given.step()
        if step == 1:
            check_state(optimizer, [weight.parameter for weight in weights])
        assert_zero_outside(weights, optimizer)
    if hasattr(given, "eval"):
        given.eval()
        assert_zero_outside(weights, optimizer)
    assert all(bool((weight.values != 0).any()) for weight in weights)
    moved = [bool((w.values != old).any()) for w, old in zip(weights, start, strict=True)]
    assert all(moved)


def assert_zero_outside(weights: list[MaskedWeight], optimizer: torch.optim.Optimizer) -> None:
    for weight in weights:
        assert not bool(weight.values[~weight.mask].any()), weight.name
        for key, value in optimizer.state[weight.parameter].items():
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                assert not bool(value[~weight.mask].any()), (weight.name, key)


# ------------------------------------------------------------------ which are not masked again


KEEPING: dict[str, Build] = OPTIMIZERS | {
    "SGD": lambda m: torch.optim.SGD(m.parameters(), 0.1),
    "SGD, momentum, weight decay": lambda m: torch.optim.SGD(
        m.parameters(), 0.1, momentum=0.9, dampening=0.1, weight_decay=0.01
    ),
    "SGD, nesterov, weight decay, foreach": lambda m: torch.optim.SGD(
        m.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=0.01, foreach=True
    ),
    "SGD, groups": lambda m: torch.optim.SGD(
        [{"params": m[0].parameters(), "momentum": 0.9}, {"params": m[6].parameters()}], 0.1
    ),
    "SGD, fused": lambda m: torch.optim.SGD(m.parameters(), 0.1, momentum=0.9, fused=True),
    "Adam, weight decay": lambda m: torch.optim.Adam(m.parameters(), 0.01, weight_decay=0.01),
    "Adam, amsgrad, maximize": lambda m: torch.optim.Adam(
        m.parameters(), 0.01, amsgrad=True, maximize=True
    ),
    "Adam, rate in a tensor": lambda m: torch.optim.Adam(m.parameters(), torch.tensor(0.01)),
    "Adam, named": lambda m: torch.optim.Adam(m.named_parameters(), 0.01),
    "AdamW, amsgrad, foreach": lambda m: torch.optim.AdamW(
        m.parameters(), 0.01, weight_decay=0.1, amsgrad=True, foreach=True
    ),
    "AdamW, fused": lambda m: torch.optim.AdamW(m.parameters(), 0.01, fused=True),
}


@pytest.mark.parametrize("name", KEEPING)
def test_zeros_stay_without_masking_after_the_step_under_sgd_adam_and_adamw(name):
    model = conv_net()
    optimizer = KEEPING[name](model)
    check_updates(optimizer)
    assert_zeros_stay(model, optimizer, optimizer, mask_after_step=lambda weights: None)


def test_every_optimizer_that_is_not_masked_again_is_in_the_table():
    assert {type(build(conv_net())) for build in KEEPING.values()} == set(KEEPS_ZEROS)


# ------------------------------------------------------------------ what a trial takes into account


@pytest.mark.parametrize("option", ["differentiable", "capturable"])
def test_options_that_cannot_be_tried_on_a_cpu_are_no_reason_to_refuse(option):
    check_updates(torch.optim.Adam(conv_net().parameters(), **{option: True}))


def test_the_options_of_each_group_count():
    # Without momentum, RMSprop does the same; eps = 0 in one group divides 0 by 0.
    model = conv_net()
    groups = [
        {"params": model[0].parameters()},
        {"params": model[6].parameters(), "eps": 0.0},
    ]
    check_updates(torch.optim.RMSprop(groups[:1]))
    groups[0]["params"] = model[0].parameters()
    with pytest.raises(InvalidInput, match=r"RMSprop makes NaN .* \(give it an eps > 0\)"):
        check_updates(torch.optim.RMSprop(groups))


def test_a_rate_of_zero_before_warm_up_does_not_hide_a_problem():
    weights = matrices(conv_net())
    check_updates(torch.optim.Muon(weights, lr=0.0))
    with pytest.raises(InvalidInput, match="'row_var'"):
        check_updates(torch.optim.Adafactor(weights, lr=0.0))
    with pytest.raises(InvalidInput, match="RMSprop makes NaN"):
        check_updates(torch.optim.RMSprop(weights, lr=0.0, eps=0.0))


def test_only_the_parameters_that_are_masked_count():
    model = conv_net()
    optimizer = torch.optim.Adafactor(model.parameters())
    check_updates(optimizer, [model[6].bias])
    check_updates(optimizer, [])
    with pytest.raises(InvalidInput, match="'row_var'"):
        check_updates(optimizer, [model[6].weight])


def test_an_optimizer_over_vectors_only_is_tried_on_vectors():
    model = conv_net()
    vectors = [p for p in model.parameters() if p.ndim == 1]
    check_updates(torch.optim.Adafactor(vectors))


def test_factored_state_that_begins_at_a_size_is_found_where_weights_have_that_size():
    timm = library("timm.optim")
    small, large = nn.Linear(8, 8), nn.Linear(300, 200)
    build = timm.adafactor_bv.AdafactorBigVision
    options = {"min_dim_size_to_factor": 100}
    check_updates(build(small.parameters(), **options))
    with pytest.raises(InvalidInput, match="of shape .* for a weight of shape"):
        check_updates(build(large.parameters(), **options))


# ------------------------------------------------------------------ optimizers of one's own


class Plain(torch.optim.Optimizer):
    """Gradient descent."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1})

    @torch.no_grad()
    def descend(self) -> None:
        for weight in self.param_groups[0]["params"]:
            weight.sub_(weight.grad, alpha=self.param_groups[0]["lr"])

    def step(self, closure: Any = None) -> None:
        self.descend()


class NeedsModel(Plain):
    """Cannot be built from parameters alone: no stand-in can be made."""

    def __init__(self, model: nn.Module, factored: bool = False) -> None:
        self.factored = factored
        super().__init__(model.parameters())

    def step(self, closure: Any = None) -> None:
        self.descend()
        for weight in self.param_groups[0]["params"]:
            if self.factored and weight.ndim == 2:
                self.state[weight]["rows"] = weight.sum(1)


class TwiceClosure(Plain):
    """Steps without a closure, but calls a given one twice."""

    def step(self, closure: Any = None) -> None:
        for _ in range(2 if closure is not None else 0):
            closure()
        self.descend()


class Restless(Plain):
    """Draws from every global random state, and adds noise to weights."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.descend()
        for weight in self.param_groups[0]["params"]:
            noise = torch.randn(weight.shape) + random.random() + np.random.rand()
            weight.add_(noise, alpha=1e-3)


class StepsTwice(torch.optim.SGD):
    """Its own step is hooked, and the one that it calls."""

    def step(self, closure: Any = None) -> None:
        super().step(closure)


def test_an_optimizer_that_cannot_be_tried_is_judged_by_its_state():
    model = conv_net()
    optimizer = NeedsModel(model, factored=True)
    check_updates(optimizer)
    check_state(optimizer, everything(model))
    F.cross_entropy(model(digits().x[:8]), digits().y[:8]).backward()
    optimizer.step()
    refusal = r"NeedsModel keeps state 'rows' of shape \(32,\) for a weight of shape \(32, 256\)"
    with pytest.raises(InvalidInput, match=refusal):
        check_state(optimizer, everything(model))
    with pytest.raises(InvalidInput, match=refusal):
        check_updates(optimizer)


@pytest.mark.parametrize("build", [NeedsModel, lambda m: Restless(m.parameters())])
def test_zeros_stay_under_an_optimizer_of_ones_own(build):
    model = conv_net()
    optimizer = build(model)
    check_updates(optimizer)
    assert_zeros_stay(model, optimizer, optimizer)


def test_a_closure_called_twice_is_refused():
    with pytest.raises(InvalidInput, match="TwiceClosure calls its closure more than once a step"):
        check_updates(TwiceClosure(conv_net().parameters()))


def test_a_step_that_calls_the_hooked_step_of_its_base_class_is_refused():
    optimizer = StepsTwice(conv_net().parameters(), lr=0.1)
    with pytest.raises(InvalidInput, match="StepsTwice calls its hooks several times a step"):
        check_updates(optimizer)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"step": torch.zeros(1), "norm": torch.tensor(2.0), "k": 3, "betas": [0.9, 0.99]}, None),
        ({"exp_avg": torch.zeros(4, 3), "history": [], "name": "x", "group": None}, None),
        ({"row": torch.zeros(4, 1)}, r"'row' of shape \(4, 1\) for a weight of shape \(4, 3\)"),
        ({"code": torch.zeros(4, 3, dtype=torch.uint8)}, "'code' of type uint8"),
        ({"both": (torch.zeros(4, 3), 1)}, "'both' in a tuple"),
        ({"part": {"a": torch.zeros(4)}}, "'part' in a dict"),
        ({"basis": SimpleNamespace(q=torch.zeros(4, 4))}, "'basis' in a SimpleNamespace"),
    ],
)
def test_state_must_have_the_weights_shape_or_be_a_number(state, says):
    weight = nn.Parameter(torch.zeros(4, 3))
    optimizer = torch.optim.SGD([weight], 0.1)
    optimizer.state[weight] = state
    if says is None:
        check_state(optimizer, [weight])
        return
    with pytest.raises(InvalidInput, match=says):
        check_state(optimizer, [weight])
    check_state(optimizer, [nn.Parameter(torch.zeros(2))])


# ------------------------------------------------------------------ nothing is touched


STEPPED: dict[str, Build] = {
    "SGD": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9),
    "AdamW": lambda m: torch.optim.AdamW(m.parameters(), lr=torch.tensor(0.1)),
    "Muon": lambda m: torch.optim.Muon(matrices(m)),
    "Restless": lambda m: Restless(m.parameters()),
}


def stepped(name: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a model and an optimizer that have trained for a step."""
    model = conv_net()
    optimizer = STEPPED[name](model)
    F.cross_entropy(model(digits().x[:8]), digits().y[:8]).backward()
    optimizer.step()
    return model, optimizer


def random_states() -> list[Any]:
    return [torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()]


@pytest.mark.parametrize("name", STEPPED)
def test_a_check_leaves_model_optimizer_and_random_states_as_they_were(name):
    model, optimizer = stepped(name)
    parameters = everything(model)

    def now() -> list[Any]:
        kept = model.state_dict(), optimizer.state_dict(), optimizer.defaults, random_states()
        gradients = [p.grad for p in parameters]
        return [*kept, gradients, [p._version for p in parameters], sorted(vars(optimizer))]

    before = copy.deepcopy(now())
    check_updates(optimizer)
    assert_same(before, now())


@pytest.mark.parametrize("name", STEPPED)
def test_no_hook_sees_a_check_and_hooks_work_after_it(name):
    _, optimizer = stepped(name)
    called: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: called.append("own"))
    handles = [
        register_optimizer_step_pre_hook(lambda *_: called.append("global pre")),
        register_optimizer_step_post_hook(lambda *_: called.append("global post")),
    ]
    try:
        check_updates(optimizer)
        assert called == []
        optimizer.step()
        assert called == ["global pre", "own", "global post"]
    finally:
        for handle in handles:
            handle.remove()


def assert_same(one: Any, other: Any) -> None:
    """Compare nested values that hold tensors."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_same(value, other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    else:
        assert one == other
