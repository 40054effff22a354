"""Compressed rows in loops that do more than one pass a step, copy, average or restore."""

import contextlib
import copy
import pickle
import threading

import pytest
import torch
import torch.utils.checkpoint
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.csr import SparseLinear
from suite.sparsity.storage.execution import Execution

D = torch.float64


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(30, 48), nn.ReLU(), nn.Linear(48, 7)).double()


class Twice(nn.Module):
    """A layer used twice, its activations computed again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(30, 30), nn.Linear(30, 7)

    def forward(self, x):
        for _ in range(2):
            again = torch.utils.checkpoint.checkpoint
            x = again(lambda z: self.a(z).tanh(), x, use_reentrant=False)
        return self.b(x)


def attached(execution, method="rigl", model=None, **more):
    model = net() if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    given = {"sparsity": 0.9, "steps": 200, "execution": execution} | more
    if method == "rigl":
        given["update_every"] = 10
    return model, optimizer, sparsify(model, optimizer, method, **given)


def batch(step, n=16):
    g = torch.Generator().manual_seed(step)
    x = torch.randn(n, 30, generator=g, dtype=D)
    return x, torch.randint(7, (n,), generator=g)


def train(model, optimizer, start, stop):
    for step in range(start, stop):
        x, y = batch(step)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def assert_same(one, other):
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-9)


@pytest.mark.parametrize("width", [29, 31, 300])
def test_an_input_of_a_wrong_width_is_refused(width):
    model, _, _ = attached("csr", "static")
    with pytest.raises(RuntimeError, match=f"{width} features .* takes 30"):
        model(torch.randn(4, width, dtype=D))


def test_weights_loaded_outside_the_connections_are_refused_at_the_next_pass():
    model, optimizer, handle = attached("csr")
    train(model, optimizer, 1, 16)
    best, state, x = copy.deepcopy(model.state_dict()), handle.state_dict(), batch(0)[0]
    kept = {"masks": {n: m.clone() for n, m in handle.masks().items()}}
    expected = model(x).detach()
    train(model, optimizer, 16, 120)
    model.load_state_dict(best)
    for _ in range(2):
        with pytest.raises(InvalidInput, match="load the method's state as well"):
            model(x)
    state["sparsifier"] |= kept
    handle.load_state_dict(state)
    assert torch.allclose(model(x), expected)


def test_a_copy_is_an_ordinary_network_so_that_no_average_mixes_connections():
    model, optimizer, _ = attached("csr")
    train(model, optimizer, 1, 5)
    copied, x = copy.deepcopy(model), batch(0)[0]
    assert torch.allclose(copied(x), model(x))
    assert not any(isinstance(module, SparseLinear) for module in copied.modules())
    assert_same(model, copied)
    with pytest.warns(SparsityWarning, match="trains a copy of layer '0' and of 1 more, which"):
        train(copied, torch.optim.SGD(copied.parameters(), 0.1), 1, 3)
    average = torch.optim.swa_utils.AveragedModel(model)
    with pytest.raises(RuntimeError, match="must match"):
        average.update_parameters(model)


def test_a_pickled_network_stays_sparse():
    model, optimizer, _ = attached("csr")
    train(model, optimizer, 1, 12)
    again = pickle.loads(pickle.dumps(model))
    assert_same(model, again)
    assert torch.equal(again(batch(0)[0]), model(batch(0)[0]))


@pytest.mark.parametrize("value", [1.0, float("inf")], ids=["finite", "inf"])
def test_a_skipped_step_is_forgotten_when_gradients_are_zeroed_in_place(value):
    found = []
    for execution in ("masked", "csr"):
        model, optimizer, handle = attached(execution)
        step = 0
        while handle.step < 20:
            step += 1
            x, y = batch(step)
            optimizer.zero_grad(set_to_none=False)
            F.cross_entropy(model(x * value if step == 10 else x), y).backward()
            if step != 10:  # nine steps were taken; the next one that is taken is an update
                optimizer.step()
        found.append(model)
    assert_same(*found)


def test_a_gradient_of_the_input_alone_is_no_part_of_the_step():
    found = []
    for execution in ("masked", "csr"):
        model, optimizer, _ = attached(execution)
        for step in range(1, 21):
            optimizer.zero_grad()
            for part in range(2):
                x, y = batch(100 * step + part)
                x.requires_grad_()
                (g,) = torch.autograd.grad(F.cross_entropy(model(x), y), x)
                F.cross_entropy(model((x + 0.05 * g.sign()).detach()), y).backward()
            optimizer.step()
        found.append(model)
    assert_same(*found)


def test_gradients_may_be_assigned_by_hand():
    found = []
    for execution in ("masked", "csr"):
        model, optimizer, _ = attached(execution)
        for step in range(1, 21):
            x, y = batch(step)
            parameters = list(model.parameters())
            given = torch.autograd.grad(F.cross_entropy(model(x), y), parameters)
            for parameter, gradient in zip(parameters, given, strict=True):
                parameter.grad = gradient
            optimizer.step()
            optimizer.zero_grad()
        found.append(model)
    assert_same(*found)


def test_a_layer_used_twice_can_be_checkpointed():
    found = []
    for execution in ("masked", "csr"):
        model, optimizer, _ = attached(execution, model=Twice().double())
        train(model, optimizer, 1, 21)
        found.append(model)
    assert_same(*found)


@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_an_output_of_three_dimensions_can_be_flattened_by_view(execution):
    model, _, _ = attached(execution, "static")
    assert model(torch.randn(4, 3, 30, dtype=D)).view(4, -1).shape == (4, 21)


def test_two_threads_get_their_own_gradients():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(600, 600)).double()
    attached("csr", "static", model=model)
    inputs = [torch.randn(64, 600, dtype=D) for _ in range(2)]

    def gradient(x):
        return torch.autograd.grad(model(x).square().sum(), model[0].weight)[0]

    expected, right = [gradient(x) for x in inputs], []

    def work(index):
        right.extend(torch.equal(gradient(inputs[index]), expected[index]) for _ in range(60))

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(right) == 120
    assert all(right)


@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_a_dense_gradient_that_was_not_asked_for_is_refused_and_the_active_one_is_free(execution):
    class Peeks(Sparsifier):
        def __init__(self, plan, options):
            super().__init__(plan, options)
            self.found = []

        def start(self):
            self.draw_masks()

        def wants_dense_gradient(self, step):
            return step == 2

        def observe(self, step):
            asked = self.wants_dense_gradient(step)
            with (
                contextlib.nullcontext() if asked else pytest.raises(InvalidInput, match="active_")
            ):
                self.found += [layer.dense_gradient is not None for layer in self.layers]
            for layer in self.layers:
                outside = layer.active_gradient[~layer.mask]
                assert bool(layer.active_gradient.any())
                assert not outside.any()

    model = net()
    plan = Plan(steps=9, sparsity=0.9, seed=0, steps_per_epoch=0)
    peeks = Peeks(plan, {"distribution": "erk"})
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    peeks.attach(model, optimizer, storage=Execution(execution))
    for step in (1, 2, 3):
        model.zero_grad()
        peeks.before_step(step)
        x, y = batch(step)
        F.cross_entropy(model(x), y).backward()
        peeks.after_backward(step)
    assert peeks.found == [True, True]


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.TransformerEncoderLayer(30, 2, 32, batch_first=True, dropout=0.0)
        self.head = nn.Linear(30, 7)

    def forward(self, x):
        return self.head(self.encoder(x[:, None])[:, 0])


@pytest.mark.parametrize("execution", ["csr", "auto"])
def test_layers_whose_weights_a_parent_reads_itself_stay_masked(execution, monkeypatch):
    monkeypatch.setattr("suite.sparsity.storage.execution.BREAK_EVEN", {0: 1.0})
    model, optimizer, handle = attached(execution, "static", Encoder().double())
    train(model, optimizer, 1, 3)
    assert [n for n, m in model.named_modules() if isinstance(m, SparseLinear)] == ["head"]
    model.eval()
    with torch.no_grad():  # the encoder's own kernel
        evaluated = model(batch(1)[0])
        handle.detach()
        assert torch.allclose(evaluated, model(batch(1)[0]))


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(30, 40), nn.Linear(40, 40).bfloat16(), nn.Linear(40, 7)

    def forward(self, x):
        return self.c(self.b(self.a(x.float()).relu().bfloat16()).float())


def test_every_layer_is_looked_at_for_its_dtype(monkeypatch):
    monkeypatch.setattr("suite.sparsity.storage.execution.BREAK_EVEN", {0: 1.0})
    with pytest.raises(InvalidInput, match="layer 'b': it has operators for .*, not bfloat16"):
        attached("csr", model=Mixed())
    model, optimizer, handle = attached("auto", model=Mixed())
    train(model, optimizer, 1, 13)
    assert handle.sparsifier.execution.describe() == "execution=auto: a, c csr; b masked"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_an_input_of_a_dtype_without_operators_is_refused(dtype):
    model, _, _ = attached("csr", "static")
    with pytest.raises(InvalidInput, match=f"an input of {dtype} meets a weight of torch.float64"):
        model(batch(1)[0].to(dtype))
    with pytest.raises(InvalidInput, match="give both in float32 or both in float64"):
        model.half()(batch(1)[0].half())
