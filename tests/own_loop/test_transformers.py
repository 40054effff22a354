"""The callback for Hugging Face's Trainer, against the real library and a plain loop."""

import importlib
import importlib.util
import shutil
import sys

import pytest
import torch

from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning
from suite.training.serialization import unpack
from tests.conftest import require
from tests.own_loop import replicas
from tests.own_loop.loops import (
    BATCH,
    METHOD,
    STEPS,
    assert_equal_to_rounding,
    assert_same,
    micro_batches,
    trained_on_two_processes,
)
from tests.own_loop.loops import train as train_plainly
from tests.support.helpers import OPTIMIZERS


@pytest.fixture(scope="module")
def parts():
    """Import transformers, and the model that is trained with it."""
    names = ("transformers", "accelerate")
    present = all(importlib.util.find_spec(name) is not None for name in names)
    require("transformers", present, "pip install 'resonance-bench[transformers]'")
    from tests.own_loop import transformers_parts

    return transformers_parts


def plain(model, optimizer="sgd", **given):
    """Train the network of a model in a plain loop; return its handle and the norms."""
    optimizer = OPTIMIZERS[optimizer](model)
    handle = sparsify(model, optimizer, steps=STEPS, **METHOD)
    norms = train_plainly(Logits(model), optimizer, **given)
    return handle, norms


