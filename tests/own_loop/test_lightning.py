"""The callback for Lightning, against the real library and a plain loop."""

import importlib
import importlib.util
import sys

import pytest
import torch

from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning, TrialFailed
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

pytestmark = [
    # The loader has one batch per item and needs no workers.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning's own use of torch's pytree.
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
]


@pytest.fixture(scope="module")
def parts():
    """Import Lightning, and the modules that are trained with it."""
    present = importlib.util.find_spec("lightning") is not None
    require("lightning", present, "pip install 'resonance-bench[lightning]'")
    from tests.own_loop import lightning_parts

    return lightning_parts


def plain(module, **given):
    """Train a module in a plain loop; return its handle and the norms."""
    optimizer = module.configure_optimizers()
    handle = sparsify(module, optimizer, steps=STEPS, **METHOD)
    return handle, train(module, optimizer, **given)


@pytest.mark.parametrize("kind", ["Automatic", "Manual"])
def test_both_kinds_of_optimisation_train_as_a_plain_loop_does(parts, kind, tmp_path):
    module, reference = getattr(parts, kind)(), parts.Automatic()
    callback = parts.callback()
    parts.trainer(tmp_path, callback).fit(module, loader())
    handle, _ = plain(reference)
    assert callback.handle.step == STEPS
    assert callback.handle.sparsity == handle.sparsity == pytest.approx(0.9, abs=1e-3)
    assert_same(module, reference)


def test_the_number_of_steps_is_the_trainers(parts, tmp_path):
    callback = parts.callback()
    trainer = parts.trainer(tmp_path, callback, max_steps=-1, max_epochs=2)
    trainer.fit(parts.Automatic(), loader(9))
    assert callback.handle.steps == 18
    assert callback.handle.sparsifier.plan.steps_per_epoch == 9
    assert callback.handle.step == 18


def test_gradients_are_clipped_to_the_norm_of_the_active_weights(parts, tmp_path):
    from lightning.pytorch import Callback

    module, reference, callback = parts.Automatic(), parts.Automatic(), parts.callback()
    outside = []

    class Clipped(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            for name, mask in callback.handle.masks().items():
                gradient = pl_module.get_submodule(name).weight.grad
                outside.append(float(gradient[~mask].abs().max()))

    parts.trainer(tmp_path, callback, Clipped(), gradient_clip_val=0.1).fit(module, loader())
    _, norms = plain(reference, clip=0.1)
    assert len(outside) == 4 * STEPS
    assert max(outside) == 0
    assert module.norms == pytest.approx(norms)
    assert_same(module, reference)


def test_accumulated_batches_are_one_step(parts, tmp_path):
    module, reference = parts.Automatic(), parts.Automatic()
    callback = parts.callback()
    trainer = parts.trainer(tmp_path, callback, accumulate_grad_batches=4)
    trainer.fit(module, loader(micro=4))
    plain(reference, micro=4)
    assert callback.handle.step == STEPS
    assert_same(module, reference)


def test_bf16_mixed_precision_trains_as_autocast_does(parts, tmp_path):
    module, reference = parts.Automatic(), parts.Automatic()
    parts.trainer(tmp_path, parts.callback(), precision="bf16-mixed").fit(module, loader())
    plain(reference, bf16=True)
    assert_same(module, reference)


def test_several_optimizers_train_as_in_a_plain_loop(parts, tmp_path):
    module, reference = parts.TwoOptimizers(), parts.TwoOptimizers()
    callback = parts.callback(steps=STEPS)
    # Lightning counts the steps of both.
    parts.trainer(tmp_path, callback, max_steps=2 * STEPS).fit(module, loader())
    both = parts.muon_and_adamw(reference)
    sparsify(reference, both, steps=STEPS, **METHOD)
    train(reference, Together(both))
    assert callback.handle.step == STEPS
    assert_same(module, reference)


class Together:
    """Optimizers that are stepped together."""

    def __init__(self, optimizers):
        self.optimizers = optimizers

    def zero_grad(self):
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self):
        for optimizer in self.optimizers:
            optimizer.step()


EPOCH = 6
EPOCHS = {"max_steps": -1, "max_epochs": 4}
"""The same number of steps in four epochs of six: Lightning resumes at the end of an epoch."""


