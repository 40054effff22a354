"""A callback for the Trainer of Hugging Face's transformers."""

import gc
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from suite.core.errors import InvalidInput, SparsityWarning
from suite.core.files import atomic_write
from suite.own_loop.callbacks import (
    Deferred,
    Planned,
    check_sparse,
    checked_unit,
    in_points,
)
from suite.own_loop.handle import Handle
from suite.training.serialization import pack, unpack

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as error:
    raise InvalidInput(
        "SparsifyCallback needs transformers: pip install 'resonance-bench[transformers]'"
    ) from error

FILE = "sparsify.safetensors"
"""The file beside the Trainer's own in a checkpoint's folder."""

SPLIT = ("FSDP", "DEEPSPEED", "MEGATRON_LM", "XLA")
"""Accelerate's kinds of distributed training in which no process holds the whole model."""


class SparsifyCallback(TrainerCallback):
    """Sparsifies a model while Hugging Face's ``Trainer`` trains it.

    It attaches the method when training begins: the optimizer exists, and a checkpoint is
    restored. Every checkpoint gets one more file, ``sparsify.safetensors``, and
    ``trainer.train(resume_from_checkpoint=…)`` continues bit for bit. Training the same model
    again keeps its masks; ``load_best_model_at_end`` loads the masks of the best checkpoint too.

    Args:
        method: a name from ``resonance list methods``.
        steps: how many optimizer steps there will be; the Trainer's ``max_steps`` if left out (in
            a resumed training, the number it was started with).
        steps_per_epoch: optimizer steps of one epoch; the Trainer's if left out.
        metric: the name of an evaluation metric, higher is better (``accuracy`` or
            ``eval_accuracy``), that is given to the method after every evaluation in training.
        unit: of `metric`: ``fraction`` (of 1) or ``points`` (per cent).
        arguments: the other arguments of `suite.sparsify`: ``sparsity``, ``seed``, ``examples``,
            ``exclude`` and so on, and hyperparameters of the method.

    Training raises `InvalidInput` where an argument cannot be used, under FSDP and DeepSpeed, for
    methods that train more than once, and where a checkpoint has no ``sparsify.safetensors``.
    """

    def __init__(
        self,
        method: str,
        *,
        steps: int | None = None,
        steps_per_epoch: int | None = None,
        metric: str | None = None,
        unit: str = "fraction",
        **arguments: Any,
    ) -> None:
        self.metric = metric if metric is None else f"eval_{metric.removeprefix('eval_')}"
        self.unit = checked_unit(unit)
        self._call = Deferred(method, steps, steps_per_epoch, arguments)
        self._handle: Handle | None = None
        self._model: nn.Module | None = None
        self._in_training = False

    @property
    def handle(self) -> Handle:
        """The handle that `suite.sparsify` returned.

        Raises:
            InvalidInput: training has not begun yet.
        """
        if self._handle is None:
            raise InvalidInput("there is no handle before training begins: call trainer.train")
        return self._handle

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        optimizer: Any,
        train_dataloader: Any = None,
        **others: Any,
    ) -> None:
        """Attach the method, with the state of the restored checkpoint if there is one."""
        kind = str(getattr(args.distributed_state, "distributed_type", "")).rpartition(".")[2]
        if kind in SPLIT:
            raise InvalidInput(
                f"{kind}: masks need the whole model in every process; train on one device, or "
                "with DistributedDataParallel (torchrun without FSDP or DeepSpeed)"
            )
        saved = None
        if state.global_step:
            saved = _read(_restored_from(args, state))
        if self._handle is not None:
            if saved is None and self._model is model:
                saved = self._handle.state_dict()
            self._handle.detach()
        self._handle = self._call.attach(
            _as_called(model), [optimizer], _planned(args, state, train_dataloader), saved
        )
        self._model, self._in_training = model, True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Write the method's state into the folder of the checkpoint."""
        folder = _folder(args, state)
        # A search for hyperparameters has its checkpoints elsewhere, and never resumes them.
        if self._handle is not None and args.should_save and folder.is_dir():
            atomic_write(folder / FILE, pack(self._handle.state_dict()))

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        metrics: Mapping[str, float],
        **others: Any,
    ) -> None:
        """Give the metric to the method."""
        if self.metric is None or not self._in_training or state.global_step == 0:
            return
        assert self._handle is not None
        if self.metric in metrics:
            self._handle.validated(in_points(self.metric, metrics[self.metric], self.unit))
        elif _is_expected(self.metric, metrics):
            raise InvalidInput(
                f"metric={self.metric!r} is not among the metrics of the evaluation; there are "
                f"{', '.join(metrics)}"
            )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Take the masks of the best checkpoint if it was loaded, and check the weights."""
        self._in_training = False
        if self._handle is None:
            return
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self._handle.load_state_dict(_read(Path(state.best_model_checkpoint)))
            _warn_of_early(self._handle)
        check_sparse(self._handle)


def _as_called(model: nn.Module) -> nn.Module:
    """Return the model as the Trainer calls it, in the wrapper that averages gradients.

    The Trainer gives callbacks the model without it.

    Raises:
        InvalidInput: there are several.
    """
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return model
    gc.collect()  # wrappers of a former training
    wrappers = [
        found
        for found in gc.get_objects()
        if type(found) is DistributedDataParallel and found.module is model
    ]
    if len(wrappers) > 1:
        raise InvalidInput(
            f"{len(wrappers)} DistributedDataParallel wrap this {type(model).__name__}: use one "
            "Trainer for all of its training, or delete the former one"
        )
    return wrappers[0] if wrappers else model


def _planned(args: TrainingArguments, state: TrainerState, loader: Any) -> Planned:
    """Return the numbers of steps of a training; those of an epoch if its length is known."""
    try:
        batches = len(loader)
    except TypeError:
        return Planned(state.max_steps, None)
    return Planned(state.max_steps, max(1, -(-batches // args.gradient_accumulation_steps)))


def _warn_of_early(handle: Handle) -> None:
    """Warn where the best checkpoint is from before the target sparsity was reached."""
    target = handle.sparsifier.plan.sparsity
    if handle.sparsity < target - 1e-3:
        warnings.warn(
            f"the best checkpoint is of step {handle.step}, where the sparsity was "
            f"{handle.sparsity:.3f} and not {target:g}: choose among later ones (eval_delay=…)",
            SparsityWarning,
            stacklevel=2,
        )


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"


def _restored_from(args: TrainingArguments, state: TrainerState) -> Path:
    """Return the folder of the checkpoint that the Trainer has restored.

    The Trainer does not tell it: it is the one named in the arguments if that is of this step,
    else that of this step in `output_dir`.
    """
    named = args.resume_from_checkpoint
    if isinstance(named, str) and Path(named).name == f"checkpoint-{state.global_step}":
        return Path(named)
    return _folder(args, state)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    try:
        state, _ = unpack(path.read_bytes())
    except FileNotFoundError:
        raise InvalidInput(
            f"{path} is missing: the training cannot be resumed without the masks; resume a "
            "checkpoint in output_dir that SparsifyCallback has written, or set "
            "TrainingArguments(resume_from_checkpoint=…) to its folder"
        ) from None
    except ValueError as error:
        raise InvalidInput(f"{path}: {error}") from None
    return dict(state)


def _is_expected(metric: str, metrics: Mapping[str, float]) -> bool:
    """Return whether these are the metrics of the data set that `metric` is of.

    With several data sets there is one evaluation of each; its name is in the keys.
    """
    prefixes = [key.removesuffix("_runtime") for key in metrics if key.endswith("_runtime")]
    return not prefixes or any(metric.startswith(f"{prefix}_") for prefix in prefixes)
