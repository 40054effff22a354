"""Which objects are optimizers that a method can be attached to."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.own_loop.optimizers import usable_optimizers
from tests.own_loop.libraries import accelerated, library
from tests.support.helpers import OPTIMIZERS, conv_net

Build = Callable[[nn.Module], Any]


def matrices(model: nn.Module) -> list[nn.Parameter]:
    return [model[6].weight, model[8].weight]


def test_several_optimizers_come_back_in_the_order_given():
    model = conv_net()
    muon = torch.optim.Muon(matrices(model))
    ids = {id(p) for p in matrices(model)}
    adamw = torch.optim.AdamW([p for p in model.parameters() if id(p) not in ids])
    assert usable_optimizers(muon) == (muon,)
    assert usable_optimizers([muon, adamw]) == (muon, adamw)
    assert usable_optimizers((adamw, muon)) == (adamw, muon)


def test_accelerates_wrapper_is_unwrapped():
    optimizer = OPTIMIZERS["sgd"](conv_net())
    with accelerated(optimizer) as wrapped:
        assert usable_optimizers(wrapped) == (optimizer,)
        assert usable_optimizers([wrapped]) == (optimizer,)


@pytest.mark.parametrize("package", ["lightning.pytorch.core.optimizer", "lightning.fabric"])
def test_lightnings_wrappers_are_unwrapped(package):
    optimizer = OPTIMIZERS["adamw"](conv_net())
    if package == "lightning.fabric":
        wrapped = library("lightning.fabric.wrappers")._FabricOptimizer(optimizer, strategy=None)
    else:
        wrapped = library(package).LightningOptimizer(optimizer)
    assert usable_optimizers(wrapped) == (optimizer,)


def test_timms_lookahead_is_unwrapped_since_hooks_and_state_are_its_optimizer_s():
    model = conv_net()
    base = torch.optim.SGD(model.parameters(), 0.1)
    lookahead = library("timm.optim").Lookahead(base)
    called: list[object] = []
    for optimizer in (base, lookahead):
        optimizer.register_step_pre_hook(lambda found, *_: called.append(found))
    lookahead.step()
    assert base in called
    assert lookahead.state == {}
    with accelerated(lookahead) as wrapped:
        assert usable_optimizers(wrapped) == (base,)


class Unhooked(torch.optim.Optimizer):
    def __init__(self, parameters: Any) -> None:
        self.param_groups = [{"params": list(parameters)}]
        self.state = {}

    def step(self, closure: Any = None) -> None:
        pass


class SharpnessAware(torch.optim.Optimizer):
    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})
        self.base_optimizer = torch.optim.SGD(self.param_groups, 0.1)


class Together:
    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.first, self.second = optimizers


def named(name: str) -> Any:
    """Return a wrapper by a name of a library that is not installed."""
    wrapper = type(name, (), {})()
    wrapper.optimizer = OPTIMIZERS["sgd"](conv_net())
    return wrapper


def zero_redundancy(model: nn.Module) -> Any:
    kind = library("torch.distributed.optim").ZeroRedundancyOptimizer
    wrapped = kind.__new__(kind)
    wrapped.optim = OPTIMIZERS["sgd"](model)
    return wrapped


REFUSED: dict[str, tuple[Build, str]] = {
    "none": (lambda m: None, "optimizer is None: give the optimizer that trains the model"),
    "model": (
        lambda m: m,
        r"is a model \(Sequential\): the order is sparsify\(model, optimizer, method\)",
    ),
    "method": (lambda m: "rigl", "is the text 'rigl': the order is sparsify"),
    "parameters": (lambda m: list(m.parameters()), r"looks like parameters \(list\): give the opt"),
    "generator": (lambda m: m.parameters(), r"looks like parameters \(generator\)"),
    "one parameter": (lambda m: [m, m[0].weight], r"optimizer\[0\] is a model"),
    "class": (lambda m: torch.optim.SGD, r"is the class SGD: build it, SGD\(model.parameters\(\)"),
    "number": (lambda m: 0.1, "is of type float: give a torch.optim.Optimizer"),
    "dict": (lambda m: {"muon": OPTIMIZERS["sgd"](m)}, "is of type dict: .* or a list of several"),
    "empty": (lambda m: [], r"optimizer=\[\] is empty"),
    "nested": (lambda m: [[OPTIMIZERS["sgd"](m)]], r"optimizer\[0\] is a list inside a list"),
    "scheduler": (
        lambda m: torch.optim.lr_scheduler.ConstantLR(OPTIMIZERS["sgd"](m)),
        r"is a learning-rate scheduler \(ConstantLR\): give the optimizer whose rate it sets",
    ),
    "scaler": (lambda m: torch.amp.GradScaler("cpu"), "is a GradScaler: give the optimizer"),
    "twice": (
        lambda m: [OPTIMIZERS["sgd"](m)] * 2,
        r"optimizer\[1\] is an optimizer that is in the list already \(SGD\)",
    ),
    "shared": (
        lambda m: [OPTIMIZERS["sgd"](m), torch.optim.AdamW([m[8].weight])],
        r"optimizer\[0\] \(SGD\) and optimizer\[1\] \(AdamW\) both train a parameter of shape "
        r"\(10, 32\)",
    ),
    "unhooked": (lambda m: Unhooked(m.parameters()), r"\(Unhooked\) calls no hooks in its step"),
    "sam": (
        lambda m: SharpnessAware(m.parameters()),
        r"\(SharpnessAware\) steps SGD, .* no hook sees it: train with SGD itself",
    ),
    "together": (
        lambda m: Together(torch.optim.Muon(matrices(m)), torch.optim.SGD([m[0].weight], 0.1)),
        "holds Muon and SGD, .* train with Muon and SGD themselves, given as a list",
    ),
    "zero": (zero_redundancy, "ZeroRedundancyOptimizer.* keeps the state of other parameters"),
    "oss": (lambda m: named("OSS"), r"\(OSS\) keeps the state of other parameters"),
    "deepspeed": (lambda m: named("DeepSpeedZeroOptimizer"), r"\(DeepSpeedZeroOptimizer\) keeps"),
    "apex": (lambda m: named("FP16_Optimizer"), "trains copies of the weights: use torch.autocast"),
    "megatron": (lambda m: named("MegatronOptimizer"), "trains copies of the weights"),
    "unknown": (lambda m: named("Wrapper"), r"\(Wrapper\) is no torch.optim.Optimizer but holds"),
    "schedule-free wrapper": (
        lambda m: library("schedulefree").ScheduleFreeWrapper(OPTIMIZERS["sgd"](m)),
        "averages weights around the step of another optimizer: use SGDScheduleFree",
    ),
    "lookahead": (
        lambda m: library("pytorch_optimizer").Lookahead(OPTIMIZERS["adamw"](m)),
        r"optimizer \(Lookahead\) steps AdamW, .*: train with AdamW itself",
    ),
    "lomo": (
        lambda m: library("pytorch_optimizer").load_optimizer("lomo")(m),
        r"\(LOMO\) changes weights during the backward pass",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_optimizer_or_hides_one_is_refused_in_one_line(name):
    build, says = REFUSED[name]
    with pytest.raises(InvalidInput, match=says) as refusal:
        usable_optimizers(build(conv_net()))
    assert "\n" not in str(refusal.value)
