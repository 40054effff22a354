"""Layers that store their non-zero weights alone: the same training, of a vector of values."""

import copy
import functools
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import Interrupted, InvalidInput
from suite.sparsity.plan import Plan
from suite.sparsity.prunable import find_prunable
from suite.sparsity.storage.csr import SparseLinear
from suite.sparsity.storage.execution import Execution, break_even
from suite.sparsity.storage.masked import MaskedWeight
from suite.training.checkpoint import Checkpointer
from suite.training.context import TrialContext
from suite.training.setup import prepare
from suite.training.trial import run_trial
from tests.support.helpers import (
    OPTIMIZERS,
    attach,
    batch_of,
    digits,
    make,
    trained,
    trial,
)

STEPS = 100
PLAN = Plan(steps=STEPS, sparsity=0.9, seed=0, steps_per_epoch=30, validates=True)


def net(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 80), nn.Tanh(), nn.Linear(80, 10))
    return nn.Sequential(nn.Flatten(), *layers).to(dtype)


def attached(method, execution, optimizer="sgd", model=None, plan=PLAN, **options):
    model = net() if model is None else model
    made = OPTIMIZERS[optimizer](model)
    sparsifier = make(method, plan, **options)
    attach(sparsifier, model, made, storage=Execution(execution))
    return model, made, sparsifier


def train(model, optimizer, sparsifier, start=0, stop=STEPS):
    """Train as the suite's own loop does; return the masks after every update.

    Two pixels that are alike throughout a batch give equal gradients, whose order is left to the
    last bit of a sum; a little noise makes every pixel its own.
    """
    data, masks = digits(), []
    for step in range(start + 1, stop + 1):
        x, y = batch_of(data, step, 32)
        x = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        sparsifier.before_step(step)
        loss = F.cross_entropy(model(x.to(next(model.parameters()).dtype)), y)
        loss.backward()
        if not sparsifier.after_backward(step):
            optimizer.step()
        sparsifier.after_step(step)
        if step % 30 == 0:
            sparsifier.after_validation(step, float(step))
        if sparsifier.is_update(step):
            masks.append([layer.mask for layer in sparsifier.layers])
    if stop == STEPS and sparsifier.rounds == 1:
        sparsifier.end_training()
    return masks


def sparse_layers(model) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, SparseLinear)]


def assert_same(one, other, atol=1e-9):
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert a.shape == b.shape, name
        assert float((a - b).abs().max()) <= atol, name


OFTEN = ("rigl", "set", "magnitude")


