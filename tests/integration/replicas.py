"""Every method in data-parallel training: run as a script, once per replica or alone.

``python -m tests.integration.replicas OUT RANK REPLICAS PORT`` trains with each method on this
replica's fraction of every batch and writes the final masks and weights to OUT, and of a method
that refused or failed, in what words.
"""

import contextlib
import os
import sys
import traceback

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.sparsity.plan import Plan
from tasks.data import Split
from tests.support.every_method import METHODS, has_masks, planned, quick_settings
from tests.support.helpers import digits

BATCH, CLIP = 32, 0.5
PLAN = Plan(steps=40, sparsity=0.8, seed=0, steps_per_epoch=10, validates=True)


def network() -> nn.Sequential:
    """Return a float64 network without norms: batch statistics would differ by replica."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(216, 24),
        nn.ReLU(),
        nn.Linear(24, 10),
    ).double()


def scoring_pool(rank: int, replicas: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return this replica's fraction of 100 examples, ten of each class."""
    data = digits()
    chosen = torch.cat([(data.y == label).nonzero().flatten()[:10] for label in range(10)])
    own = chosen.view(10, 10)[:, rank::replicas].flatten()
    return data.x[own].double(), data.y[own]


def train(method: str, rank: int, replicas: int) -> dict[str, torch.Tensor]:
    model: nn.Module = network()
    if replicas > 1:
        model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    pool = scoring_pool(rank, replicas)
    handle = sparsify(
        model,
        optimizer,
        method,
        sparsity=planned(method, PLAN).plan.sparsity,
        steps=PLAN.steps,
        steps_per_epoch=PLAN.steps_per_epoch,
        examples=pool,
        **quick_settings(method, pool=len(pool[0])),
    )
    data, norms = digits(), []
    for _ in handle.rounds():
        for step in range(1, PLAN.steps + 1):
            generator = torch.Generator().manual_seed(step)
            chosen = torch.randint(len(data), (BATCH,), generator=generator)[rank::replicas]
            optimizer.zero_grad()
            first, second = chosen.chunk(2)
            # Gradients of the first half of a batch are not averaged over replicas until the
            # second half's are.
            with model.no_sync() if replicas > 1 else contextlib.nullcontext():
                loss(model, data, first).backward()
            loss(model, data, second).backward()
            norms.append(nn.utils.clip_grad_norm_(model.parameters(), CLIP))
            optimizer.step()
            if (
                step % PLAN.steps_per_epoch == 0
            ):  # replicas see different scores, of which the mean counts
                handle.validated(90.0 - step + (4.0 * rank if replicas > 1 else 2.0))
    assert min(norms) < CLIP < max(norms)
    masks = {f"{method}/{name}": mask.clone() for name, mask in handle.masks().items()}
    kept = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    return masks | {f"{method}/weights": kept, f"{method}/norms": torch.stack(norms)}


def loss(model: nn.Module, data: Split, chosen: torch.Tensor) -> torch.Tensor:
    """Return half of the mean loss of these examples: two such halves make a batch."""
    return F.cross_entropy(model(data.x[chosen].double()), data.y[chosen]) / 2


def main() -> None:
    """Train every method as one of some replicas; write the weights and masks."""
    out, rank, replicas, port = sys.argv[1], *map(int, sys.argv[2:])
    torch.set_num_threads(1)
    if replicas > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        torch.distributed.init_process_group("gloo", rank=rank, world_size=replicas)
    found: dict[str, torch.Tensor] = {}
    ended = {"replicas": str(replicas)}
    for name in filter(has_masks, METHODS):
        try:
            found |= train(name, rank, replicas)
        except InvalidInput as error:
            ended[f"{name} refused"] = str(error)
        except Exception:  # the test of this method fails, not those of the others
            ended[f"{name} failed"] = traceback.format_exc()
    save_file(found, out, metadata=ended)
    if replicas > 1:
        torch.distributed.destroy_process_group()