class Logits(torch.nn.Module):
    """A model of the Trainer, called as one of torch."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)["logits"]


def test_it_trains_as_a_plain_loop_does(parts, tmp_path):
    model, reference, callback = parts.Classifier(), parts.Classifier(), parts.callback()
    parts.trainer(tmp_path, model, callback).train()
    handle, _ = plain(reference)
    assert callback.handle.step == STEPS
    assert callback.handle.sparsity == handle.sparsity == pytest.approx(0.9, abs=1e-3)
    assert_same(model, reference)


def test_the_number_of_steps_is_the_trainers(parts, tmp_path):
    callback = parts.callback()
    given = {"max_steps": -1, "num_train_epochs": 2, "gradient_accumulation_steps": 4}
    parts.trainer(tmp_path, parts.Classifier(), callback, **given).train()
    assert callback.handle.steps == 12
    assert callback.handle.sparsifier.plan.steps_per_epoch == 6
    assert callback.handle.step == 12


def test_gradients_are_clipped_to_the_norm_of_the_active_weights(parts, tmp_path):
    model, reference = parts.Classifier(), parts.Classifier()
    trainer = parts.trainer(tmp_path, model, parts.callback(), max_grad_norm=0.1)
    trainer.train()
    _, norms = plain(reference, clip=0.1)
    assert parts.norms(trainer) == pytest.approx(norms)
    assert_same(model, reference)


def test_accumulated_batches_are_one_step(parts, tmp_path):
    model, reference, callback = parts.Classifier(), parts.Classifier(), parts.callback()
    given = {"per_device_train_batch_size": BATCH // 4, "gradient_accumulation_steps": 4}
    parts.trainer(tmp_path, model, callback, **given).train()
    plain(reference, micro=4)
    assert callback.handle.step == STEPS
    assert_same(model, reference)


def test_bf16_trains_as_autocast_does(parts, tmp_path):
    model, reference = parts.Classifier(), parts.Classifier()
    parts.trainer(tmp_path, model, parts.callback(), bf16=True).train()
    optimizer = OPTIMIZERS["sgd"](reference)
    sparsify(reference, optimizer, steps=STEPS, **METHOD)
    for x, y in micro_batches():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):  # the loss is computed inside as well
            loss = reference(x, y)["loss"]
        loss.backward()
        optimizer.step()
    assert_same(model, reference)


@pytest.fixture
def stopped(parts, tmp_path):
    """Stop a training at a checkpoint; return what starts it in a folder of its own."""

    def stop(steps, optimizer="sgd", **given):
        callback = parts.callback(steps=STEPS, **given)
        trainer = parts.trainer(
            tmp_path, parts.Classifier(), callback, optimizer=optimizer,
            max_steps=steps, save_strategy="steps", save_steps=steps,
        )  # fmt: skip
        trainer.train()
        return tmp_path / f"checkpoint-{steps}"

    return stop


@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_checkpoint_is_resumed_bit_for_bit(parts, stopped, optimizer, execution, tmp_path):
    def trainer(model, callback):
        return parts.trainer(tmp_path, model, callback, optimizer=optimizer)

    whole, again = parts.Classifier(), parts.Classifier()
    trainer(whole, parts.callback(execution=execution)).train()
    folder = stopped(12, optimizer, execution=execution)
    callback = parts.callback(execution=execution)
    trainer(again, callback).train(resume_from_checkpoint=str(folder))
    assert callback.handle.step == STEPS
    assert_same(again, whole)


def test_the_state_is_one_safetensors_file(parts, stopped):
    folder = stopped(7)
    state, _ = unpack((folder / "sparsify.safetensors").read_bytes())
    assert state["step"] == 7


def test_a_network_starts_from_the_masks_of_a_checkpoint(parts, stopped):
    path = stopped(7) / "sparsify.safetensors"
    state, _ = unpack(path.read_bytes())
    model = parts.Classifier()
    handle = sparsify(model, OPTIMIZERS["sgd"](model), "static", steps=5, masks=path)
    saved = state["sparsifier"]["masks"]
    assert all(torch.equal(saved[name], mask) for name, mask in handle.masks().items())


def test_a_checkpoint_elsewhere_is_found_through_the_arguments(parts, stopped, tmp_path):
    folder = stopped(12)
    moved = tmp_path / "moved" / "checkpoint-12"
    shutil.move(folder, moved)
    trainer = parts.trainer(tmp_path, parts.Classifier(), parts.callback())
    with pytest.raises(InvalidInput, match="checkpoint-12/sparsify.safetensors is missing: .* set"):
        trainer.train(resume_from_checkpoint=str(moved))
    callback = parts.callback()
    trainer = parts.trainer(
        tmp_path, parts.Classifier(), callback, resume_from_checkpoint=str(moved)
    )
    trainer.train(resume_from_checkpoint=str(moved))
    assert callback.handle.step == STEPS


def test_a_damaged_state_is_refused(parts, stopped, tmp_path):
    folder = stopped(12)
    path = folder / "sparsify.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    trainer = parts.trainer(tmp_path, parts.Classifier(), parts.callback())
    with pytest.raises(InvalidInput, match=r"sparsify\.safetensors: not a saved state"):
        trainer.train(resume_from_checkpoint=str(folder))


def test_the_best_model_comes_with_its_masks(parts, tmp_path):
    model, callback = parts.Classifier(), parts.callback(method="magnitude")
    trainer = parts.trainer(
        tmp_path, model, callback, load_best_model_at_end=True, metric_for_best_model="loss",
        greater_is_better=True, eval_strategy="steps", save_strategy="steps", eval_steps=6,
        save_steps=6,
    )  # fmt: skip
    with pytest.warns(
        SparsityWarning, match=r"best checkpoint is of step 6, .* 0\.561 .* not 0\.9"
    ):
        trainer.train()
    assert trainer.state.best_global_step == 6  # the loss is highest at the first evaluation
    state, _ = unpack((tmp_path / "checkpoint-6" / "sparsify.safetensors").read_bytes())
    saved = state["sparsifier"]["masks"]
    assert all(torch.equal(saved[name], mask) for name, mask in callback.handle.masks().items())
    zeros = 1 - torch.cat([mask.flatten() for mask in saved.values()]).float().mean()
    assert callback.handle.sparsity == pytest.approx(float(zeros))


def test_a_second_training_keeps_the_masks(parts, tmp_path):
    model, callback = parts.Classifier(), parts.callback()
    parts.trainer(tmp_path, model, callback).train()
    masks = {name: mask.clone() for name, mask in callback.handle.masks().items()}
    with pytest.warns(SparsityWarning, match="training of 24 steps, this trainer plans 5"):
        parts.trainer(tmp_path, model, callback, max_steps=5).train()
    assert all(torch.equal(masks[name], mask) for name, mask in callback.handle.masks().items())
    assert callback.handle.sparsity == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("name", ["accuracy", "eval_accuracy"])
@pytest.mark.parametrize(("unit", "factor"), [("fraction", 100.0), ("points", 1.0)])
def test_a_metric_reaches_the_method(parts, name, unit, factor, tmp_path, monkeypatch):
    from suite.own_loop.handle import Handle

    scores = []
    monkeypatch.setattr(Handle, "validated", lambda self, score: scores.append((self.step, score)))
    trainer = parts.trainer(
        tmp_path, parts.Classifier(), parts.callback(metric=name, unit=unit),
        eval_strategy="steps", eval_steps=12, eval_on_start=True,
    )  # fmt: skip
    trainer.train()
    last = trainer.evaluate()["eval_accuracy"]  # after training: not the method's business
    assert [step for step, _ in scores] == [12, 24]
    assert scores[-1][1] == pytest.approx(factor * last)


def test_a_metric_that_is_not_computed_is_refused(parts, tmp_path):
    trainer = parts.trainer(
        tmp_path, parts.Classifier(), parts.callback(metric="f1"),
        eval_strategy="steps", eval_steps=2,
    )  # fmt: skip
    with pytest.raises(InvalidInput, match="'eval_f1' is not among the metrics .*eval_accuracy"):
        trainer.train()


def test_a_metric_of_one_of_several_data_sets_is_waited_for():
    from suite.own_loop.transformers import _is_expected

    assert _is_expected("eval_b_accuracy", {"eval_b_loss": 1.0, "eval_b_runtime": 1.0})
    assert not _is_expected("eval_b_accuracy", {"eval_a_loss": 1.0, "eval_a_runtime": 1.0})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"method": "rigel"}, "did you mean rigl"),
        ({"sparsity": 1.5}, r"give a number in \[0, 1\)"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_before_the_first_step(
    parts, given, says, tmp_path
):
    model = parts.Classifier()
    before = model.net[6].weight.detach().clone()
    with pytest.raises(InvalidInput, match=says):
        parts.trainer(tmp_path, model, parts.callback(**given)).train()
    assert torch.equal(model.net[6].weight, before)


def test_a_distribution_that_splits_the_model_is_refused(parts, tmp_path, monkeypatch):
    from accelerate import DistributedType

    trainer = parts.trainer(tmp_path, parts.Classifier(), parts.callback())
    monkeypatch.setitem(
        trainer.args.distributed_state._shared_state, "distributed_type", DistributedType.FSDP
    )
    with pytest.raises(InvalidInput, match="FSDP: masks need the whole model in every process"):
        trainer.callback_handler.on_train_begin(trainer.args, trainer.state, trainer.control)


def test_there_is_no_handle_before_training(parts):
    with pytest.raises(InvalidInput, match="call trainer.train"):
        _ = parts.callback().handle


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "suite.own_loop.transformers", raising=False)
    with pytest.raises(InvalidInput) as refusal:
        importlib.import_module("suite.own_loop.transformers")
    assert str(refusal.value) == (
        "SparsifyCallback needs transformers: pip install 'resonance-bench[transformers]'"
    )


@pytest.mark.slow
def test_two_processes_train_as_one_does(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = trained_on_two_processes("transformers", tmp_path)
    assert_equal_to_rounding(weights, replicas.transformers())
