"""A method in a user's own training loop."""

import contextlib
import copy
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning, TrialFailed
from suite.experiments import registry
from tests.own_loop.loops import BRIEF, brisk
from tests.support.helpers import (
    ONE_ROUND,
    OPTIMIZERS,
    attach,
    batch_of,
    conv_net,
    digits,
    fit,
    make,
)


def embedded(method: str, model: nn.Module, optimizer: torch.optim.Optimizer, **options):
    given = {"sparsity": 0.9, "steps": BRIEF.steps, "steps_per_epoch": BRIEF.steps_per_epoch}
    given |= {"examples": (digits().x, digits().y)}
    return sparsify(model, optimizer, method, **given | brisk(method) | options)


def train(model, optimizer, start=0, stop=BRIEF.steps, micro=1, scaler=None):
    data = digits()
    for step in range(start + 1, stop + 1):
        optimizer.zero_grad()
        x, y = batch_of(data, step, 8)
        for part_x, part_y in zip(x.chunk(micro), y.chunk(micro), strict=True):
            loss = F.cross_entropy(model(part_x), part_y) / micro
            (scaler.scale(loss) if scaler else loss).backward()
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()


@pytest.mark.parametrize(
    ("method", "options"),
    [("snip", {"fresh_weights": True}), ("lottery_ticket", {"control": "reinit"})],
)
def test_a_method_that_draws_new_weights_is_refused_for_a_model_that_exists(method, options):
    model = conv_net()
    with pytest.raises(InvalidInput, match=f"^{method} with these options draws new initial"):
        embedded(method, model, OPTIMIZERS["sgd"](model), **options)


@pytest.mark.parametrize("compensate", [True, False])
def test_a_state_from_before_dense_layers_compensate_is_one_where_they_do(compensate):
    model = conv_net()
    handle = embedded("static", model, OPTIMIZERS["sgd"](model))
    state = copy.deepcopy(handle.state_dict())
    del state["sparsifier"]["configuration"]["dense_layers_compensate"]
    again = conv_net()
    given = {"state": state, "dense_layers_compensate": compensate}
    if not compensate:
        with pytest.raises(InvalidInput, match="dense_layers_compensate=True, this method has Fa"):
            embedded("static", again, OPTIMIZERS["sgd"](again), **given)
        return
    resumed = embedded("static", again, OPTIMIZERS["sgd"](again), **given)
    assert resumed.state_dict()["sparsifier"]["configuration"]["dense_layers_compensate"] is True


@pytest.mark.filterwarnings("ignore:.*far from the target:suite.core.errors.SparsityWarning")
@pytest.mark.parametrize("method", ONE_ROUND)
def test_hooks_do_what_the_suites_own_loop_does(method):
    own, foreign = conv_net(), conv_net()
    own_optimizer, foreign_optimizer = (OPTIMIZERS["sgd"](m) for m in (own, foreign))
    sparsifier = make(method, BRIEF, **brisk(method))
    attach(sparsifier, own, own_optimizer)
    fit(own, own_optimizer, sparsifier, batch=8)
    handle = embedded(method, foreign, foreign_optimizer)
    train(foreign, foreign_optimizer)
    neurons = 66 * registry.methods()[method].constant_fan_in
    assert handle.sparsity == pytest.approx(0.9, abs=1e-3 + neurons / 9160)
    for name, value in own.state_dict().items():
        assert torch.equal(value, foreign.state_dict()[name]), name


@pytest.mark.parametrize("method", ["rigl", "set", "rigl_mean_gradient"])
def test_updates_that_move_no_connection_are_said_after_the_last_step(method):
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    handle = embedded(method, model, optimizer, drop_fraction=1e-4)
    first = {name: mask.clone() for name, mask in handle.masks().items()}
    train(model, optimizer, stop=BRIEF.steps - 1)
    with pytest.warns(SparsityWarning, match=f"{method}: no update of these .* steps moved a conn"):
        train(model, optimizer, start=BRIEF.steps - 1)
    assert all(torch.equal(mask, first[name]) for name, mask in handle.masks().items())


def test_lottery_tickets_train_in_rounds():
    model = conv_net()
    before = model[6].weight.detach().clone()
    optimizer = OPTIMIZERS["sgd"](model)
    handle = embedded("lottery_ticket", model, optimizer, sparsity=0.5, steps=5)
    starts = []
    for number in handle.rounds():
        starts.append(model[6].weight.detach().clone())
        assert number == 0 or not optimizer.state
        train(model, optimizer, stop=5)
    assert len(starts) == 5
    mask = handle.masks()["6"]
    assert torch.equal(starts[-1], before * mask)
    assert handle.sparsity == pytest.approx(0.5, abs=1e-3)