@pytest.mark.slow
@pytest.mark.parametrize("method", OFTEN)
@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name != "sgd"])
def test_masked_and_sparse_training_agree_under_every_optimizer(method, optimizer):
    options = {"update_every": 10} if method == "set" else {}
    masked = attached(method, "masked", optimizer, **options)
    sparse = attached(method, "csr", optimizer, **options)
    masks = [train(*masked), train(*sparse)]
    for before, after in zip(*masks, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert len(sparse_layers(sparse[0])) >= 2
    assert sparse[2].sparsity_errors() == ""
    assert_same(masked[0], sparse[0])


def dropping(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    layers = list(net(dtype))
    return nn.Sequential(*layers[:3], nn.Dropout(0.5), *layers[3:])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rigl", "magnitude"])
def test_dropout_drops_the_same_units_also_where_training_goes_on(method):
    models = []
    for execution, stops in (("masked", [STEPS]), ("csr", [STEPS]), ("csr", [75, STEPS])):
        saved, start = None, 0
        for stop in stops:
            parts = attached(method, execution, model=dropping())
            for part, state in zip(parts, saved or (), strict=False):
                part.load_state_dict(state)
            for step in range(start, stop):
                torch.manual_seed(step)
                train(*parts, start=step, stop=step + 1)
            saved, start = copy.deepcopy([part.state_dict() for part in parts]), stop
        models.append(parts[0])
    assert sparse_layers(models[1]) == sparse_layers(models[2]) == ["1", "4", "6"]
    assert_same(models[0], models[1])
    assert_same(models[1], models[2], atol=0)


def test_a_product_and_its_gradients_are_those_of_the_dense_layer():
    torch.manual_seed(0)
    mask = torch.rand(7, 5) < 0.4
    mask[2] = False  # an output and an input without any connection
    mask[:, 3] = False
    model, dense = nn.Sequential(nn.Linear(5, 7)).double(), nn.Linear(5, 7).double()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    held = [MaskedWeight(found, optimizer) for found in find_prunable(model)]
    weight = Execution("csr").wrap(model, [optimizer], held)[0]
    weight.set_mask(mask)
    dense.load_state_dict(model[0].state_dict())
    weight.to_csr(mask)
    for shape in ((4, 5), (2, 3, 5), (1, 5), (5,)):
        x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        z = x.detach().clone().requires_grad_()
        for layer in (model[0], dense):
            layer.weight.grad = layer.bias.grad = None
        out = model(x)
        assert torch.allclose(out, dense(z))
        out.square().sum().backward()
        dense(z).square().sum().backward()
        assert torch.allclose(x.grad, z.grad)
        assert torch.allclose(model[0].bias.grad, dense.bias.grad)
        assert torch.allclose(model[0].weight.grad, dense.weight.grad[mask])
        assert torch.allclose(weight.dense_gradient, dense.weight.grad)


def test_only_values_gradients_and_state_of_the_connected_weights_are_stored():
    model, optimizer, sparsifier = attached("rigl", "csr", "adamw")
    train(model, optimizer, sparsifier, stop=20)
    assert sparse_layers(model) == ["1", "3", "5"]
    for layer in sparsifier.layers:
        stored = [layer.parameter, layer.parameter.grad]
        stored += [optimizer.state[layer.parameter][k] for k in ("exp_avg", "exp_avg_sq")]
        assert {tuple(tensor.shape) for tensor in stored} == {(layer.active,)}
        assert int(layer.mask.count_nonzero()) == layer.active


def test_a_layer_switches_where_its_density_falls_to_the_break_even(monkeypatch):
    monkeypatch.setattr("suite.sparsity.storage.execution.BREAK_EVEN", {0: 0.4})
    model, optimizer, sparsifier = attached("magnitude", "auto")
    switched: dict[str, float] = {}
    for step in range(STEPS):
        before = {layer.name: layer.active / layer.size for layer in sparsifier.layers}
        train(model, optimizer, sparsifier, step, step + 1)
        for name in sparse_layers(model):
            density = next(w.active / w.size for w in sparsifier.layers if w.name == name)
            switched.setdefault(name, density)
            assert switched[name] <= 0.4
        assert all(d > 0.4 for n, d in before.items() if n not in switched)
    assert set(switched) == {"1", "3", "5"}
    sparsifier.execution.densify()
    assert sparse_layers(model) == []


@functools.cache
def trained_throughout(method: str, execution: str) -> torch.nn.Module:
    """Return the network of an uninterrupted run, to be read only; both stops compare with it."""
    whole = attached(method, execution, "adamw", **UPDATES.get(method, {}))
    train(*whole)
    return whole[0]


UPDATES = {"snfs": {"update_every": 10}}


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["csr", "auto"])
@pytest.mark.parametrize(
    "method", ["rigl", "magnitude", "snfs", "resonance", "lottery_ticket", "acdc", "mest"]
)
@pytest.mark.parametrize("stop", [27, 83])
def test_going_on_in_fresh_objects_is_bit_identical(method, execution, stop, monkeypatch):
    monkeypatch.setattr("suite.sparsity.storage.execution.BREAK_EVEN", {0: 0.5})
    options = UPDATES.get(method, {})
    whole = trained_throughout(method, execution)
    first = attached(method, execution, "adamw", **options)
    train(*first, stop=stop)
    saved = copy.deepcopy([part.state_dict() for part in first])
    again = attached(method, execution, "adamw", **options)
    for part, state in zip(again, saved, strict=True):
        part.load_state_dict(state)
    assert sparse_layers(again[0]) == sparse_layers(first[0])
    train(*again, start=stop)
    assert_same(whole, again[0], atol=0)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_layer_that_becomes_dense_again_is_an_ordinary_one_until_it_is_pruned(optimizer):
    model, made, sparsifier = attached("acdc", "csr", optimizer, plan=replace(PLAN, steps=200))
    seen = []
    for start, stop in ((0, 21), (21, 31), (31, 41)):  # compressed from 20 and 40, dense from 30
        train(model, made, sparsifier, start=start, stop=stop)
        seen.append(sparse_layers(model))
        held = [p for group in made.param_groups for p in group["params"]]
        assert all(any(p is own for own in held) for p in model.parameters())
        assert all(state.shape == p.shape for p in held for state in made.state[p].values()
                   if isinstance(state, torch.Tensor) and state.ndim)  # fmt: skip
    assert seen == [["1", "3", "5"], [], ["1", "3", "5"]]


def test_an_export_loads_into_an_ordinary_model():
    model, optimizer, sparsifier = attached("rigl", "csr")
    train(model, optimizer, sparsifier, stop=30)
    x = digits().x[:50].double()
    outputs, exported = model(x), model.state_dict()
    ordinary = net()
    ordinary.load_state_dict(exported)
    assert torch.allclose(ordinary(x), outputs)
    sparsifier.execution.densify()
    assert type(model[1]) is nn.Linear
    assert torch.allclose(model(x), outputs)
    for layer in sparsifier.layers:
        assert not layer.values[~layer.mask].any()
        assert tuple(layer.parameter.shape) == tuple(layer.shape)
    train(model, optimizer, sparsifier, start=30, stop=40)  # masked, it goes on
    assert sparsifier.sparsity_errors() == ""


def test_a_scaled_gradient_is_seen_through_and_a_changed_one_refused():
    model, _, sparsifier = attached("rigl", "csr")
    data = digits()
    F.cross_entropy(model(data.x[:32].double()), data.y[:32]).backward()
    layer = sparsifier.layers[1]
    before = layer.dense_gradient
    layer.parameter.grad.mul_(0.25)
    assert torch.allclose(layer.dense_gradient, before * 0.25)
    layer.parameter.grad[0] += 1
    with pytest.raises(InvalidInput, match="layer '3'.*use execution=masked"):
        _ = layer.dense_gradient


def test_gradients_add_up_over_parts_of_a_batch():
    model, optimizer, sparsifier = attached("rigl", "csr")
    data, layer = digits(), sparsifier.layers[1]
    found = []
    for parts in (1, 4):
        optimizer.zero_grad()
        for x, y in zip(data.x[:32].chunk(parts), data.y[:32].chunk(parts), strict=True):
            (F.cross_entropy(model(x.double()), y) / parts).backward()
        found.append((layer.dense_gradient, layer.parameter.grad))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-12)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(self.b(self.a(x.flatten(1))))


