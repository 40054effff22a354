"""The steps of several optimizers are one sequence of training steps."""

import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.own_loop.optimizer_steps import OptimizerSteps


class Diary:
    """A listener that writes down what happens."""

    def __init__(self):
        self.entries = []

    def begin_step(self):
        self.entries.append("begin")

    def continue_step(self):
        self.entries.append("continue")

    def optimizer_stepped(self, optimizer):
        self.entries.append(type(optimizer).__name__)

    def end_step(self):
        self.entries.append("end")


def pair():
    """Return two optimizers of one model whose gradients are there, and a diary of their steps."""
    model = nn.Linear(3, 3)
    model(torch.ones(2, 3)).sum().backward()
    sgd, adam = torch.optim.SGD([model.weight], 0.1), torch.optim.Adam([model.bias], 0.1)
    diary = Diary()
    return sgd, adam, OptimizerSteps([sgd, adam], diary), diary.entries


def test_a_step_is_over_when_every_optimizer_has_stepped():
    sgd, adam, _, entries = pair()
    for first, second in ((sgd, adam), (adam, sgd)):
        first.step()
        second.step()
    first = ["begin", "SGD", "continue", "Adam", "end"]
    assert entries == [*first, "begin", "Adam", "continue", "SGD", "end"]


def test_an_optimizer_that_steps_again_begins_the_next_step():
    sgd, adam, _, entries = pair()
    sgd.step()
    sgd.step()
    adam.step()
    assert entries == ["begin", "SGD", "end", "begin", "SGD", "continue", "Adam", "end"]


def test_with_a_closure_a_step_begins_when_the_closure_has_returned():
    sgd, adam, _, entries = pair()
    for closed in (sgd, adam):
        closed.step(lambda: entries.append("closure"))
    assert entries == ["closure", "begin", "SGD", "closure", "continue", "Adam", "end"]


def test_a_closure_that_fails_begins_nothing():
    sgd, _, _, entries = pair()

    def fails():
        raise KeyError("no data")

    with pytest.raises(KeyError, match="no data"):
        sgd.step(fails)
    assert entries == []
    sgd.step()
    assert entries == ["begin", "SGD"]


def test_an_optimizer_that_calls_its_closure_twice_is_refused():
    model = nn.Linear(3, 3)
    optimizer = torch.optim.LBFGS(model.parameters())
    OptimizerSteps([optimizer], Diary())

    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(2, 3)).square().sum()
        loss.backward()
        return loss

    with pytest.raises(InvalidInput, match="LBFGS calls its closure several times in a step"):
        optimizer.step(closure)


def test_a_step_that_calls_the_step_of_its_base_class_is_refused():
    class Twice(torch.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    optimizer = Twice(nn.Linear(3, 3).parameters(), 0.1)
    OptimizerSteps([optimizer], Diary())
    with pytest.raises(InvalidInput, match=r"Twice\.step calls the step of its base class"):
        optimizer.step()


def test_loaded_state_is_noted_until_it_is_dealt_with():
    sgd, adam, steps, _ = pair()
    adam.load_state_dict(adam.state_dict())
    assert steps.any_loaded
    assert (steps.was_loaded(sgd), steps.was_loaded(adam)) == (False, True)
    steps.forget_loaded()
    assert not steps.any_loaded


def test_optimizers_are_left_alone_after_removal():
    sgd, adam, steps, entries = pair()
    steps.remove()
    sgd.step()
    adam.step()
    assert entries == []


def test_the_step_that_initializes_the_state_of_an_optimizer_is_none_of_the_training():
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    model = nn.Linear(3, 3)
    adam, diary = torch.optim.Adam(model.parameters(), 0.1), Diary()
    OptimizerSteps([adam], diary)
    get_optimizer_state_dict(model, adam)
    assert adam.state[model.weight]["step"] == 1
    assert diary.entries == []
    adam.step()
    assert diary.entries == ["begin", "Adam", "end"]


def test_a_step_that_some_optimizers_have_taken_goes_on_after_a_restart():
    sgd, adam, steps, entries = pair()
    sgd.step()
    taken = steps.stepped
    steps.restart(taken)
    adam.step()
    assert taken == [0]
    assert entries == ["begin", "SGD", "continue", "Adam", "end"]