def test_training_on_without_rounds_is_refused():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    embedded("lottery_ticket", model, optimizer, sparsity=0.5, steps=5)
    with pytest.raises(InvalidInput, match="for _ in handle.rounds"):
        train(model, optimizer, stop=6)


@pytest.mark.parametrize("method", ["rigl", "resonance", "resonance_pseudocode"])
def test_gradient_accumulation_counts_optimizer_steps(method):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    other = copy.deepcopy(model)
    for net, micro in ((model, 1), (other, 4)):
        optimizer = OPTIMIZERS["sgd"](net)
        handle = embedded(method, net.double(), optimizer)
        digits_double(net, optimizer, micro)
        assert handle.step == BRIEF.steps
    assert torch.equal(model[1].weight == 0, other[1].weight == 0)
    assert torch.allclose(model[1].weight, other[1].weight, atol=1e-9)


def digits_double(model, optimizer, micro):
    data = digits()
    for step in range(1, BRIEF.steps + 1):
        optimizer.zero_grad()
        x, y = batch_of(data, step, 8)
        for part_x, part_y in zip(x.double().chunk(micro), y.chunk(micro), strict=True):
            (F.cross_entropy(model(part_x), part_y) / micro).backward()
        optimizer.step()


@pytest.mark.parametrize("method", ["rigl", "resonance", "resonance_coherent"])
def test_a_grad_scaler_is_seen_through(method):
    masks = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=2.0**10)):
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        handle = embedded(method, model, optimizer)
        train(model, optimizer, scaler=scaler)
        masks.append(handle.masks())
    same = [
        float((a == b).float().mean()) for a, b in zip(*(m.values() for m in masks), strict=True)
    ]
    assert min(same) == 1.0  # scales are powers of two: nothing is rounded differently


def test_steps_that_a_scaler_leaves_out_are_not_recorded():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    handle = embedded("resonance", model, optimizer, steps=120, update_every=5)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for step in range(1, 7):
        optimizer.zero_grad()
        x, y = batch_of(digits(), step, 8)
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        if step in (2, 5):
            model[6].weight.grad[3, 4] = torch.inf
        scaler.step(optimizer)
        scaler.update()
    assert handle.step == 4
    # The first decision, at step 10, reads steps 3 to 10.
    histories = handle.sparsifier.signal.histories.values()
    assert {history.recorded for history in histories} == {2}
    assert all(bool(history.rows.isfinite().all()) for history in histories)


def test_a_fused_optimizer_under_a_scaler_is_refused():
    model = conv_net()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    embedded("rigl", model, optimizer)
    with pytest.raises(InvalidInput, match="fused=False"):
        train(model, optimizer, stop=1, scaler=torch.amp.GradScaler("cpu"))


@pytest.mark.parametrize("method", ["rigl", "resonance"])
@pytest.mark.parametrize("by_name", [True, False])
def test_a_closure_gives_the_same_bits_as_a_call_of_backward(method, by_name):
    plain, closed = conv_net(), conv_net()
    for model, has_closure in ((plain, False), (closed, True)):
        optimizer = OPTIMIZERS["sgd"](model)
        embedded(method, model, optimizer)
        for step in range(1, BRIEF.steps + 1):
            x, y = batch_of(digits(), step, 8)

            def closure(model=model, optimizer=optimizer, x=x, y=y):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                return loss

            if not has_closure:
                closure()
                optimizer.step()
            else:
                loss = optimizer.step(closure=closure) if by_name else optimizer.step(closure)
                assert loss.requires_grad
    assert_same(plain, closed)


def assert_same(one, other):
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_what_is_no_closure_is_refused():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    embedded("rigl", model, optimizer)
    with pytest.raises(InvalidInput, match="was given Tensor, not a closure"):
        optimizer.step(torch.tensor(0.0))


def test_after_detach_nothing_is_masked():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    handle = embedded("static", model, optimizer)
    handle.detach()
    train(model, optimizer, stop=3)
    assert bool(model[6].weight[~handle.masks()["6"]].any())


@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("method", ["rigl", "set", "magnitude"])
def test_an_update_of_what_is_not_finite_names_layer_and_step(method, execution):
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    embedded(method, model, optimizer, update_every=10, execution=execution)
    train(model, optimizer, stop=5)
    with torch.no_grad():
        model[6].weight.view(-1)[(model[6].weight != 0).view(-1)] = torch.nan
    with pytest.raises(TrialFailed, match=r"layer '.' has .* not finite at step 10: lower the"):
        train(model, optimizer, start=5, stop=10)