REFUSED = {
    "bfloat16": (lambda: net(torch.bfloat16), "float32 and float64, not bfloat16"),
    "shared": (lambda: Tied().double(), "a.weight and b.weight share one weight"),
    "device": (lambda: net().to("meta"), "on device meta, not on a CPU"),
    "convolutions": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3)), "no Linear layer to run sparse"),
    "twice": (lambda: attached("rigl", "csr")[0], "already has a method"),
}


@pytest.mark.parametrize(("build", "says"), REFUSED.values(), ids=REFUSED)
def test_what_csr_cannot_do_is_refused_in_one_line(build, says):
    with pytest.raises(InvalidInput, match=says) as refusal:
        attached("static", "csr", model=build())
    assert "\n" not in str(refusal.value)


def test_an_untested_optimizer_is_refused_and_falls_back_to_masks_under_auto():
    for execution in ("csr", "auto"):
        model = net()
        optimizer = torch.optim.RMSprop(model.parameters(), 1e-3)
        sparsifier = make("static", PLAN)
        storage = Execution(execution)
        if execution == "csr":
            with pytest.raises(InvalidInput, match="SGD, Adam and AdamW, not RMSprop"):
                attach(sparsifier, model, optimizer, storage=storage)
        else:
            attach(sparsifier, model, optimizer, storage=storage)
            assert sparse_layers(model) == []
            assert "every layer masked" in sparsifier.execution.describe()


def test_several_processes_are_refused_and_fall_back_to_masks_under_auto(tmp_path):
    dist = torch.distributed
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        for model in (net(), torch.nn.parallel.DistributedDataParallel(net())):
            with pytest.raises(InvalidInput, match=r"execution=csr: .*istributed.*execution=mask"):
                attached("static", "csr", model=model)
            sparsifier = attached("static", "auto", model=model)[2]
            assert sparse_layers(model) == []
            assert "every layer masked: " in sparsifier.execution.describe()
    finally:
        dist.destroy_process_group()


def test_a_shared_weight_stays_masked_under_auto(monkeypatch):
    monkeypatch.setattr("suite.sparsity.storage.execution.BREAK_EVEN", {0: 1.0})
    model, optimizer, sparsifier = attached("static", "auto", model=Tied().double())
    train(model, optimizer, sparsifier, stop=3)
    assert sparse_layers(model) == ["c"]
    assert sparsifier.execution.describe() == "execution=auto: c csr; a masked"


