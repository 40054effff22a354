"""What a record says of zeros and FLOPs is computed again from its configuration."""

import re

import pytest

from baselines.rigl import RigL
from suite.results.record_check import TRAINING
from suite.training.verify_record import recompute
from tests.support.helpers import make, trained, trial


def record_of(method: str):
    return trained(trial(method)).record


@pytest.mark.parametrize(
    ("method", "factor", "says"),
    [
        ("static", 0.9, "training: .* FLOPs, not"),
        ("static", 1.1, "training: .* FLOPs, not"),
        ("rigl", 0.999, "training: .* FLOPs, not"),
        ("lottery_ticket", 0.999, "training: .* FLOPs, not"),
        ("snip", 0.999, "training: .* FLOPs, not"),
        ("resonance", 0.5, "training: .* FLOPs, fewer than its masks can have taken"),
        ("resonance", 5, "training: .* FLOPs, more than its masks can have taken"),
        ("grasp", 1e90, "training: .* FLOPs, more than its masks can have taken"),
        ("dense", 1.001, "training: .* FLOPs, not"),
        ("dense", 0.999, "training: .* FLOPs, not"),
    ],
)
def test_training_that_costs_what_it_cannot_is_named(method, factor, says):
    record = record_of(method)
    flops = record.flops | {"training": factor * record.flops["training"]}
    (problem,) = recompute(record.model_copy(update={"flops": flops})).problems
    assert re.match(says, problem)


@pytest.mark.parametrize(
    ("method", "name", "factor", "says"),
    [
        ("resonance", "method", 0.9, "method: .* FLOPs of training, not"),
        ("chts", "method", 1.1, "method: .* FLOPs of training, not"),
        ("sparsegpt", "method", 0.999, "method: .* FLOPs of training, not"),
        ("snip", "scoring", 0.999, "scoring: .* FLOPs of training, not"),
        ("grasp", "scoring", 2, "scoring: .* FLOPs of training, not .* to"),
    ],
)
def test_a_part_of_training_that_cannot_be_is_named(method, name, factor, says):
    record = record_of(method)
    flops = record.flops | {name: factor * record.flops[name]}
    (problem,) = recompute(record.model_copy(update={"flops": flops})).problems
    assert re.match(says, problem)
    older = {entry: value for entry, value in record.flops.items() if entry != name}
    if name == "method":
        older["training"] -= record.flops["method"]
    assert recompute(record.model_copy(update={"flops": older})).problems == []


def layer(record, number, **values):
    layers = [one.model_copy() for one in record.layers]
    layers[number] = layers[number].model_copy(update=values)
    return {"layers": layers}


