"""LightningModules and trainers for the tests; imported by fixtures, as Lightning takes seconds."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F

from suite.own_loop.lightning import SparsifyCallback
from tests.own_loop.loops import METHOD, STEPS
from tests.support.helpers import OPTIMIZERS, conv_net


class Automatic(LightningModule):
    """Digits under Lightning's automatic optimisation; it logs what it clips."""

    def __init__(self, optimizer: str = "sgd") -> None:
        super().__init__()
        self.net = conv_net()
        self.kind = optimizer
        self.norms: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, _: int) -> Tensor:
        x, y = batch
        return F.cross_entropy(self(x), y)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        norms = [p.grad.norm() for p in self.parameters() if p.grad is not None]
        self.norms.append(float(torch.stack(norms).norm()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return OPTIMIZERS[self.kind](self)


class Validated(Automatic):
    """The same, which logs its accuracy in validation."""

    def validation_step(self, batch: Any, _: int) -> None:
        x, y = batch
        self.log("val_acc", (self(x).argmax(1) == y).float().mean())


class Manual(Automatic):
    """The same under manual optimisation."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, _: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        x, y = batch
        self.manual_backward(F.cross_entropy(self(x), y))
        optimizer.step()


class TwoOptimizers(Manual):
    """Muon for the hidden matrix and AdamW for the rest, stepped one after the other."""

    def training_step(self, batch: Any, _: int) -> None:
        both = self.optimizers()
        for optimizer in both:
            optimizer.zero_grad()
        x, y = batch
        self.manual_backward(F.cross_entropy(self(x), y))
        for optimizer in both:
            optimizer.step()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return muon_and_adamw(self)


def muon_and_adamw(module: nn.Module) -> list[torch.optim.Optimizer]:
    """Return the two optimizers."""
    matrices = [module.net[6].weight]
    rest = [p for p in module.parameters() if p is not matrices[0]]
    return [torch.optim.Muon(matrices, lr=0.01), torch.optim.AdamW(rest, lr=1e-3)]


def callback(**given: Any) -> SparsifyCallback:
    """Return a callback with fast settings."""
    return SparsifyCallback(**METHOD | given)


def trainer(folder: Path, *callbacks: Any, **given: Any) -> Trainer:
    """Return a quiet trainer on one CPU that trains for one epoch of `STEPS`."""
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    settings = {"max_steps": STEPS, "max_epochs": -1} | quiet | given
    return Trainer(
        accelerator="cpu", devices=1, default_root_dir=folder, callbacks=[*callbacks], **settings
    )