def saved_after(epochs, parts, folder, optimizer="sgd", **given):
    """Train for some of the epochs and return the path of the checkpoint."""
    path = folder / "half.ckpt"
    callback = parts.callback(steps=STEPS, **given)
    trainer = parts.trainer(folder, callback, **EPOCHS | {"max_epochs": epochs})
    trainer.fit(parts.Automatic(optimizer), loader(EPOCH))
    trainer.save_checkpoint(path)
    return path


@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_checkpoint_is_resumed_bit_for_bit(parts, optimizer, execution, tmp_path):
    whole = parts.Automatic(optimizer)
    parts.trainer(tmp_path, parts.callback(execution=execution), **EPOCHS).fit(whole, loader(EPOCH))
    path = saved_after(2, parts, tmp_path, optimizer, execution=execution)
    again, callback = parts.Automatic(optimizer), parts.callback(execution=execution)
    trainer = parts.trainer(tmp_path, callback, **EPOCHS)
    trainer.fit(again, loader(EPOCH), ckpt_path=path, weights_only=True)
    assert callback.handle.step == STEPS
    assert_same(again, whole)


def test_a_checkpoint_holds_tensors_and_plain_data_only(parts, tmp_path):
    path = saved_after(2, parts, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["callbacks"]["SparsifyCallback"]["step"] == 2 * EPOCH


def test_a_resumed_training_keeps_its_schedule_and_says_so(parts, tmp_path):
    path = saved_after(2, parts, tmp_path)
    callback = parts.callback()
    trainer = parts.trainer(tmp_path, callback, **EPOCHS | {"max_epochs": 6})
    with pytest.warns(SparsityWarning, match="training of 24 steps, this trainer plans 36"):
        trainer.fit(parts.Automatic(), loader(EPOCH), ckpt_path=path)
    assert callback.handle.steps == STEPS
    assert callback.handle.step == 6 * EPOCH


def test_a_dense_checkpoint_is_refused_as_one_to_resume(parts, tmp_path):
    trainer = parts.trainer(tmp_path, max_steps=5)
    trainer.fit(parts.Automatic(), loader())
    trainer.save_checkpoint(tmp_path / "dense.ckpt")
    other = parts.trainer(tmp_path, parts.callback())
    with pytest.raises(InvalidInput, match="step 5 holds no state of SparsifyCallback"):
        other.fit(parts.Automatic(), loader(), ckpt_path=tmp_path / "dense.ckpt")


def test_a_second_fit_keeps_the_masks(parts, tmp_path):
    module, callback = parts.Automatic(), parts.callback()
    parts.trainer(tmp_path, callback).fit(module, loader())
    masks = {name: mask.clone() for name, mask in callback.handle.masks().items()}
    with pytest.warns(SparsityWarning, match="training of 24 steps, this trainer plans 5"):
        parts.trainer(tmp_path, callback, max_steps=5).fit(module, loader())
    assert all(torch.equal(masks[name], mask) for name, mask in callback.handle.masks().items())
    assert callback.handle.sparsity == pytest.approx(0.9, abs=1e-3)


def test_masks_follow_a_checkpoint_that_is_tested(parts, tmp_path):
    path = saved_after(2, parts, tmp_path)
    module, callback = parts.Validated(), parts.callback()
    trainer = parts.trainer(tmp_path, callback)
    trainer.fit(module, loader(), loader(2))
    trainer.validate(module, loader(2), ckpt_path=path, verbose=False)
    assert callback.handle.step == 2 * EPOCH
    assert callback.handle.sparsity == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(("unit", "factor"), [("fraction", 100.0), ("points", 1.0)])
def test_a_monitored_metric_reaches_the_method(parts, unit, factor, tmp_path, monkeypatch):
    from suite.own_loop.handle import Handle

    scores = []
    monkeypatch.setattr(Handle, "validated", lambda self, score: scores.append((self.step, score)))
    module = parts.Validated()
    callback = parts.callback(monitor="val_acc", unit=unit)
    trainer = parts.trainer(tmp_path, callback, val_check_interval=6)
    trainer.fit(module, loader(), loader(2))
    assert [step for step, _ in scores] == [6, 12, 18, 24]
    last = float(trainer.callback_metrics["val_acc"])
    assert scores[-1][1] == pytest.approx(factor * last)


def test_a_metric_that_is_not_logged_is_refused(parts, tmp_path):
    trainer = parts.trainer(tmp_path, parts.callback(monitor="val_accuracy"))
    with pytest.raises(InvalidInput, match="'val_accuracy' is not logged in validation; .*val_acc"):
        trainer.fit(parts.Validated(), loader(), loader(2))


def test_an_average_of_lightning_is_not_taken_for_a_sparse_network(parts, tmp_path):
    from lightning.pytorch.callbacks import EMAWeightAveraging

    callback = parts.callback(method="magnitude")
    trainer = parts.trainer(tmp_path, callback, EMAWeightAveraging(decay=0.9))
    with pytest.raises(TrialFailed, match=r"after training, net\..: .* use handle\.average\(\)"):
        trainer.fit(parts.Automatic(), loader())


def test_weights_that_another_callback_has_replaced_are_noticed(parts, tmp_path):
    from lightning.pytorch import Callback

    class Average(Callback):
        def on_train_end(self, trainer, pl_module):
            with torch.no_grad():
                pl_module.net[6].weight.add_(1e-3)

    trainer = parts.trainer(tmp_path, parts.callback(), Average())
    with pytest.raises(TrialFailed, match=r"after training, net\.6: .* handle\.average"):
        trainer.fit(parts.Automatic(), loader())


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
    module = parts.Automatic()
    before = module.net[6].weight.detach().clone()
    with pytest.raises(InvalidInput, match=says):
        parts.trainer(tmp_path, parts.callback(**given)).fit(module, loader())
    assert torch.equal(module.net[6].weight, before)


def test_methods_that_train_more_than_once_are_refused(parts, tmp_path):
    module = parts.Automatic()
    before = module.net[6].weight.detach().clone()
    callback = parts.SparsifyCallback("lottery_ticket", sparsity=0.5)
    with pytest.raises(InvalidInput, match="lottery_ticket trains 5 times"):
        parts.trainer(tmp_path, callback).fit(module, loader())
    assert torch.equal(module.net[6].weight, before)
    parts.trainer(tmp_path, parts.callback()).fit(module, loader())


@pytest.mark.parametrize("name", ["model", "optimizer", "state"])
def test_what_the_trainer_has_is_not_given_to_the_callback(parts, name):
    with pytest.raises(InvalidInput, match=f"{name}= is not for the callback"):
        parts.callback(**{name: None})


def test_an_endless_training_needs_its_number_of_steps(parts, tmp_path):
    trainer = parts.trainer(tmp_path, parts.callback(), max_steps=-1, max_epochs=-1)
    with pytest.raises(InvalidInput, match=r"give SparsifyCallback\(steps=…\)"):
        trainer.fit(parts.Automatic(), loader())


def test_there_is_no_handle_before_training(parts):
    with pytest.raises(InvalidInput, match="call trainer.fit first"):
        _ = parts.callback().handle


def test_a_strategy_that_splits_the_model_is_refused(parts, tmp_path, monkeypatch):
    trainer = parts.trainer(tmp_path, parts.callback())
    kind = type("FSDPStrategy", (type(trainer.strategy),), {})
    monkeypatch.setattr(trainer.strategy, "__class__", kind)
    with pytest.raises(InvalidInput, match="strategy FSDPStrategy: .*strategy='ddp'"):
        trainer.fit(parts.Automatic(), loader())


def test_without_lightning_the_extra_is_named(monkeypatch):
    for name in ("lightning", "lightning.pytorch"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "suite.own_loop.lightning", raising=False)
    with pytest.raises(InvalidInput) as refusal:
        importlib.import_module("suite.own_loop.lightning")
    assert str(refusal.value) == (
        "SparsifyCallback needs Lightning: pip install 'resonance-bench[lightning]'"
    )


@pytest.mark.slow
def test_two_processes_train_as_one_does(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = trained_on_two_processes("lightning", tmp_path)
    assert_equal_to_rounding(weights, replicas.lightning())
