"""Every method of the registry, on every kind of task and in every way of training.

A method that is added is tested here without an edit: the settings are derived from what it
declares, and so is what it must leave (`tests.support.every_method`). A method that cannot run
somewhere refuses in one line; on images, and in a loop of one's own, each one must run.
"""

import copy
import random
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

from baselines.rigl import RigL
from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning
from suite.experiments import registry
from suite.own_loop.handle import Handle
from suite.sparsity.plan import Plan
from suite.sparsity.storage.csr import SparseLinear
from suite.training.context import TrialContext
from suite.training.network import network_of
from suite.training.trial import run_trial
from tests.integration import replicas
from tests.support import forked
from tests.support.checkpoints import STOPS, assert_same, interrupted
from tests.support.every_method import (
    METHODS,
    assert_kept,
    assert_says_so,
    assert_zero_state,
    case,
    has_masks,
    planned,
    quick_settings,
    train_in_rounds,
)
from tests.support.helpers import (
    OPTIMIZERS,
    attach,
    batch_of,
    conv_net,
    digits,
    first_quick,
    fit,
    trained,
)
from tests.support.ports import free_port
from tests.support.updates import WithSpare, grown_places

# A training this short may end at another sparsity than a user expects, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::suite.core.errors.SparsityWarning")

PLAN = Plan(steps=40, sparsity=0.9, seed=0, steps_per_epoch=10, validates=True)
EXAMPLES = 200
"""Of the digits, that connections are scored on before or after training."""
MASKED = [method for method in METHODS if has_masks(method)]

# ---------------------------------------------------------------- a trial


@pytest.mark.parametrize("method", METHODS)
def test_a_trial_keeps_its_counts_its_zeros_and_its_declared_cost(method):
    assert_kept(trained(case(method)))


@pytest.mark.parametrize("method", first_quick(METHODS))
def test_a_trial_that_was_stopped_ends_with_the_same_bits(method):
    of = case(method)
    assert_same(trained(of), interrupted(of, STOPS))


def _one_zero_fewer(outcome):
    first, *others = outcome.record.layers
    layers = [first.model_copy(update={"zeros": first.zeros - 1}), *others]
    return replace(outcome, record=outcome.record.model_copy(update={"layers": layers}))


def _a_weight_outside_its_mask(outcome):
    weight = outcome.tensors["model/1.weight"].clone()
    weight[~outcome.tensors["mask/1"]] = 1e-3
    return replace(outcome, tensors={**outcome.tensors, "model/1.weight": weight})


def _a_cheaper_training(outcome):
    flops = outcome.record.flops | {"training": 0.99 * outcome.record.flops["training"]}
    return replace(outcome, record=outcome.record.model_copy(update={"flops": flops}))


def _arithmetic_of_its_own(outcome):
    flops = outcome.record.flops | {"method": 1.0}
    return replace(outcome, record=outcome.record.model_copy(update={"flops": flops}))


@pytest.mark.parametrize(
    "spoil",
    [_one_zero_fewer, _a_weight_outside_its_mask, _a_cheaper_training, _arithmetic_of_its_own],
)
def test_what_a_trial_must_not_leave_is_noticed(spoil):
    with pytest.raises(AssertionError):
        assert_kept(spoil(trained(case("rigl"))))


IMAGES = """name: tiles/resnet
data: {format: numpy, path: images.npz}
model: resnet
model_options: {depth: 8, width: 0.25}
recipe: {epochs: 3, batch_size: 32, learning_rate: 0.05}
"""

TEXT = """name: words/gpt
data: {format: text, path: text.txt, length: 16}
model: gpt
model_options: {dim: 16, depth: 1, heads: 2}
recipe: {epochs: 2, batch_size: 8, optimizer: adamw, learning_rate: 0.003}
"""

