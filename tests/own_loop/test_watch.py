"""Writes to masked weights are noticed, whoever made them."""

import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.own_loop.watch import WeightWatch
from suite.sparsity.plan import Plan
from suite.sparsity.storage.execution import Execution
from tests.support.helpers import make


def watched():
    """Return a masked model, and a watch of its weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
    execution = Execution()
    sparsifier = make("static", Plan(steps=9, sparsity=0.5, seed=0, steps_per_epoch=0))
    sparsifier.attach(model, torch.optim.SGD(model.parameters(), 0.1), storage=execution)
    watch = WeightWatch(execution)
    watch.record()
    return model, watch


WRITES = {
    "copy_": lambda p: p.copy_(torch.ones_like(p)),
    "an element": lambda p: p.view(-1)[:].fill_(1),
    "detach": lambda p: p.detach().fill_(1),
    "data =": lambda p: setattr(p, "data", torch.ones_like(p)),
    "set_": lambda p: p.set_(torch.ones_like(p)),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_noticed_at_the_next_check(write):
    model, watch = watched()
    watch.check()
    with torch.no_grad():
        WRITES[write](model[1].weight)
    assert [weight.name for weight in watch.written()] == ["1"]
    for _ in range(2):  # until it is mended
        with pytest.raises(InvalidInput, match=r"\(1: 11 weights outside its mask are not 0\)"):
            watch.check()
    watch.forget()
    watch.check()


def test_a_write_that_keeps_the_zeros_is_taken_as_it_is():
    model, watch = watched()
    with torch.no_grad():
        model[0].weight.mul_(2)
    assert watch.written()
    watch.check()
    assert not watch.written()


def test_what_is_written_through_data_is_found_by_samples():
    model, watch = watched()
    watch.sample(1)
    watch.read()
    model[0].weight.data.fill_(1)
    assert not watch.written()
    watch.sample(5)
    with pytest.raises(InvalidInput, match=r"between steps 5 and 5 .*\(0: 37 weights outside"):
        watch.read()


def test_what_was_dense_between_two_reads_is_found_although_it_is_over():
    model, watch = watched()
    kept = model[0].weight.data.clone()
    model[0].weight.data.fill_(1)
    watch.sample(3)
    model[0].weight.data.copy_(kept)
    watch.sample(4)
    with pytest.raises(InvalidInput, match="between steps 3 and 4 .*they are 0 again now"):
        watch.read()
    watch.read()  # it is said once


def test_weights_that_are_not_finite_are_left_to_the_methods_own_checks():
    model, watch = watched()
    model[0].weight.data.fill_(torch.nan)
    watch.sample(1)
    watch.read()


def test_another_parameter_in_the_place_of_one_is_refused():
    model, watch = watched()
    model.load_state_dict(model.state_dict(), assign=True)
    with pytest.raises(InvalidInput, match="layer '0' holds another parameter"):
        watch.check()
