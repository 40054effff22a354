"""The state of the method: saved, read from older versions, and carried into a longer training."""

import copy
from dataclasses import replace

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.resonance.method import Resonance
from suite.sparsity.plan import Plan
from tests.support.helpers import OPTIMIZERS, PLAN, conv_net, fit, make

FREEZE = 90


def trained(stop: int, plan: Plan = PLAN, **options):
    """Return model, optimizer and method after `stop` steps."""
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("resonance", plan, **options)
    assert isinstance(sparsifier, Resonance)
    sparsifier.attach(model, optimizer)
    fit(model, optimizer, sparsifier, stop=stop)
    return model, optimizer, sparsifier


def as_older(state: dict, sparsifier: Resonance) -> dict:
    """Return a state as it was when groups held the windows, empty after the projection."""
    empty = {"rows": torch.empty(8, 0, dtype=torch.bfloat16), "recorded": 0}
    extra = state["extra"]
    groups = {
        group.name: extra["groups"][group.name]
        | {"histories": [extra["signal"].get(layer.name, empty) for layer in group.layers]}
        for group in sparsifier.groups
    }
    return state | {"extra": {"groups": groups, "feedback": extra["feedback"]}}


def updates(sparsifier: Resonance) -> list[int]:
    return list(filter(sparsifier.is_update, range(1, sparsifier.plan.steps + 1)))


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("stop", [43, FREEZE, 100])
def test_an_older_state_continues_as_a_newer_one(stop, scope):
    model, optimizer, saved = trained(stop, scope=scope)
    momenta = copy.deepcopy(optimizer.state_dict())  # loaded as they are, not copied
    older = as_older(saved.state_dict(), saved)
    restored = conv_net()
    again = OPTIMIZERS["sgd"](restored)
    loaded = make("resonance", scope=scope)
    loaded.attach(restored, again, resume=True)
    restored.load_state_dict(model.state_dict())
    again.load_state_dict(momenta)
    loaded.load_state_dict(older)
    fit(model, optimizer, saved, start=stop)
    fit(restored, again, loaded, start=stop)
    assert all(map(torch.equal, model.state_dict().values(), restored.state_dict().values()))


def test_the_projection_is_saved_by_its_step_and_frees_the_windows():
    _, _, before = trained(FREEZE - 1)
    assert before.method_state()["fixed_at"] is None
    assert set(before.method_state()["signal"]) == {"3", "6", "8", "0"} - {
        name for name, zeros in before.target_zeros().items() if zeros == 0
    }
    _, _, after = trained(FREEZE)
    assert after.method_state()["fixed_at"] == FREEZE
    assert after.method_state()["signal"] == {}


@pytest.mark.parametrize("options", [{"reading": "rate"}, {"average": 0.9, "reading": "centroid"}])
def test_the_projection_frees_every_kind_of_signal(options):
    options |= {"update_every": 8, "bits": 1}
    _, _, before = trained(FREEZE - 1, **options)
    assert before.method_state()["signal"]
    _, _, after = trained(FREEZE, **options)
    assert after.method_state()["signal"] == {}
    restored = make("resonance", **options)
    restored.attach(conv_net(), OPTIMIZERS["sgd"](conv_net()), resume=True)
    restored.load_state_dict(after.state_dict())
    assert restored.method_state()["signal"] == {}


def test_a_decision_for_which_an_extended_training_has_recorded_too_little_is_left_out():
    plan, options = replace(PLAN, steps=700), {"reading": "rate", "update_every": "auto", "bits": 1}
    model, optimizer, sparsifier = trained(22, plan, **options)  # a decision at 21
    longer = sparsifier.continue_as(replace(plan, steps=800), vars(sparsifier.options), 22)
    assert isinstance(longer, Resonance)
    assert list(filter(longer.is_update, range(22, 60))) == [25, 50]  # 23 to 25 are recorded
    seen = []
    decide = longer._decide

    def watch(group, reading, step):
        seen.append(step)
        decide(group, reading, step)

    longer._decide = watch
    fit(model, optimizer, longer, start=22, stop=60)
    assert set(seen) == {50}


def test_a_projection_for_which_too_little_is_recorded_goes_by_the_weights():
    model, optimizer, sparsifier = trained(FREEZE - 4, reading="rate", update_every=8, bits=1)
    signal = sparsifier._make_signal(sparsifier._decided_layers())
    sparsifier.signal.load(signal.state())
    fit(model, optimizer, sparsifier, start=FREEZE - 4)
    assert sparsifier.sparsity_errors() == ""


def test_which_steps_update_does_not_depend_on_when_it_is_asked():
    _, _, sparsifier = trained(FREEZE - 1)
    reads = [sparsifier.wants_dense_gradient(step) for step in range(1, 121)]
    before = updates(sparsifier)
    _, _, sparsifier = trained(120)
    assert updates(sparsifier) == before
    assert before[-1] == FREEZE
    assert [sparsifier.wants_dense_gradient(step) for step in range(1, 121)] == reads
    assert not sparsifier.is_idle()


@pytest.mark.parametrize("is_older", [False, True])
def test_a_training_that_is_extended_after_the_projection_stays_as_it_is(is_older):
    _, _, sparsifier = trained(FREEZE)
    if is_older:
        sparsifier.load_state_dict(as_older(sparsifier.state_dict(), sparsifier))
    longer = sparsifier.continue_as(replace(PLAN, steps=400), vars(sparsifier.options), FREEZE)
    assert isinstance(longer, Resonance)
    assert longer.schedule.freeze == 300
    assert [step for step in updates(longer) if step > FREEZE] == []
    assert not any(map(longer.wants_dense_gradient, range(FREEZE + 1, 401)))
    when = 300 if is_older else FREEZE  # an older state does not say when it was
    with pytest.raises(InvalidInput, match=f"connectivity is fixed from step {when} on"):
        longer.continue_as(replace(longer.plan, sparsity=0.95), vars(sparsifier.options), FREEZE)


def test_a_target_for_a_layer_that_was_to_stay_dense_is_refused_and_changes_nothing():
    plan = replace(PLAN, sparsity=0.2)
    model, optimizer, sparsifier = trained(43, plan)
    assert sparsifier.target_zeros()["0"] == 0
    with pytest.raises(InvalidInput, match=r"layer '0' was to stay dense.*leave sparsity out"):
        sparsifier.continue_as(replace(plan, sparsity=0.9), vars(sparsifier.options), 43)
    fit(model, optimizer, sparsifier, start=43)
    unextended, _, _ = trained(120, plan)
    assert all(map(torch.equal, model.state_dict().values(), unextended.state_dict().values()))
