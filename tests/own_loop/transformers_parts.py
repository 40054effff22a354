"""A model and a Trainer for the tests; imported by fixtures, as transformers takes seconds."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainingArguments

from suite.own_loop.transformers import SparsifyCallback
from tests.own_loop.loops import BATCH, METHOD, STEPS, micro_batches
from tests.support.helpers import OPTIMIZERS, conv_net


class Classifier(nn.Module):
    """Digits as the Trainer calls a model: by keywords, and with its own loss."""

    def __init__(self) -> None:
        super().__init__()
        self.net = conv_net()

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.net(pixel_values)
        if labels is None:
            return {"logits": logits}
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


class Rows(Dataset):
    """The digits of all batches, one after the other."""

    def __init__(self, steps: int = STEPS) -> None:
        batches = micro_batches(steps)
        self.x = torch.cat([x for x, _ in batches])
        self.y = torch.cat([y for _, y in batches])

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, at: int) -> dict[str, Tensor]:
        return {"pixel_values": self.x[at], "labels": self.y[at]}


class InOrder(Trainer):
    """A Trainer that takes the rows in their order, with one of the tests' optimizers."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


def callback(**given: Any) -> SparsifyCallback:
    """Return a callback with fast settings."""
    return SparsifyCallback(**METHOD | given)


def accuracy(predicted: Any) -> dict[str, float]:
    """Return the fraction of correct predictions."""
    return {"accuracy": float((predicted.predictions.argmax(1) == predicted.label_ids).mean())}


def trainer(
    folder: Path, model: nn.Module, *callbacks: Any, optimizer: str = "sgd", **given: Any
) -> Trainer:
    """Return a quiet trainer on one CPU, for one epoch of `STEPS` batches."""
    settings = {
        "output_dir": str(folder),
        "per_device_train_batch_size": BATCH,
        "max_steps": STEPS,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "log_level": "error",
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
    }
    return InOrder(
        model,
        TrainingArguments(**settings | given),
        train_dataset=Rows(),
        eval_dataset=Rows(2),
        callbacks=list(callbacks),
        compute_metrics=accuracy,
        optimizers=(OPTIMIZERS[optimizer](model), None),
    )


def norms(trainer: Trainer) -> list[float]:
    """Return the gradient norms that a trainer has logged, one a step."""
    return [line["grad_norm"] for line in trainer.state.log_history if "grad_norm" in line]
