"""A training on two processes under each framework, and the same on one; run by the tests.

Each process gets half of every batch. In float64 the two differ by rounding only, and so the masks
are the same.
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from suite import sparsify
from tests.own_loop.loops import BATCH, METHOD, STEPS, micro_batches
from tests.support.helpers import OPTIMIZERS, conv_net

MICRO = 2
"""Micro-batches of a step in each process."""


def halves() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return this process's part of every batch, all of it where there is one, in micro-batches."""
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    return [(x.double(), y) for x, y in micro_batches(micro=MICRO * count)[rank::count]]


def network() -> nn.Sequential:
    """Return the network in float64, without batch statistics: they differ between halves."""
    model = conv_net().double()
    model[1] = nn.Identity()
    return model


def accelerate() -> nn.Module:
    """Train under Accelerate."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=MICRO)
    model = network()
    wrapped, optimizer = accelerator.prepare(model, OPTIMIZERS["sgd"](model))
    sparsify(wrapped, optimizer, steps=STEPS, **METHOD)
    for x, y in halves():
        with accelerator.accumulate(wrapped):
            accelerator.backward(F.cross_entropy(wrapped(x), y))
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(wrapped.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
    return model


def lightning() -> nn.Module:
    """Train under Lightning."""
    from lightning.pytorch import Trainer

    from tests.own_loop.lightning_parts import Automatic, callback

    module = Automatic()
    module.net = network()
    count = int(os.environ.get("WORLD_SIZE", "1"))
    trainer = Trainer(
        accelerator="cpu", devices=count, strategy="ddp" if count > 1 else "auto",
        max_steps=STEPS, gradient_clip_val=0.1, accumulate_grad_batches=MICRO,
        logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, use_distributed_sampler=False,
        callbacks=[callback()],
    )  # fmt: skip
    trainer.fit(module, DataLoader(halves(), batch_size=None))
    return module.net


def transformers() -> nn.Module:
    """Train under Hugging Face's Trainer; it hands each process its part of the rows itself."""
    from tests.own_loop.transformers_parts import Classifier, Rows, callback, trainer

    model = Classifier()
    model.net = network()
    count = int(os.environ.get("WORLD_SIZE", "1"))
    own = trainer(
        Path("trainer"), model, callback(), per_device_train_batch_size=BATCH // count // MICRO,
        gradient_accumulation_steps=MICRO,
        max_grad_norm=0.1, **{"ddp_backend": "gloo"} if count > 1 else {},
    )  # fmt: skip
    rows = Rows()
    rows.x = rows.x.double()
    own.train_dataset = rows
    own.train()
    return model.net


def main() -> None:
    """Train under the framework named first; process 0 writes the weights to the file named."""
    framework, path = sys.argv[1:]
    model = globals()[framework]()
    if os.environ.get("RANK", "0") == "0":
        torch.save(model.state_dict(), path)


if __name__ == "__main__":
    main()
