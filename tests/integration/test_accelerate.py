"""`sparsify` under Hugging Face's Accelerate, against the real library and a plain loop."""

import copy
import importlib.util

import pytest
from torch.nn import functional as F

from suite import sparsify
from tests.conftest import require
from tests.own_loop import replicas
from tests.own_loop.loops import (
    METHOD,
    STEPS,
    assert_equal_to_rounding,
    assert_same,
    loader,
    train,
    trained_on_two_processes,
)
from tests.support.helpers import OPTIMIZERS, conv_net


@pytest.fixture
def accelerator():
    """Return what makes an Accelerator on one CPU; its global state is reset before and after."""
    present = importlib.util.find_spec("accelerate") is not None
    require("accelerate", present, "pip install 'resonance-bench[accelerate]'")
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    def reset():
        AcceleratorState._reset_state(True)
        GradientState._reset_state()

    reset()
    yield lambda **given: Accelerator(cpu=True, **given)
    reset()


def prepared(accelerator, when="after", optimizer="sgd", micro=1, **given):
    """Return model, optimizer, loader and handle, sparsified before or after `prepare`."""
    model = conv_net()
    sgd = OPTIMIZERS[optimizer](model)
    if when == "before":
        handle = sparsify(model, sgd, steps=STEPS, **METHOD | given)
    model, sgd, batches = accelerator.prepare(model, sgd, loader(micro=micro))
    if when == "after":
        handle = sparsify(model, sgd, steps=STEPS, **METHOD | given)
    return model, sgd, batches, handle


def fit(accelerator, model, optimizer, batches, *, clip=None, start=0, stop=STEPS):
    """Train as Accelerate's documentation does it; return the norms."""
    norms, micro = [], accelerator.gradient_accumulation_steps
    for number, (x, y) in enumerate(batches):
        if not start * micro <= number < stop * micro:
            continue
        with accelerator.accumulate(model):
            accelerator.backward(F.cross_entropy(model(x), y))
            if clip is not None and accelerator.sync_gradients:
                norms.append(float(accelerator.clip_grad_norm_(model.parameters(), clip)))
            optimizer.step()
            optimizer.zero_grad()
    return norms


def plain(optimizer="sgd", **given):
    """Train a network in a plain loop; return it, its handle and the norms."""
    model = conv_net()
    sgd = OPTIMIZERS[optimizer](model)
    handle = sparsify(model, sgd, steps=STEPS, **METHOD)
    return model, handle, train(model, sgd, **given)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("micro", [1, 4])
def test_it_trains_as_a_plain_loop_does_before_and_after_prepare(accelerator, when, micro):
    own = accelerator(gradient_accumulation_steps=micro)
    model, optimizer, batches, handle = prepared(own, when, micro=micro)
    fit(own, model, optimizer, batches)
    reference, other, _ = plain(micro=micro)
    assert handle.step == STEPS
    assert handle.sparsity == other.sparsity == pytest.approx(0.9, abs=1e-3)
    assert_same(own.unwrap_model(model), reference)


@pytest.mark.parametrize("micro", [1, 4])
def test_gradients_are_clipped_to_the_norm_of_the_active_weights(accelerator, micro):
    own = accelerator(gradient_accumulation_steps=micro)
    model, optimizer, batches, _ = prepared(own, micro=micro)
    norms = fit(own, model, optimizer, batches, clip=0.1)
    reference, _, expected = plain(micro=micro, clip=0.1)
    assert len(norms) == STEPS
    assert norms == pytest.approx(expected)
    assert_same(own.unwrap_model(model), reference)


def test_bf16_trains_as_autocast_does(accelerator):
    own = accelerator(mixed_precision="bf16")
    model, optimizer, batches, handle = prepared(own)
    fit(own, model, optimizer, batches)
    _, other, _ = plain(bf16=True)
    assert handle.sparsity == other.sparsity
    # Accelerate computes the loss outside of autocast, in float32.
    same = [
        float((a == b).float().mean())
        for a, b in zip(handle.masks().values(), other.masks().values(), strict=True)
    ]
    assert min(same) > 0.9


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_saved_state_is_resumed_bit_for_bit(accelerator, optimizer, when, tmp_path):
    own = accelerator()
    *parts, handle = prepared(own, when, optimizer)
    own.register_for_checkpointing(handle)
    fit(own, *parts, stop=17)
    own.save_state(tmp_path)
    again = accelerator()
    *parts, handle = prepared(again, when, optimizer)
    again.register_for_checkpointing(handle)
    again.load_state(tmp_path)
    assert handle.step == 17
    fit(again, *parts, start=17)
    reference, _, _ = plain(optimizer)
    assert_same(again.unwrap_model(parts[0]), reference)


def test_a_handle_that_is_not_registered_resumes_through_sparsify(accelerator, tmp_path):
    own = accelerator()
    *parts, handle = prepared(own)
    fit(own, *parts, stop=17)
    own.save_state(tmp_path)
    saved = copy.deepcopy(handle.state_dict())
    again = accelerator()
    model = conv_net()
    model, optimizer, batches = again.prepare(model, OPTIMIZERS["sgd"](model), loader())
    again.load_state(tmp_path)
    sparsify(model, optimizer, steps=STEPS, state=saved, **METHOD)
    fit(again, model, optimizer, batches, start=17)
    reference, _, _ = plain()
    assert_same(again.unwrap_model(model), reference)


@pytest.mark.slow
def test_two_processes_train_as_one_does(accelerator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = trained_on_two_processes("accelerate", tmp_path)
    assert_equal_to_rounding(weights, replicas.accelerate())