def test_lower_precision_within_a_step_is_refused():
    model, _, _ = attached("static", "csr", model=net(torch.float32))
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(InvalidInput, match="no operators under autocast"),
    ):
        model(digits().x[:4])


def test_a_state_of_another_execution_is_refused():
    _, _, sparsifier = attached("rigl", "csr")
    state = sparsifier.state_dict()
    with pytest.raises(InvalidInput, match="of another execution than masked"):
        attached("rigl", "masked")[2].load_state_dict(state)


def test_an_unknown_execution_is_refused_and_break_even_grows_with_size():
    with pytest.raises(InvalidInput, match="not one of masked, csr, auto"):
        Execution("sparse")
    assert break_even(100) <= break_even(1_000_000)


@pytest.mark.parametrize("clip", [False, True])
def test_two_lines_run_a_loop_of_ones_own_sparse(clip):
    found = []
    for execution in ("masked", "csr"):
        model = net()
        optimizer = OPTIMIZERS["adamw"](model)
        given = {"sparsity": 0.9, "steps": 60, "update_every": 10, "execution": execution}
        handle = sparsify(model, optimizer, "rigl", **given)
        for step in range(1, 61):
            x, y = batch_of(digits(), step, 32)
            optimizer.zero_grad()
            F.cross_entropy(model(x.double()), y).backward()
            if clip:  # by a factor that does not depend on what is stored
                torch._foreach_mul_([p.grad for p in model.parameters()], 0.5)
            optimizer.step()
        assert sparse_layers(model) == (["1", "3", "5"] if execution == "csr" else [])
        handle.detach()
        assert sparse_layers(model) == []
        found.append(model)
    assert_same(*found)


def test_a_sparse_trial_ends_as_its_masked_one_and_says_how_it_ran():
    masked = trained(trial("rigl"))
    sparse = run_trial(trial("rigl", execution="csr"))
    assert masked.trial.key != sparse.trial.key
    assert "--execution csr" in sparse.trial.command()
    assert masked.tensors.keys() == sparse.tensors.keys()
    assert sum("csr" in note for note in sparse.record.notes) == 1
    assert not any("csr" in note for note in masked.record.notes)
    accuracies = [t.record.metrics["test_accuracy"] for t in (masked, sparse)]
    assert abs(accuracies[0] - accuracies[1]) < 0.05  # float32: rounding grows over 4 epochs
    assert [x.zeros for x in masked.record.layers] == [x.zeros for x in sparse.record.layers]
    assert masked.record.flops == sparse.record.flops


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"recipe": {"compile": True}}, "torch.compile"), ({"precision": "bfloat16"}, "bfloat16")],
)
def test_a_trial_that_csr_cannot_run_is_refused_before_it_trains(settings, says):
    with pytest.raises(InvalidInput, match=f"execution=csr: .*{says}"):
        prepare(TrialContext.of(trial("rigl", execution="csr", **settings)))


class Memory:
    """Keeps a checkpoint in memory, and stops the trial at a step."""

    content: bytes | None = None

    def read(self):
        return self.content

    def write(self, content):
        self.content = content


@pytest.mark.parametrize("method", ["rigl", "magnitude"])
def test_a_sparse_trial_goes_on_from_its_checkpoint_bit_by_bit(method):
    given = trial(method, execution="csr")
    whole, keeper = run_trial(given), Memory()
    calls = iter(range(10**6))
    stopping = Checkpointer(given, keeper, stopping=lambda: next(calls) == 90)
    with pytest.raises(Interrupted):
        run_trial(given, checkpointer=stopping)
    checkpointer = Checkpointer(given, keeper)
    again = run_trial(given, checkpointer=checkpointer)
    assert checkpointer.note == ""
    assert checkpointer.elapsed > 0
    assert again.record.digests == whole.record.digests


