"""A callback for Lightning."""

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from suite.core.errors import InvalidInput
from suite.own_loop.callbacks import (
    Deferred,
    Planned,
    check_sparse,
    checked_unit,
    in_points,
)
from suite.own_loop.handle import Handle

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.utilities.exceptions import MisconfigurationException
except ImportError as error:
    raise InvalidInput(
        "SparsifyCallback needs Lightning: pip install 'resonance-bench[lightning]'"
    ) from error

STRATEGIES = ("SingleDeviceStrategy", "DDPStrategy")
"""The strategies under which every process holds the whole model in one copy."""


class SparsifyCallback(Callback):
    """Sparsifies a LightningModule while a Lightning ``Trainer`` fits it.

    It attaches the method when training starts: the optimizers exist, and a checkpoint is
    restored. The method's state is part of every checkpoint, and ``trainer.fit(ckpt_path=…)``
    continues bit for bit. Fitting the same module again keeps its masks.

    Args:
        method: a name from ``resonance list methods``.
        steps: how many optimizer steps there will be; ``trainer.estimated_stepping_batches`` if
            left out (in a resumed training, the number it was started with).
        steps_per_epoch: optimizer steps of one epoch; the trainer's if left out.
        monitor: the name of a logged validation metric, higher is better, that is given to the
            method after every validation.
        unit: of `monitor`: ``fraction`` (of 1) or ``points`` (per cent).
        arguments: the other arguments of `suite.sparsify`: ``sparsity``, ``seed``, ``examples``,
            ``exclude`` and so on, and hyperparameters of the method.

    Training raises `InvalidInput` where an argument cannot be used, under strategies that split
    the model, and for methods that train more than once.
    """

    def __init__(
        self,
        method: str,
        *,
        steps: int | None = None,
        steps_per_epoch: int | None = None,
        monitor: str | None = None,
        unit: str = "fraction",
        **arguments: Any,
    ) -> None:
        self.monitor = monitor
        self.unit = checked_unit(unit)
        self._call = Deferred(method, steps, steps_per_epoch, arguments)
        self._handle: Handle | None = None
        self._module: nn.Module | None = None
        self._restored: Mapping[str, Any] | None = None

    @property
    def handle(self) -> Handle:
        """The handle that `suite.sparsify` returned.

        Raises:
            InvalidInput: training has not started yet.
        """
        if self._handle is None:
            raise InvalidInput("there is no handle before training starts: call trainer.fit first")
        return self._handle

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse strategies that split the model over processes."""
        strategy = type(trainer.strategy).__name__
        if stage == "fit" and strategy not in STRATEGIES:
            raise InvalidInput(
                f"strategy {strategy}: masks need the whole model in every process; train on one "
                "device, or with Trainer(strategy='ddp')"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach the method, with the state of the restored checkpoint if there is one."""
        saved = self._restored
        if self._handle is not None:
            if saved is None and self._module is pl_module:
                saved = self._handle.state_dict()
            self._handle.detach()
        if saved is None and self._call.steps is None and trainer.global_step:
            raise InvalidInput(
                f"the checkpoint of step {trainer.global_step} holds no state of SparsifyCallback: "
                "load its weights into the module and start a new fit, or give "
                "SparsifyCallback(steps=…), the number of steps that remain"
            )
        model = trainer.strategy.model  # under DDP the wrapper of the module
        self._handle = self._call.attach(
            pl_module if model is None else model, trainer.optimizers, _planned(trainer), saved
        )
        self._module, self._restored = pl_module, None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the monitored metric to the method."""
        if self.monitor is None or self._handle is None:
            return
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        metrics = trainer.callback_metrics
        if self.monitor not in metrics:
            raise InvalidInput(
                f"monitor={self.monitor!r} is not logged in validation; there are "
                f"{', '.join(sorted(metrics)) or 'no metrics'}"
            )
        self._handle.validated(in_points(self.monitor, metrics[self.monitor], self.unit))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that no other callback has left weights which the masks exclude."""
        if self._handle is not None:
            check_sparse(self._handle)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Follow the weights of a checkpoint that was loaded to be tested or validated."""
        if self._restored is not None and self._handle is not None and self._module is pl_module:
            self._handle.load_state_dict(self._restored)
        self._restored = None

    def state_dict(self) -> dict[str, Any]:
        """Return the method's state, for the checkpoint; empty before training."""
        return {} if self._handle is None else self._handle.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state of a checkpoint until training starts."""
        self._restored = state_dict or None


def _planned(trainer: Trainer) -> Planned:
    """Return the numbers of steps of a training, as far as the trainer knows them."""
    try:
        steps = trainer.estimated_stepping_batches
    except MisconfigurationException:  # the number of accumulated batches changes
        steps = math.inf
    batches, micro = trainer.num_training_batches, trainer.accumulate_grad_batches
    return Planned(
        steps=int(steps) if math.isfinite(steps) and steps > 0 else None,
        steps_per_epoch=math.ceil(batches / micro) if math.isfinite(batches) else None,
    )
