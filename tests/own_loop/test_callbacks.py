"""What the callbacks share, without any of the frameworks."""

import subprocess
import sys

import pytest

from suite.core.errors import InvalidInput, SparsityWarning, TrialFailed
from suite.own_loop.callbacks import Deferred, Planned, Unit, check_sparse, checked_unit, in_points
from tests.own_loop.loops import METHOD, STEPS, train
from tests.support.helpers import OPTIMIZERS, conv_net

OPTIONS = {name: value for name, value in METHOD.items() if name != "method"}


def attach(call, planned, state=None):
    model = conv_net()
    return call.attach(model, [OPTIMIZERS["sgd"](model)], planned, state)


def test_steps_are_those_given_else_those_saved_else_those_planned():
    planned, open_call = Planned(STEPS, 10), Deferred("rigl", arguments=OPTIONS)
    handle = attach(Deferred("rigl", 30, arguments=OPTIONS), planned)
    assert handle.steps == 30
    assert attach(open_call, planned).steps == STEPS
    saved = handle.state_dict()
    with pytest.warns(SparsityWarning, match=r"of 30 steps, .* plans 24: .* handle\.extend"):
        assert attach(open_call, planned, saved).steps == 30
    with pytest.raises(InvalidInput, match=r"give SparsifyCallback\(steps=…\)"):
        attach(open_call, Planned(None, None))


def test_steps_per_epoch_are_those_planned_unless_given():
    handle, other = (
        attach(Deferred("set", steps_per_epoch=number, arguments={"sparsity": 0.9}), planned)
        for number, planned in ((None, Planned(STEPS, 10)), (5, Planned(STEPS, 10)))
    )
    assert [h.sparsifier.plan.steps_per_epoch for h in (handle, other)] == [10, 5]


@pytest.mark.parametrize("name", ["model", "optimizer", "state"])
def test_what_the_trainer_has_is_not_given_to_the_callback(name):
    with pytest.raises(InvalidInput, match=f"{name}= is not for the callback"):
        Deferred("rigl", arguments={name: None})


def test_scores_become_points():
    assert in_points("val_acc", 0.932, Unit.FRACTION) == pytest.approx(93.2)
    assert in_points("val_acc", 93.2, Unit.POINTS) == 93.2
    with pytest.raises(InvalidInput, match=r"val_acc=93.2 is no fraction of 1: give unit='points'"):
        in_points("val_acc", 93.2, Unit.FRACTION)
    with pytest.raises(TrialFailed, match="val_acc=nan: the validation score is not finite"):
        in_points("val_acc", float("nan"), Unit.POINTS)


def test_an_unknown_unit_is_refused():
    assert checked_unit("points") is Unit.POINTS
    with pytest.raises(InvalidInput, match=r"unit='percent' is not known: give 'fraction' "):
        checked_unit("percent")


def test_weights_outside_the_masks_are_found_after_training():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    call = Deferred("rigl", arguments=OPTIONS)
    handle = call.attach(model, [optimizer], Planned(STEPS, None), None)
    train(model, optimizer)
    check_sparse(handle)
    model[6].weight.data.add_(1e-3)
    with pytest.raises(TrialFailed, match=r"after training, 6: .* handle\.average\(\)"):
        check_sparse(handle)


def test_sparsify_imports_none_of_the_frameworks():
    code = (
        "import sys, torch; from suite import sparsify;"
        "m = torch.nn.Linear(8, 8); o = torch.optim.SGD(m.parameters(), 0.1);"
        "sparsify(m, o, 'rigl', sparsity=0.5, steps=200);"
        "there = {name.split('.')[0] for name in sys.modules};"
        "print(sorted(there & {'lightning', 'transformers', 'accelerate', 'timm'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