KINDS = {
    "image": ("tiles/resnet", {}),
    "table": ("wine/mlp", {"epochs": 6}),
    "regression": ("diabetes/mlp", {"epochs": 16}),
    "text": ("words/gpt", {}),
    "planted": ("planted/mlp", {"epochs": 2, "batch_size": 1024}),
}
"""A small task of each kind, and its recipe; the digits of the other tests are images too."""


@pytest.fixture(scope="module")
def small_tasks(tmp_path_factory):
    """Write and use the tasks of convolutions and of text."""
    folder, data, draw = tmp_path_factory.mktemp("tasks"), digits(), random.Random(0)
    given = {"x": data.x[:600].numpy(), "y": data.y[:600].numpy()}
    np.savez(folder / "images.npz", **given)
    words = ["mask", "weight", "grow", "drop", "layer", "prune", "the", "a"]
    (folder / "text.txt").write_text(" ".join(draw.choice(words) for _ in range(1000)))
    paths = []
    for name, text in (("images", IMAGES), ("text", TEXT)):
        (folder / f"{name}.yaml").write_text(text)
        paths.append(str(folder / f"{name}.yaml"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_plugins", [])
        registry.use_plugins(paths)
        yield
    registry.use_plugins([])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_task_is_trained_on_or_refused_in_one_line(small_tasks, method, kind):
    task, recipe = KINDS[kind]
    of = case(method, task, 0.5 if kind == "regression" else 0.9, recipe=recipe)
    try:
        outcome = run_trial(of)
    except InvalidInput as error:
        assert_says_so(error, method, tuple(network_of(task).shapes))
        return
    assert_kept(outcome)
    if kind == "regression":
        assert outcome.record.metrics["test_r2"] > 0.1


# ---------------------------------------------------------------- a loop of one's own


def linear_net() -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 80), nn.Tanh(), nn.Linear(80, 10))
    return nn.Sequential(nn.Flatten(), *layers)


class Loop:
    """A model, its optimizer and a method, in a plain loop over the digits."""

    def __init__(self, method: str, model: nn.Module, optimizer: str, **given) -> None:
        self.model = model
        self.optimizer = OPTIMIZERS[optimizer](model)
        with warnings.catch_warnings():
            # Some say that first layers, or whole neurons, make the sparsity another one.
            warnings.simplefilter("ignore", SparsityWarning)
            self.handle: Handle = sparsify(
                model,
                self.optimizer,
                method,
                sparsity=planned(method, PLAN).plan.sparsity,
                steps=PLAN.steps,
                steps_per_epoch=PLAN.steps_per_epoch,
                examples=(
                    digits().x[:EXAMPLES].to(next(model.parameters()).dtype),
                    digits().y[:EXAMPLES],
                ),
                **quick_settings(method),
                **given,
            )
        self.masks: list[dict[str, torch.Tensor]] = []
        self.sparse_in_training = self._is_at_its_target()

    def train(self, stop: int = 0) -> None:
        """Train to the end, or `stop` steps."""
        train_in_rounds(self.handle, self._step, stop)

    def _step(self, step: int) -> None:
        x, y = batch_of(digits(), step, 32)
        # Two pixels that are alike throughout a batch give equal gradients, whose order is left to
        # the last bit of a sum; a little noise makes every pixel its own.
        x = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(step))
        self.optimizer.zero_grad()
        outputs = self.model(x.to(next(self.model.parameters()).dtype))
        F.cross_entropy(outputs, y).backward()
        self.optimizer.step()
        if step % PLAN.steps_per_epoch == 0:
            self.handle.validated(float(step))
        if self.handle.sparsifier.is_update(step):
            self.masks.append({name: mask.clone() for name, mask in self.handle.masks().items()})
            self.sparse_in_training |= self._is_at_its_target()

    def _is_at_its_target(self) -> bool:
        sparsifier = self.handle.sparsifier
        zeros = sum(layer.size - layer.active for layer in sparsifier.layers)
        return bool(sparsifier.layers) and zeros >= sparsifier.target_total()

    def state(self) -> list:
        """Return copies of all states, as a loop would save them."""
        parts = (self.model, self.optimizer, self.handle)
        return copy.deepcopy([part.state_dict() for part in parts])

    def load(self, saved: list) -> None:
        """Load what `state` returned."""
        for part, state in zip((self.model, self.optimizer, self.handle), saved, strict=True):
            part.load_state_dict(state)


