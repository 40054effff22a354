"""Situations from users' own training loops, each with the value that is right.

The table at the end of docs/own-loop.md lists them by the same numbers.
"""

import copy
import functools
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning
from suite.sparsity.sparsifier import Sparsifier
from tests.own_loop.libraries import library
from tests.support.helpers import conv_net

STEPS = 300


@functools.cache
def data():
    x, y = load_digits(return_X_y=True)
    return torch.as_tensor(x, dtype=torch.float32) / 16, torch.as_tensor(y)


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)


def batch(step: int):
    x, y = data()
    chosen = torch.randint(len(x), (64,), generator=torch.Generator().manual_seed(step))
    return x[chosen], y[chosen]


def train(model, *optimizers, start=0, stop=STEPS, clip=None):
    norms = []
    for step in range(start + 1, stop + 1):
        x, y = batch(step)
        for optimizer in optimizers:
            optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        if clip:
            norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), clip)))
        for optimizer in optimizers:
            optimizer.step()
    return norms


def accuracy(model) -> float:
    x, y = data()
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


def zeros(model) -> float:
    """Return the fraction of zeros among all weights of two or more dimensions."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    return sum(int((p == 0).sum()) for p in weights) / sum(p.numel() for p in weights)


def assert_same(one, other):
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def assert_masked(handle):
    for layer in handle.sparsifier.layers:
        assert not layer.values[~layer.mask].any(), layer.name


def often(method: str) -> dict[str, int]:
    """Return settings under which a method updates its masks often in `STEPS`."""
    more = {"window": 16} if method == "resonance" else {}
    return {"update_every": 10 if more else 20} | more


RESUMED = {
    "rigl": {"update_every": 8},
    "set": {"steps_per_epoch": 11},
    "resonance": {"update_every": 5, "window": 8},
}
"""Settings under which masks change before a stop after half of 120 steps, and after it."""


@functools.cache
def trained_and_saved(method: str, execution: str):
    """Return a network trained for 120 steps, and all states after 60 of them; only to be read."""
    model = mlp()
    optimizer = sgd(model)
    handle = sparsify(
        model, optimizer, method, sparsity=0.9, steps=120, execution=execution, **RESUMED[method]
    )
    train(model, optimizer, stop=60)
    parts = {"model": model, "optimizer": optimizer, "method": handle}
    saved = copy.deepcopy({name: part.state_dict() for name, part in parts.items()})
    masks = copy.deepcopy(handle.masks())
    train(model, optimizer, start=60, stop=120)
    assert all(not torch.equal(mask, masks[name]) for name, mask in handle.masks().items())
    return model, saved


@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("order", ["restored first", "attached first", "mixed", "state="])
@pytest.mark.parametrize("method", RESUMED)
def test_1_a_run_goes_on_to_the_same_bits_in_whatever_order_it_is_restored(
    method, order, execution
):
    given = {"sparsity": 0.9, "steps": 120, "execution": execution} | RESUMED[method]
    model, saved = trained_and_saved(method, execution)
    saved = copy.deepcopy(saved)

    def fresh():
        model = mlp()
        return model, sgd(model)

    again, optimizer = fresh()
    if order == "mixed":
        again.load_state_dict(saved["model"])
        with pytest.warns(SparsityWarning, match="are 0 already"):
            handle = sparsify(again, optimizer, method, **given)
        optimizer.load_state_dict(saved["optimizer"])
        handle.load_state_dict(saved["method"])
    elif order == "attached first":
        handle = sparsify(again, optimizer, method, **given)
        handle.load_state_dict(saved["method"])
        optimizer.load_state_dict(saved["optimizer"])
        again.load_state_dict(saved["model"])
    else:
        again.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        if order == "state=":
            handle = sparsify(again, optimizer, method, **given, state=saved["method"])
        elif execution == "csr":
            before = copy.deepcopy(again.state_dict())
            with pytest.raises(InvalidInput, match="as execution=csr saves it.*state="):
                sparsify(again, optimizer, method, **given)
            assert all(torch.equal(before[n], v) for n, v in again.state_dict().items())
            return
        else:
            with pytest.warns(SparsityWarning, match="are 0 already"):
                handle = sparsify(again, optimizer, method, **given)
            handle.load_state_dict(saved["method"])
    assert handle.step == 60
    train(again, optimizer, start=60, stop=120)
    assert_same(model, again)


def test_2_optimizer_state_of_a_dense_run_does_not_revive_pruned_weights():
    dense = mlp()
    optimizer = sgd(dense)
    train(dense, optimizer, stop=50)
    model = mlp()
    own = sgd(model)
    handle = sparsify(model, own, "static", sparsity=0.9, steps=300)
    train(model, own, stop=100)
    own.load_state_dict(optimizer.state_dict())
    for step in range(100, 300, 50):
        train(model, own, start=step, stop=step + 50)
        assert_masked(handle)
    assert handle.sparsity == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("method", ["resonance", "set", "magnitude", "rigl", "snfs", "granet"])
def test_3_a_layer_that_is_frozen_midway_keeps_its_weights_and_its_mask(method):
    model = mlp()
    optimizer = sgd(model)
    options = {"steps_per_epoch": 28} if method in ("set", "snfs") else often(method)
    handle = sparsify(model, optimizer, method, sparsity=0.95, steps=STEPS, **options)
    train(model, optimizer, stop=100)
    model[2].weight.requires_grad_(False)
    weight, mask = model[2].weight.clone(), handle.masks()["2"].clone()
    others = {name: handle.masks()[name].clone() for name in ("0", "4")}
    with pytest.warns(SparsityWarning, match="layer '2' was frozen: it keeps its weights"):
        train(model, optimizer, start=100)
    assert torch.equal(model[2].weight, weight)
    assert torch.equal(handle.masks()["2"], mask)
    assert any(not torch.equal(handle.masks()[name], old) for name, old in others.items())
    if method in ("set", "rigl"):  # each layer keeps its count
        for name, old in others.items():
            assert handle.masks()[name].sum() == old.sum()


def test_4_what_is_clipped_is_the_gradient_of_the_weights_there_are():
    model, small = mlp(), mlp()
    optimizer = sgd(model)
    handle = sparsify(model, optimizer, "static", sparsity=0.9, steps=STEPS)
    masks = handle.masks()
    small.load_state_dict(model.state_dict())
    x, y = batch(1)
    F.cross_entropy(model(x), y).backward()
    F.cross_entropy(small(x), y).backward()
    for name, mask in masks.items():
        small.get_submodule(name).weight.grad[~mask] = 0
    expected = nn.utils.clip_grad_norm_(small.parameters(), 1.0)
    assert torch.equal(nn.utils.clip_grad_norm_(model.parameters(), 1.0), expected)


@pytest.mark.parametrize("method", ["rigl", "resonance", "magnitude"])
def test_5_another_optimizer_is_taken_over_or_refused_at_its_first_step(method):
    model = mlp()
    first = sgd(model)
    handle = sparsify(model, first, method, sparsity=0.95, steps=STEPS, **often(method))
    train(model, first, stop=150)
    second = torch.optim.AdamW(model.parameters(), 1e-3)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InvalidInput, match=r"AdamW trains layer '0'.*handle\.use\(optimizer\)"):
        train(model, second, start=150, stop=151)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    handle.use(second)
    train(model, second, start=150)
    assert handle.step == STEPS
    assert zeros(model) == pytest.approx(0.95, abs=1e-3)


def test_6_muon_for_the_matrices_and_adamw_for_the_rest():
    model = mlp()
    matrices = [p for p in model.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    muon = torch.optim.Muon(matrices, lr=0.02)
    adamw = torch.optim.AdamW(rest, lr=1e-3)
    handle = sparsify(model, [muon, adamw], "rigl", sparsity=0.9, steps=150, update_every=20)
    train(model, muon, adamw, stop=150)
    assert handle.step == 150
    assert zeros(model) == pytest.approx(0.9, abs=1e-3)
    assert accuracy(model) > 0.95
    for layer in handle.sparsifier.layers:
        assert not muon.state[layer.parameter]["momentum_buffer"][~layer.mask].any()


def test_9_recurrent_bilinear_attention_and_transposed_layers_are_covered():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(8, 32, batch_first=True), nn.Linear(32, 10)

        def forward(self, x):
            return self.head(self.lstm(x.view(-1, 8, 8))[0][:, -1])

    class Pairs(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = nn.Bilinear(64, 64, 10)

        def forward(self, x):
            return self.pair(x, x)

    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.TransformerEncoderLayer(8, 2, 32, dropout=0.0, batch_first=True)
            self.head = nn.Linear(64, 10)

        def forward(self, x):
            return self.head(self.encoder(x.view(-1, 8, 8)).flatten(1))

    class Decodes(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.up = nn.Conv2d(1, 8, 2, stride=2), nn.ConvTranspose2d(8, 10, 2)

        def forward(self, x):
            return self.up(self.down(x.view(-1, 1, 8, 8))).mean((2, 3))

    for build in (Recurrent, Pairs, Attends, Decodes):
        torch.manual_seed(0)
        model = build()
        optimizer = sgd(model)
        handle = sparsify(model, optimizer, "rigl", sparsity=0.9, steps=60, update_every=10)
        train(model, optimizer, stop=60)
        assert zeros(model) == pytest.approx(0.9, abs=5e-3), build
        assert handle.model_sparsity == zeros(model)


def test_9_what_stays_dense_is_named_with_its_share():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.head = nn.Embedding(100, 30), nn.Linear(30, 100)

        def forward(self, x):
            return self.head(self.words(x))

    model = Words()
    says = r"50.0 % of .*words\.weight \(Embedding, 50.0 %\).*include="
    with pytest.warns(SparsityWarning, match=says):
        handle = sparsify(model, sgd(model), "static", sparsity=0.9, steps=9)
    assert handle.sparsity == 0.9
    assert handle.model_sparsity == pytest.approx(0.45)
    model = Words()
    handle = sparsify(model, sgd(model), "static", sparsity=0.9, steps=9, include=["Embedding"])
    assert handle.model_sparsity == pytest.approx(0.9)
    model = Words()
    sparsify(model, sgd(model), "static", sparsity=0.9, steps=9, exclude=["words"])  # no warning


def test_10_a_thawed_backbone_is_noticed():
    model = mlp()
    model[0].weight.requires_grad_(False)
    optimizer = sgd(model)
    handle = sparsify(model, optimizer, "static", sparsity=0.9, steps=STEPS)
    model[0].weight.requires_grad_(True)
    with pytest.warns(SparsityWarning, match=r"0\.weight are trained since sparsify was called"):
        train(model, optimizer)
    assert handle.sparsity == pytest.approx(0.9, abs=1e-3)
    assert handle.model_sparsity == zeros(model) < 0.5


def test_10_a_head_that_was_exchanged_is_refused():
    model = mlp()
    optimizer = sgd(model)
    sparsify(model, optimizer, "static", sparsity=0.9, steps=STEPS)
    model[4] = nn.Linear(64, 10)
    with pytest.raises(InvalidInput, match="layer '4' was replaced after sparsify was called"):
        train(model, optimizer)


@pytest.mark.parametrize(
    ("through", "execution"),
    [
        *((way, "masked") for way in ("copy_", "data", "reset_parameters", "state_dict", "data =")),
        ("state_dict", "csr"),  # a sparse layer's parameter has no places outside its mask
    ],
)
def test_12_dense_weights_written_into_the_network_are_refused_soon(through, execution):
    model = mlp()
    optimizer = sgd(model)
    handle = sparsify(model, optimizer, "rigl", sparsity=0.9, steps=STEPS, execution=execution)
    train(model, optimizer, stop=100)
    dense = mlp()
    layer = 2
    with torch.no_grad():
        if through == "copy_":
            model[layer].weight.copy_(dense[layer].weight)
        elif through == "data":
            model[layer].weight.data.copy_(dense[layer].weight)
        elif through == "data =":
            model[layer].weight.data = dense[layer].weight.data.clone()
        elif through == "reset_parameters":
            model[layer].reset_parameters()
        else:
            model.load_state_dict(dense.state_dict())
    says = r"not as sparse|masks were not 0|no connections now"
    with pytest.raises(InvalidInput, match=says) as refusal:
        train(model, optimizer, start=100, stop=220)
    assert "\n" not in str(refusal.value)
    # What goes through .data is found at the next update, the rest at once.
    assert handle.step + 1 == (200 if through == "data" else 101)
    if execution == "masked":
        handle.apply_masks()
        train(model, optimizer, start=handle.step)
        assert zeros(model) == pytest.approx(0.9, abs=1e-3)


def test_12_an_average_of_weights_may_be_swapped_in_and_out():
    model = mlp()
    optimizer = sgd(model)
    sparsify(model, optimizer, "rigl", sparsity=0.9, steps=120, update_every=20)
    ema = copy.deepcopy(model)
    plain = mlp()
    other = sgd(plain)
    sparsify(plain, other, "rigl", sparsity=0.9, steps=120, update_every=20)
    for step in range(1, 121):
        train(model, optimizer, start=step - 1, stop=step)
        train(plain, other, start=step - 1, stop=step)
        with torch.no_grad():
            for mean, value in zip(ema.parameters(), model.parameters(), strict=True):
                mean.lerp_(value, 0.1)
            kept = [value.clone() for value in model.parameters()]
            for mean, value in zip(ema.parameters(), model.parameters(), strict=True):
                value.copy_(mean)  # to evaluate
            for old, value in zip(kept, model.parameters(), strict=True):
                value.copy_(old)
    assert_same(model, plain)


def test_13_an_average_follows_the_masks():
    model = mlp()
    optimizer = sgd(model)
    handle = sparsify(model, optimizer, "magnitude", sparsity=0.95, steps=STEPS, update_every=20)
    average = handle.average(0.99)
    train(model, optimizer)
    assert zeros(average.model) == pytest.approx(0.95, abs=1e-3)
    for name, mask in handle.masks().items():
        assert not average.model.get_submodule(name).weight[~mask].any()
    assert accuracy(average.model) > 0.9


@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_14_a_copy_of_model_and_optimizer_trains_every_parameter(execution):
    model = mlp()
    optimizer = sgd(model)
    handle = sparsify(model, optimizer, "static", sparsity=0.9, steps=STEPS, execution=execution)
    train(model, optimizer, stop=50)
    copied, its_optimizer = copy.deepcopy((model, optimizer))
    trained = {id(p) for group in its_optimizer.param_groups for p in group["params"]}
    assert all(id(parameter) in trained for parameter in copied.parameters())
    assert_same(model, copied)
    before = copy.deepcopy(copied.state_dict())
    with pytest.warns(SparsityWarning, match="trains a copy of layer '0' and of 2 more, which"):
        train(copied, its_optimizer, stop=1)
    assert all(not torch.equal(before[n], v) for n, v in copied.state_dict().items())
    assert handle.model_sparsity == pytest.approx(0.9, abs=1e-3)
    for copy_of in (copy.deepcopy(handle), pickle.loads(pickle.dumps(handle))):
        assert "not attached" in repr(copy_of)
        with pytest.raises(InvalidInput, match="not attached to any model"):
            copy_of.state_dict()


@pytest.mark.parametrize("method", ["static", "rigl", "set"])
def test_15_the_zeros_of_a_trained_network_are_taken_as_they_are(method):
    model = mlp()
    optimizer = sgd(model)
    handle = sparsify(model, optimizer, "magnitude", sparsity=0.9, steps=STEPS, update_every=20)
    train(model, optimizer)
    handle.detach()
    before, masks = accuracy(model), handle.masks()
    options = {"steps_per_epoch": 28} if method == "set" else {}
    handle = sparsify(model, sgd(model), method, masks="nonzero", steps=STEPS, **options)
    assert accuracy(model) == before > 0.95
    for name, mask in handle.masks().items():
        assert torch.equal(mask, masks[name])
    handle.detach()
    with pytest.raises(InvalidInput, match="keeps, not 0.5: leave sparsity out"):
        sparsify(model, sgd(model), method, sparsity=0.5, masks=masks, steps=STEPS, **options)


def test_15_pruning_goes_on_from_given_masks():
    model = mlp()
    optimizer = sgd(model)
    first = sparsify(model, optimizer, "magnitude", sparsity=0.8, steps=150, update_every=20)
    train(model, optimizer, stop=150)
    first.detach()
    second = sparsify(
        model, optimizer, "magnitude", sparsity=0.95, masks="nonzero", steps=150, update_every=20
    )
    for name, mask in second.masks().items():
        assert torch.equal(mask, first.masks()[name])
    train(model, optimizer, stop=150)
    assert zeros(model) == pytest.approx(0.95, abs=1e-3)
    for name, mask in second.masks().items():
        assert not (mask & ~first.masks()[name]).any()


@pytest.mark.parametrize("method", ["magnitude_one_shot", "rigl"])
def test_16_an_optimizer_under_which_no_masks_can_be_kept_is_refused_at_attach(method):
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    for optimizer in (
        torch.optim.Adafactor(model.parameters()),
        torch.optim.LBFGS(model.parameters()),
    ):
        with pytest.raises(InvalidInput, match="use SGD, Adam, AdamW") as refusal:
            sparsify(model, optimizer, method, sparsity=0.9, steps=400)
        assert "\n" not in str(refusal.value)
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("given", ["pair", "loader", "list"])
def test_17_examples_are_pairs_loaders_and_lists_of_batches(given):
    x, y = data()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 64, shuffle=True)
    examples = {"pair": (x, y), "loader": loader, "list": [(x[:64], y[:64]), (x[64:99], y[64:99])]}
    model = mlp()
    state = torch.get_rng_state()
    handle = sparsify(model, sgd(model), "snip", sparsity=0.9, steps=9, examples=examples[given])
    assert handle.sparsity == pytest.approx(0.9, abs=1e-3)
    assert torch.equal(state, torch.get_rng_state())


def test_17_anything_else_is_refused_in_one_line_that_says_what_is_accepted():
    model = mlp()
    x, y = data()
    for examples in (5, np.float32(0.5), x, (x[:12], y[:6]), (part for part in [(x, y)])):
        with pytest.raises(InvalidInput) as refusal:
            sparsify(model, sgd(model), "snip", sparsity=0.9, steps=9, examples=examples)
        assert "\n" not in str(refusal.value)


def test_18_a_network_that_ends_below_its_target_says_so_at_attach():
    model = mlp()
    says = r"ends at a sparsity of 0\.2\d+, not 0\.5, because '0', '4' stay dense"
    with pytest.warns(SparsityWarning, match=says):
        sparsify(
            model, sgd(model), "rigl", pattern="2:4", sparsity=0.5, steps=9, dense_layers=["4"],
            update_every=2,
        )  # fmt: skip


def test_19_a_method_that_never_updates_says_so_at_attach():
    model = mlp()
    with pytest.warns(SparsityWarning, match="no update falls into these 50 steps.*update_every"):
        sparsify(model, sgd(model), "rigl", sparsity=0.9, steps=50)


def test_20_a_method_of_ones_own_reads_the_gradients_of_active_weights(tmp_path, monkeypatch):
    from suite.experiments import registry

    (tmp_path / "mine.py").write_text(
        """