def tickets(execution, stop=None, optimizer="adamw"):
    """Train lottery tickets in a loop of one's own; stop in the middle of a round, if asked to.

    Returns the model, all states, and how many layers were sparse in each round.
    """
    model = net()
    made = OPTIMIZERS[optimizer](model)
    given = {"sparsity": 0.9, "steps": 20, "rate": 0.5, "rewind_step": 3, "execution": execution}
    handle, counts, data = sparsify(model, made, "lottery_ticket", **given), [], digits()
    parts = (model, made, handle)
    for number in handle.rounds():
        counts.append(len(sparse_layers(model)))
        while handle.step < handle.steps:
            if (number, handle.step) == stop:
                stop = None
                saved = copy.deepcopy([part.state_dict() for part in parts])
                model = net()
                made = OPTIMIZERS[optimizer](model)
                model.load_state_dict(saved[0])
                made.load_state_dict(saved[1])
                again = sparsify(model, made, "lottery_ticket", **given, state=saved[2])
                return (*tickets_go_on(model, made, again, data), counts)
            ticket_step(model, made, data, handle.step + 1)
    return model, handle, counts


def tickets_go_on(model, made, handle, data):
    for _ in handle.rounds():
        while handle.step < handle.steps:
            ticket_step(model, made, data, handle.step + 1)
    return model, handle


def ticket_step(model, made, data, step):
    x, y = batch_of(data, step, 32)
    x = x.double() + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(step))
    made.zero_grad()
    F.cross_entropy(model(x), y).backward()
    made.step()


@pytest.mark.parametrize(
    ("execution", "level", "expected"),
    [("csr", 0.0, [0, 0, 0, 0, 3]), ("auto", 0.6, [0, 3, 3, 3, 3]), ("csr", 0.3, [0, 0, 2, 3, 3])],
)
def test_later_rounds_of_a_loop_of_ones_own_are_sparse_as_soon_as_their_masks_are(
    execution, level, expected, monkeypatch
):
    masked, of_masks, _ = tickets("masked")
    monkeypatch.setattr("suite.sparsity.storage.execution.BREAK_EVEN", {0: level})
    sparse, of_sparse, counts = tickets(execution)
    assert counts == expected
    for name, mask in of_masks.masks().items():
        assert torch.equal(mask, of_sparse.masks()[name])
    assert_same(masked, sparse)
    again, _, _ = tickets(execution, stop=(3, 7))
    assert_same(sparse, again, atol=0)


def in_own_loop(method="rigl", steps=10, **given):
    model = net(torch.float32)
    optimizer = OPTIMIZERS["sgd"](model)
    handle = sparsify(
        model, optimizer, method, sparsity=0.9, steps=40, update_every=5, execution="csr", **given
    )
    take_steps(model, optimizer, steps)
    return model, optimizer, handle


def take_steps(model, optimizer, count):
    for step in range(1, count + 1):
        x, y = batch_of(digits(), step, 32)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_a_state_that_was_loaded_stays_its_owners_when_layers_become_dense():
    model, _, handle = in_own_loop()
    best = copy.deepcopy(model.state_dict())
    kept = copy.deepcopy(best)
    model.load_state_dict(best)
    handle.detach()
    take_steps(model, OPTIMIZERS["sgd"](model), 3)
    for name, value in kept.items():
        assert torch.equal(best[name], value), name
    model, _, handle = in_own_loop()
    model.load_state_dict({name: value.double() for name, value in kept.items()})
    handle.detach()
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_weights_that_were_loaded_elsewhere_are_dropped_by_apply_masks():
    model, optimizer, handle = in_own_loop()
    masks = handle.masks()
    other = net(torch.float32)
    model.load_state_dict(other.state_dict())
    with pytest.raises(InvalidInput, match="loaded where this layer has no connections"):
        take_steps(model, optimizer, 1)
    handle.apply_masks()
    for name, mask in masks.items():
        weight = model.state_dict()[f"{name}.weight"]
        assert torch.equal(weight, other.get_submodule(name).weight * mask)
    take_steps(model, optimizer, 1)


def test_weights_that_were_loaded_elsewhere_are_refused_by_use_not_dropped():
    model, _, handle = in_own_loop()
    model.load_state_dict(net(torch.float32).state_dict())
    with pytest.raises(InvalidInput, match="loaded where this layer has no connections"):
        handle.use(OPTIMIZERS["adam"](model))


def test_use_refuses_an_optimizer_that_csr_is_not_tested_with_also_while_all_is_dense():
    model, _, handle = in_own_loop("magnitude", steps=2)
    assert sparse_layers(model) == []
    with pytest.raises(InvalidInput, match="use: execution=csr is tested with.*not RMSprop"):
        handle.use(torch.optim.RMSprop(model.parameters(), 1e-3))