def test_an_infinite_gradient_of_a_pruned_weight_is_found_at_the_latest_after_the_last_step():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    handle = embedded("static", model, optimizer, steps=2)
    train(model, optimizer, stop=1)
    off = ~handle.masks()["6"]
    model[6].weight.grad.masked_fill_(off, torch.inf)
    with pytest.raises(TrialFailed, match="after the last step, 2, 6: .* outside its mask are NaN"):
        optimizer.step()
    assert handle.sparsity < 0.9


@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("part", [None, 6])
def test_dense_weights_that_are_loaded_into_a_sparse_network_are_refused(execution, part):
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    handle = embedded("rigl", model, optimizer, execution=execution)
    train(model, optimizer, stop=3)
    own = copy.deepcopy(model.state_dict())
    module, dense = (model, conv_net()) if part is None else (model[part], conv_net()[part])
    module.load_state_dict(dense.state_dict())
    assert execution == "csr" or handle.sparsity < 0.9
    for _ in range(2):
        with pytest.raises(InvalidInput, match="were loaded .* load the method's state as well"):
            train(model, optimizer, stop=1)
    model.load_state_dict(own)
    train(model, optimizer, stop=3)
    handle.detach()
    model.load_state_dict(conv_net().state_dict())
    train(model, optimizer, stop=3)


@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_a_layer_has_one_method_until_it_is_detached(execution):
    model = conv_net()
    for name in ("sgd", "adam"):
        optimizer = OPTIMIZERS[name](model)
        with pytest.raises(InvalidInput, match="training examples"):
            embedded("snip", model, optimizer, examples=None)  # it leaves no trace
        pruned_before = name == "adam"
        with pytest.warns(SparsityWarning) if pruned_before else contextlib.nullcontext():
            handle = embedded("static", model, optimizer, execution=execution)
        with pytest.raises(
            InvalidInput, match="layer '0' already has a method: detach that one first"
        ):
            embedded("rigl", model, optimizer)
        copied = copy.deepcopy(model)
        with pytest.warns(SparsityWarning, match="90% of the weights given are 0 already"):
            embedded("rigl", copied, OPTIMIZERS["sgd"](copied))
        handle.detach()