from suite.core.declarations import Method
from suite.core.hyperparameters import LAYERWISE
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method("mine", "this file", title="Mine", summary="reads gradients",
                implementation="Mine", family="sparse to sparse", hyperparameters=LAYERWISE)

class Mine(Sparsifier):
    seen = 0
    def start(self):
        self.draw_masks()
    def is_update(self, step):
        return step == 3
    def update(self, step):
        for layer in self.layers:
            gradient = layer.active_gradient
            assert not gradient[~layer.mask].any() and gradient[layer.mask].any()
            Mine.seen += 1
            layer.dense_gradient
"""
    )
    monkeypatch.setenv("RESONANCE_PLUGINS", str(tmp_path / "mine.py"))
    monkeypatch.setattr(registry, "_plugins", [])
    for execution in ("masked", "csr"):
        model = mlp()
        optimizer = sgd(model)
        handle = sparsify(model, optimizer, "mine", sparsity=0.8, steps=9, execution=execution)
        with pytest.raises(InvalidInput, match="wants_dense_gradient.*active_gradient"):
            train(model, optimizer, stop=9)
        assert type(handle.sparsifier).seen == 1
        assert issubclass(type(handle.sparsifier), Sparsifier)
        type(handle.sparsifier).seen = 0
    monkeypatch.undo()
    registry.use_plugins([])


def test_21_numbers_of_numpy_are_converted(tmp_path):
    model = mlp()
    handle = sparsify(
        model, sgd(model), "rigl", sparsity=np.float64(0.9), steps=np.int64(100),
        seed=np.int64(3), update_every=np.int64(20), drop_fraction=np.float32(0.25),
    )  # fmt: skip
    torch.save(handle.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    handle.load_state_dict(state)
    assert type(state["sparsifier"]["configuration"]["seed"]) is int


def test_22_data_parallel_gives_the_masks_of_the_plain_run():
    plain, parallel = conv_net(), nn.DataParallel(conv_net())
    masks = [
        sparsify(model, sgd(model), "rigl", sparsity=0.9, steps=200).masks()
        for model in (plain, parallel)
    ]
    assert masks[0].keys() == masks[1].keys()
    assert all(torch.equal(mask, masks[1][name]) for name, mask in masks[0].items())


def test_22_fabric_gives_the_masks_of_the_plain_run_and_its_state_fits():
    plain, inside = mlp(), mlp()
    fabric = library("lightning").Fabric(accelerator="cpu", devices=1)
    wrapped, its_optimizer = fabric.setup(inside, sgd(inside))
    optimizer = sgd(plain)
    handles = [
        sparsify(model, one, "rigl", sparsity=0.9, steps=60, update_every=10)
        for model, one in ((plain, optimizer), (wrapped, its_optimizer))
    ]
    assert all(torch.equal(m, handles[1].masks()[name]) for name, m in handles[0].masks().items())
    train(plain, optimizer, stop=30)
    handles[1].load_state_dict(copy.deepcopy(handles[0].state_dict()))
    inside.load_state_dict(plain.state_dict())
    its_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(plain, optimizer, start=30, stop=60)
    train(wrapped, its_optimizer, start=30, stop=60)
    assert_same(plain, inside)