def in_own_loop(method: str, optimizer: str = "adamw", **given) -> Loop | None:
    """Attach a method to a network of convolutions, else of linear layers if it refuses that one.

    None if the method needs to build the network, which a loop of one's own has built.
    """
    model = conv_net()
    try:
        return Loop(method, model, optimizer, **given)
    except InvalidInput as error:
        assert_says_so(error, method, tuple(n for n, _ in model.named_modules()))
        return Loop(method, linear_net(), optimizer, **given) if has_masks(method) else None


def assert_goes_on(method: str) -> None:
    """Check that fresh objects, twice, go on to the end of a training that was not stopped."""
    whole = in_own_loop(method)
    if whole is None:
        return
    whole.train()
    assert_zero_state(whole.handle)
    again = in_own_loop(method)
    for stop in (17, 8):
        again.train(stop)
        saved, again = again.state(), in_own_loop(method)
        again.load(saved)
    again.train()
    assert_zero_state(again.handle)
    first, second = whole.model.state_dict(), again.model.state_dict()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    for name, mask in whole.handle.masks().items():
        assert torch.equal(mask, again.handle.masks()[name]), name
    assert whole.handle.sparsifier.metrics() == again.handle.sparsifier.metrics()
    assert whole.handle.curves().equals(again.handle.curves())
    assert whole.handle.flops() == again.handle.flops()


@pytest.mark.parametrize("method", first_quick(METHODS))
def test_an_own_loop_goes_on_in_fresh_objects_with_the_same_bits_and_ends_with_zero_state(method):
    assert_goes_on(method)


def test_state_that_a_method_does_not_save_is_noticed(monkeypatch):
    """A method that counts its calls, but does not save the count, grows others after a stop."""
    scores = RigL.grow_scores

    def forgetful(self, layer, step):
        self.calls = getattr(self, "calls", 0) + 1
        return scores(self, layer, step) * (1 if self.calls <= 2 else -1)

    monkeypatch.setattr(RigL, "grow_scores", forgetful)
    with pytest.raises(AssertionError, match="assert"):
        assert_goes_on("rigl")


# ---------------------------------------------------------------- a layer that no pass reaches


GROW_ANYWHERE = {
    "set": "grows at random",
    "set_itop": "a preset of set",
    "mest": "grows at random",
    "chts": "grows where connections predict others, and at random",
    "acdc": "all weights are active while it is decompressed",
}
"""Methods that grow without a gradient, so a layer without one too."""


@pytest.mark.parametrize("method", MASKED)
def test_a_layer_that_no_pass_reaches_does_not_grow(method):
    model = WithSpare(linear_net())
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = planned(method, PLAN)
    try:
        attach(sparsifier, model, optimizer)
        spare = next(layer for layer in sparsifier.layers if layer.name == "spare")
        first, zeros = spare.mask.clone(), [w.size - w.active for w in sparsifier.layers]
        grown = grown_places(
            sparsifier, lambda step: fit(model, optimizer, sparsifier, start=step - 1, stop=step)
        )
    except InvalidInput as error:
        assert_says_so(error, method, ("spare",))
        return
    assert (grown["spare"] > 0) == (method in GROW_ANYWHERE)
    nothing_to_prune = sum(zeros) >= sparsifier.target_total()
    if nothing_to_prune and method not in GROW_ANYWHERE:
        assert torch.equal(spare.mask, first)


# ---------------------------------------------------------------- stored by non-zero values


