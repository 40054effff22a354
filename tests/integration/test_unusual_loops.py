"""Every method in loops that are unusual but mean the same training: the same bits come out."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.own_loop.handle import Handle
from suite.sparsity.plan import Plan
from tests.support.every_method import METHODS, has_masks, planned, quick_settings, train_in_rounds
from tests.support.helpers import batch_of, conv_net, digits, first_quick

# A training this short may end at another sparsity than a user expects, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::suite.core.errors.SparsityWarning")

PLAN = Plan(steps=40, sparsity=0.9, seed=0, steps_per_epoch=10, validates=True)
MASKED = [name for name in METHODS if has_masks(name)]


def linear_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10))


def each(*first: str) -> list:
    """Return all methods as parameters; those given are in ``make test-fast``."""
    return [*first[:-1], *first_quick([first[-1], *(m for m in MASKED if m not in first)])]


@contextmanager
def default_dtype(kind: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class Loop:
    """A method at work in a plain loop over the digits, which may be written in unusual ways.

    On a network of convolutions, else of linear layers if the method refuses that one.
    """

    def __init__(self, method: str, maximize: bool = False, autocast: str = "") -> None:
        self.maximize, self.autocast = maximize, autocast
        self.settings = {
            "sparsity": planned(method, PLAN).plan.sparsity,
            "steps": PLAN.steps,
            "steps_per_epoch": PLAN.steps_per_epoch,
            "examples": (digits().x[:200], digits().y[:200]),
            **quick_settings(method),
        }
        self.method, self.model = method, conv_net()

    def attach(self) -> Handle:
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), 0.05, momentum=0.9, weight_decay=1e-2, maximize=self.maximize
        )
        return sparsify(self.model, self.optimizer, self.method, **self.settings)

    def trained(self, default: torch.dtype = torch.float32) -> nn.Module:
        """Return the trained model; `default` is torch's default dtype after it is built."""
        linear = linear_net()
        with default_dtype(default):
            try:
                handle = self.attach()
            except InvalidInput:
                self.model = linear
                handle = self.attach()
            train_in_rounds(handle, self._step)
        return self.model

    def _step(self, number: int) -> None:
        x, y = batch_of(digits(), number, 32)
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(self.autocast)):
            loss = F.cross_entropy(self.model(x), y)
            if self.autocast == "step":
                self._update(loss)
        if self.autocast != "step":
            self._update(loss)

    def _update(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        (-loss if self.maximize else loss).backward()
        self.optimizer.step()


@functools.cache
def usual(method: str) -> nn.Module:
    """Return the model that a usual loop trains, to be read only."""
    return Loop(method).trained()


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("method", each("top_kast", "sr_ste", "str"))
def test_maximizing_the_negated_loss_is_minimizing_the_loss(method):
    assert_same(usual(method), Loop(method, maximize=True).trained())


@pytest.mark.parametrize("method", each("wanda", "sparsegpt"))
def test_a_step_inside_an_autocast_block_is_taken_as_outside_of_it(method):
    assert_same(Loop(method, autocast="loss").trained(), Loop(method, autocast="step").trained())


@pytest.mark.parametrize("method", each("set", "srigl", "chts"))
def test_random_decisions_do_not_depend_on_the_default_dtype(method):
    """Most random numbers in half precision are equal, and ties are broken by index."""
    assert_same(usual(method), Loop(method).trained(torch.bfloat16))