def test_two_methods_share_a_model_and_an_optimizer_by_its_parts():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    first = embedded("static", model[:6], optimizer, sparsity=0.5)
    second = embedded("rigl", model[6:], optimizer)
    train(model, optimizer, stop=20)
    assert [handle.sparsity for handle in (first, second)] == pytest.approx([0.5, 0.9], abs=2e-3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sparsity": 1.0}, r"give a number in \[0, 1\)"),
        ({"sparsity": "0.9"}, r"sparsity='0.9' is not usable: give a number in \[0, 1\)"),
        ({"sparsity": None}, "sparsity: give the fraction of zeros to reach"),
        ({"steps": 0}, "number of optimizer steps"),
        ({"steps": 1.5}, "steps=1.5 is not usable"),
        ({"steps_per_epoch": 1.5}, "steps_per_epoch=1.5 is not usable"),
        ({"seed": "a"}, "seed='a' is not usable: give a whole number"),
        ({"method": "rigel"}, "did you mean rigl"),
        ({"drop_fractoin": 0.1}, "did you mean drop_fraction"),
        ({"replace_step": True}, "replace_step"),
        ({"method": "set", "steps_per_epoch": None}, "steps_per_epoch"),
        ({"method": "resonance", "window": 9}, "give 10"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(options, says):
    model = conv_net()
    before = copy.deepcopy(model.state_dict())
    optimizer = OPTIMIZERS["sgd"](model)
    given = {"method": "rigl", "sparsity": 0.9, "steps": 120, "steps_per_epoch": 30} | options
    with pytest.raises(InvalidInput, match=says) as refusal:
        sparsify(model, optimizer, given.pop("method"), **given)
    assert "\n" not in str(refusal.value)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_weight_of_another_optimizer_is_refused_by_name():
    model = conv_net()
    optimizer = torch.optim.SGD(model[6].parameters(), 0.1)
    with pytest.raises(InvalidInput, match="layer '0'"):
        embedded("rigl", model, optimizer)


def test_sparsify_imports_no_tasks():
    import subprocess
    import sys

    code = (
        "import sys, torch; from suite import sparsify;"
        "m = torch.nn.Linear(8, 8); o = torch.optim.SGD(m.parameters(), 0.1);"
        "sparsify(m, o, 'rigl', sparsity=0.5, steps=10);"
        "assert not any(n.split('.')[0] == 'tasks' for n in sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("saved_in", [0, 2, 4])
def test_a_lottery_ticket_goes_on_in_the_round_it_was_saved_in(saved_in):
    def run(saved: dict | None = None, until: int | None = None):
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        handle = embedded("lottery_ticket", model, optimizer, sparsity=0.5, steps=5)
        parts = {"model": model, "optimizer": optimizer, "sparsifier": handle}
        if saved is not None:
            for name, part in parts.items():
                part.load_state_dict(saved[name])
        for number in handle.rounds():
            if number == until:
                train(model, optimizer, start=handle.step, stop=3)
                break
            train(model, optimizer, start=handle.step, stop=5)
        return copy.deepcopy({name: part.state_dict() for name, part in parts.items()})

    whole, resumed = run(), run(saved=run(until=saved_in))
    for name, value in whole["model"].items():
        assert torch.equal(value, resumed["model"][name]), name


@pytest.mark.usefixtures("no_plugins")
def test_a_method_of_ones_own_is_found_by_the_environment_s_plugins(tmp_path, monkeypatch):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from suite.core.declarations import Method\n"
        'METHOD = Method("mine", "ours", title="Mine", summary="static, by another name",\n'
        '                implementation="baselines.static:Static", family="static")\n'
    )
    monkeypatch.setenv("RESONANCE_PLUGINS", str(plugin))
    model = torch.nn.Linear(20, 10)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    handle = sparsify(model, optimizer, "mine", sparsity=0.8, steps=5)
    assert handle.sparsity == 0.8


@pytest.mark.parametrize("score", ["94", None, [94.0], True])
def test_a_score_that_is_no_number_is_refused(score):
    model = conv_net()
    handle = sparsify(model, OPTIMIZERS["sgd"](model), "set", sparsity=0.9, steps=9, update_every=3)
    with pytest.raises(InvalidInput, match="give the score as a number"):
        handle.validated(score)


def test_a_model_that_is_converted_after_it_was_sparsified_is_refused_at_its_next_step():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsify(model, optimizer, "snfs", sparsity=0.9, steps=9, update_every=3)
    model.double()
    x, y = batch_of(digits(), 1, 8)
    F.cross_entropy(model(x.double()), y).backward()
    with pytest.raises(InvalidInput, match="move and convert the model before sparsify"):
        optimizer.step()


@pytest.mark.filterwarnings("ignore:layer '1' was frozen")
@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_a_layer_that_was_frozen_under_either_execution_stays_frozen(execution):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = OPTIMIZERS["sgd"](model)
    handle = sparsify(
        model, optimizer, "rigl", sparsity=0.9, steps=24, update_every=5, execution=execution
    )
    for step in range(1, 25):
        if step == 12:
            model[1].requires_grad_(False)
            before = model.state_dict()["1.weight"].clone()
        x, y = batch_of(digits(), step, 8)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    handle.detach()
    assert torch.equal(model[1].weight, before)
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]


def test_weights_written_between_two_optimizers_of_a_step_are_refused_at_once():
    model = conv_net()
    front, rest = OPTIMIZERS["sgd"](model[:5]), OPTIMIZERS["sgd"](model[5:])
    sparsify(model, [front, rest], "static", sparsity=0.9, steps=9)
    x, y = batch_of(digits(), 1, 8)
    F.cross_entropy(model(x), y).backward()
    front.step()
    with torch.no_grad():
        model[6].weight.fill_(1)
    with pytest.raises(InvalidInput, match="not as sparse as the method's masks"):
        rest.step()


def test_noise_added_between_two_optimizers_of_a_step_leaves_pruned_weights_at_zero():
    model = conv_net()
    front, rest = OPTIMIZERS["sgd"](model[:5]), OPTIMIZERS["sgd"](model[5:])
    handle = sparsify(model, [front, rest], "static", sparsity=0.9, steps=9)
    for step in range(1, 10):
        x, y = batch_of(digits(), step, 8)
        for optimizer in (front, rest):
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for parameter in model.parameters():
                parameter.grad.add_(torch.ones_like(parameter))
            optimizer.step()
        for layer in handle.sparsifier.layers:
            assert not layer.values[~layer.mask].any()


def test_weights_written_through_data_after_the_planned_steps_are_noticed():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsify(model, optimizer, "static", sparsity=0.9, steps=5)

    def train(steps):
        for step in steps:
            x, y = batch_of(digits(), step, 8)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    train(range(9))
    model[6].weight.data.fill_(1)
    with pytest.raises(InvalidInput, match="outside the method's masks were not 0"):
        train(range(9, 80))


def dense_at_random(share):
    """Return random masks by layer of `small_net`, of the same density in each."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"1": (48, 64), "3": (32, 48), "5": (10, 32)}
    return {name: torch.rand(shape, generator=generator) < share for name, shape in shapes.items()}


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10)
    )


@pytest.mark.parametrize("at", [0, 13, 26])
@pytest.mark.parametrize("method", ["static", "rigl", "set", "resonance_coherent"])
def test_a_layer_keeps_zeros_that_a_raised_sparsity_would_not_give_it(method, at):
    model = small_net()
    optimizer = OPTIMIZERS["sgd"](model)
    given = {"masks": dense_at_random(0.3), "sparsity": None}
    handle = embedded(method, model, optimizer, **given)
    train(model, optimizer, 0, at)
    before = {name: int((~mask).sum()) for name, mask in handle.masks().items()}
    assert before["5"] > handle.sparsifier.zeros_at(0.72)["5"]
    handle.extend(steps=20, sparsity=0.72)
    longer = BRIEF.steps + 20
    train(model, optimizer, at, at + 2)
    states = copy.deepcopy([part.state_dict() for part in (model, optimizer, handle)])
    train(model, optimizer, at + 2, longer)
    zeros = {name: int((~mask).sum()) for name, mask in handle.masks().items()}
    assert all(zeros[name] >= count for name, count in before.items())
    size = sum(layer.size for layer in handle.sparsifier.layers)
    assert sum(zeros.values()) == math.floor(0.72 * size)

    again = small_net(seed=1)
    optimizer = OPTIMIZERS["sgd"](again)
    embedded(method, again, optimizer, steps=longer, sparsity=0.72, state=states[2])
    again.load_state_dict(states[0])
    optimizer.load_state_dict(states[1])
    train(again, optimizer, at + 2, longer)
    for mine, theirs in zip(again.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_sparsity_below_what_is_zero_already_is_refused_and_training_goes_on():
    masks = dense_at_random(0.3)
    given = sum(int((~m).sum()) for m in masks.values()) / sum(m.numel() for m in masks.values())
    model = small_net()
    optimizer = OPTIMIZERS["sgd"](model)
    handle = embedded("rigl", model, optimizer, sparsity=given - 0.004, masks=masks)
    train(model, optimizer, 0, 13)
    with pytest.raises(InvalidInput, match=r"weights are zero already, more than .*higher"):
        handle.extend(sparsity=given - 0.003)
    train(model, optimizer, 13)
    assert handle.sparsity == pytest.approx(given, abs=1e-9)


def test_use_refuses_weights_that_do_not_fit_the_masks_and_keeps_them():
    """They belong to a state that is still to be loaded."""
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    embedded("rigl", model, optimizer)
    train(model, optimizer, stop=13)
    saved = copy.deepcopy(model.state_dict())
    again = conv_net()
    handle = embedded("rigl", again, OPTIMIZERS["sgd"](again))
    again.load_state_dict(saved)
    with pytest.raises(InvalidInput, match="not as sparse as the method's masks"):
        handle.use(OPTIMIZERS["adam"](again))
    for name, value in saved.items():
        assert torch.equal(again.state_dict()[name], value), name


@pytest.mark.parametrize("place", ["it", "module '1'"])
def test_a_scripted_model_is_refused(place):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script is deprecated
        scripted = torch.jit.script(nn.Linear(4, 4))
    model = scripted if place == "it" else nn.Sequential(nn.Linear(4, 4), scripted)
    with pytest.raises(InvalidInput, match=f"^model: {place} is compiled by torch.jit"):
        sparsify(model, OPTIMIZERS["sgd"](model), "rigl", sparsity=0.9, steps=9)


@pytest.mark.parametrize("method", ["snip", "grasp"])
def test_examples_that_are_not_finite_are_named_not_the_learning_rate(method):
    model, x = conv_net(), digits().x.clone()
    x[7:, 0, 0] = torch.nan
    with pytest.raises(TrialFailed, match="^the examples hold NaN or infinity, .* example 7 "):
        embedded(method, model, OPTIMIZERS["sgd"](model), examples=(x, digits().y))