@pytest.mark.slow
@pytest.mark.parametrize("method", MASKED)
def test_csr_trains_as_masks_do_or_the_method_declares_why_not(method):
    masked = Loop(method, linear_net().double(), "sgd")
    if why := masked.handle.sparsifier.only_masked:
        with pytest.raises(InvalidInput, match="execution=masked") as error:
            Loop(method, linear_net().double(), "sgd", execution="csr")
        assert why in str(error.value)
        assert "\n" not in str(error.value)
        return
    sparse = Loop(method, linear_net().double(), "sgd", execution="csr")
    for loop in (masked, sparse):
        loop.train()
        assert_zero_state(loop.handle)
    assert len(masked.masks) == len(sparse.masks)
    for before, after in zip(masked.masks, sparse.masks, strict=True):
        assert all(torch.equal(before[name], after[name]) for name in before)
    layers = sparse.handle.sparsifier.layers
    if sparse.sparse_in_training:  # else there was nothing to store before the end
        stored = [one for one in sparse.model.modules() if isinstance(one, SparseLinear)]
        assert len(stored) >= 2
        assert sum(layer.active == layer.parameter.numel() for layer in layers) >= 2
    first, second = masked.model.state_dict(), sparse.model.state_dict()
    for name, value in first.items():
        assert value.shape == second[name].shape, name
        assert float((value - second[name]).abs().max()) <= 1e-9, name


@pytest.mark.slow
@pytest.mark.parametrize("method", MASKED)
def test_a_trial_in_csr_keeps_its_counts_or_the_method_declares_why_not(method):
    of = case(method, execution="csr", recipe={"epochs": 2})
    if TrialContext.of(of).make_sparsifier().only_masked:
        with pytest.raises(InvalidInput, match=r"execution=csr: .*; use execution=masked"):
            run_trial(of)
        return
    assert_kept(run_trial(of))


# ---------------------------------------------------------------- two processes


def launch(out: Path, rank: int, count: int, port: int) -> forked.ForkedCommand:
    arguments = [str(out), str(rank), str(count), str(port)]
    main = "tests.integration.replicas:main"
    return forked.start(arguments, cwd=Path(), stderr=subprocess.STDOUT, call=main)


@pytest.fixture(scope="module")
def replicated(tmp_path_factory):
    """Train with every method as two replicas and alone; return the open files by name."""
    folder = tmp_path_factory.mktemp("replicas")
    runs = {name: folder / f"{name}.safetensors" for name in ("first", "second", "alone")}
    with free_port() as port:
        jobs = [launch(runs["first"], 0, 2, port), launch(runs["second"], 1, 2, port)]
        jobs.append(launch(runs["alone"], 0, 1, port))
        try:
            for job in jobs:
                output, _ = job.communicate(timeout=600)
                assert job.returncode == 0, output.decode()[-2000:]
        finally:
            for job in jobs:
                job.kill()
                job.wait()
    return {name: safe_open(path, "pt") for name, path in runs.items()}


@pytest.mark.slow
@pytest.mark.parametrize("method", MASKED)
def test_replicas_agree_with_each_other_and_with_one_process(replicated, method):
    failures = [file.metadata().get(f"{method} failed", "") for file in replicated.values()]
    assert not any(failures), "\n".join(failures)
    refusals = {file.metadata().get(f"{method} refused") for file in replicated.values()}
    assert len(refusals) == 1  # all refuse, in the same words, or none
    if refusal := refusals.pop():
        layers = tuple(name for name, _ in replicas.network().named_modules())
        assert_says_so(InvalidInput(refusal), method, layers)
        return
    first, second, alone = (
        {name: file.get_tensor(name) for name in file.keys() if name.startswith(f"{method}/")}  # noqa: SIM118
        for file in replicated.values()
    )
    assert len(first) == 5
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        if name.endswith(("/weights", "/norms")):
            assert torch.allclose(tensor, alone[name], atol=1e-9)
        else:
            assert torch.equal(tensor, alone[name]), name