OTHERS = {
    "moving masks of static": (
        lambda r: {"metrics": r.metrics | {"mask_churn": 1.0}}, "changes no mask in training"),
    "a small file": (
        lambda r: {"metrics": r.metrics | {"dense_bytes": 9.0}}, "dense_bytes is 9: the network"),
    "silent outputs": (lambda r: layer(r, 2, silent_units=1), "no ReLU follows it"),
    "no weight of the output": (
        lambda r: layer(r, 2, zeros=640), "layer 5 has no active weight, so the outputs for 360"),
    "all units of a layer silent": (
        lambda r: layer(r, 1, silent_units=64), "all units of layer 3 are silent"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHERS)
def test_what_its_network_cannot_have_given_is_named(kind):
    record = record_of("static")
    change, says = OTHERS[kind]
    problems = recompute(record.model_copy(update=change(record))).problems
    assert any(says in problem for problem in problems), problems


def test_of_a_method_that_is_not_known_the_tasks_network_is_compared():
    record = record_of("rigl")
    own = record.model_copy(update={"trial": record.trial | {"method": "theirs"}})
    found = recompute(own)
    assert (found.problems, found.steps) == ([], 0)
    assert "unknown method 'theirs'" in found.unknown
    few = {"flops": record.flops | {"inference": 1.0}}
    wide = {"layers": [one.model_copy(update={"shape": (2, *one.shape)}) for one in record.layers]}
    for change, says in [
        (few, "inference: 1 FLOPs, not"),
        (wide | few, "its layers take"),
        ({"flops": record.flops | {"training": 1e90}}, "training: 1e+90 FLOPs"),
        ({"layers": []}, "the layers are not those of digits/mlp: 1, 3, 5"),
    ]:
        problems = recompute(own.model_copy(update=change)).problems
        assert any(says in problem for problem in problems), problems


@pytest.mark.parametrize("method", ["static", "rigl", "magnitude", "granet", "snfs"])
def test_a_recipe_of_endless_steps_is_checked_at_once(method):
    record = record_of(method)
    recipe = record.trial["recipe"] | {"epochs": 10**12}
    endless = record.model_copy(update={"trial": record.trial | {"recipe": recipe}})
    found = recompute(endless)
    assert found.steps == 40 * 10**12
    if method in ("static", "rigl", "snfs"):  # the zeros of every step are known
        assert any("training" in problem for problem in found.problems)


SETTINGS = [
    ("magnitude", {"distribution": "global"}, 0.8),
    ("magnitude", {"initial_sparsity": 0.3, "prune_start": 0.2}, 0.5),
    ("granet", {"distribution": "erk", "initial_sparsity": 0.0}, 0.8),
    ("lottery_ticket", {"rate": 0.5, "rewind_step": 7}, 0.8),
    ("lottery_ticket", {"rate": 0.6, "distribution": "original"}, 0.9),
    ("snfs", {"update_every": 7, "distribution": "uniform"}, 0.5),
    ("snip", {"batch_size": 5000}, 0.8),
    ("grasp", {"examples_per_class": 500}, 0.8),
    ("synflow", {"iterations": 1}, 0.8),
    ("resonance", {"scope": "global", "modulation": 0.0}, 0.8),
    ("rigl", {"replace_step": True}, 0.0),
    ("rigl", {"candidate_ratio": 0.5}, 0.8),
    ("granet", {"distribution": "erk", "candidate_ratio": 0.5}, 0.8),
    ("granet", {"candidate_ratio": 0.5}, 0.8),
    ("acdc", {"distribution": "erk", "phase": 0.07}, 0.8),
    ("acdc", {}, 0.8),
    ("mest", {"extra_density": 0.3}, 0.8),
    ("set_itop", {"update_every": "auto"}, 0.8),
]


FIRST_OF_METHOD = {method: setting for method, *setting in reversed(SETTINGS)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options", "sparsity", "execution"),
    [
        *((*setting, "masked") for setting in SETTINGS),
        *((method, *setting, "csr") for method, setting in FIRST_OF_METHOD.items()),
    ],
)
def test_what_training_costs_is_within_what_the_method_declares(
    method, options, sparsity, execution
):
    of = trial(method, hyperparameters=options, sparsity=sparsity, execution=execution)
    found = recompute(trained(of).record)
    assert found.problems == []
    (training,) = [check for check in found.checks if check.name == TRAINING]
    exact = method not in ("grasp", "resonance")
    if method == "granet" and "distribution" not in options and "candidate_ratio" in options:
        exact = False  # how many candidates each layer had during the ramp is not known
    assert training.how == ("exact" if exact else "within bounds")


class Undeclared(RigL):
    """A variant that does not say again what zeros its masks may have."""


def test_a_method_that_declares_nothing_has_the_bounds_of_any(monkeypatch):
    record = record_of("rigl")
    method = make("rigl")
    assert method.declares_cost
    assert not Undeclared(method.plan, vars(method.options)).declares_cost
    monkeypatch.setattr(RigL, "declares_cost", False)

    def checked(factor: float) -> tuple[list[str], str]:
        flops = record.flops | {"training": factor * record.flops["training"]}
        found = recompute(record.model_copy(update={"flops": flops}))
        return found.problems, found.checks[-1].how

    assert checked(1)[0] == checked(3)[0] == []
    assert "declares no zeros_in_training" in checked(1)[1]
    assert checked(1e99 / record.flops["training"])[0]


@pytest.mark.parametrize("said", ["", "no update falls into these 40 steps: the first masks stay"])
def test_whether_connectivity_was_updated_follows_from_the_schedule(said):
    of = trial("rigl", recipe={"epochs": 4}, hyperparameters={"update_every": 1000})
    record = trained(of).record
    assert re.match(r"no update falls into these \d+ steps \(the first would", record.no_update)
    assert record.no_update in record.notes
    assert recompute(record).problems == []
    changed = record.model_copy(update={"no_update": said, "notes": []})
    problems = recompute(changed).problems
    assert len(problems) == (0 if said else 1)
    assert said or "it does not say so (no_update)" in problems[0]


def test_updates_that_moved_nothing_are_none():
    """At the one update a tenth of a per cent is dropped, which is less than one weight."""
    of = trial("rigl", recipe={"epochs": 4}, hyperparameters={"drop_fraction": 1e-4})
    record = trained(of).record
    assert record.no_update == record.never_updated
    assert record.no_update.startswith("no update of these")
    assert "mask_churn" not in record.metrics
    assert recompute(record).problems == []
    moved = record.model_copy(update={"metrics": record.metrics | {"mask_churn": 0.1}})
    assert any("by its settings" in problem for problem in recompute(moved).problems)


def test_a_training_with_updates_cannot_say_that_it_had_none():
    record = record_of("rigl")
    assert record.no_update == ""
    (problem,) = recompute(record.model_copy(update={"no_update": "none"})).problems
    assert "by its settings connectivity is updated" in problem
