"""A plain training loop, which the frameworks' trainers are compared with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from suite.sparsity.plan import Plan
from tests.support import forked
from tests.support.helpers import batch_of, digits, often
from tests.support.ports import free_port

STEPS, BATCH = 24, 8
METHOD = {"method": "rigl", "sparsity": 0.9, "update_every": 5}
"""Arguments of `sparsify` under which connectivity is updated after steps 5, 10 and 15."""
BRIEF = Plan(steps=28, sparsity=0.9, seed=0, steps_per_epoch=7)
"""For what is tried with many methods: two updates of one that has them every 10 steps."""


def brisk(method: str) -> dict[str, Any]:
    """Return settings under which a method updates often within `BRIEF`.

    Its decisions are too few to follow more than one period of a threshold.
    """
    found = often(method, BRIEF)
    return found | ({"bits": 1} if "window" in found else {})


def micro_batches(steps: int = STEPS, micro: int = 1) -> list[tuple[Tensor, Tensor]]:
    """Return the batches of `BATCH` digits of each step, cut into `micro` parts."""
    parts = []
    for step in range(1, steps + 1):
        x, y = batch_of(digits(), step, BATCH)
        parts += list(zip(x.chunk(micro), y.chunk(micro), strict=True))
    return parts


def loader(steps: int = STEPS, micro: int = 1) -> DataLoader:
    """Return `micro_batches` as a DataLoader, in this order."""
    return DataLoader(micro_batches(steps, micro), batch_size=None)


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    start: int = 0,
    stop: int = STEPS,
    micro: int = 1,
    clip: float | None = None,
    bf16: bool = False,
) -> list[float]:
    """Train; return the gradient's norm of each step, before it was clipped."""
    norms = []
    for step, parts in enumerate(_grouped(micro_batches(stop, micro), micro), start=1):
        if step <= start:
            continue
        optimizer.zero_grad()
        for x, y in parts:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = F.cross_entropy(model(x), y) / micro
            loss.backward()
        if clip is not None:
            norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), clip)))
        optimizer.step()
    return norms


def _grouped(parts: list[tuple[Tensor, Tensor]], size: int) -> Iterator[list]:
    for first in range(0, len(parts), size):
        yield parts[first : first + size]


def assert_same(one: nn.Module, other: nn.Module) -> None:
    """Check that two models have the same weights and buffers, bit for bit."""
    theirs = other.state_dict()
    assert one.state_dict().keys() == theirs.keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, theirs[name]), name


def trained_on_two_processes(framework: str, folder: Path) -> dict[str, Tensor]:
    """Train a network on two processes, by a function of `replicas`; return its weights."""
    path = folder / "weights.pt"
    with free_port() as port:
        # What torchrun sets.
        group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        group |= {"LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
        ranks = [
            forked.start(
                [framework, str(path)], cwd=folder, text=True, call="tests.own_loop.replicas:main",
                env=group | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(2)
        ]  # fmt: skip
        errors = [rank.communicate(timeout=240)[1] for rank in ranks]
    assert [rank.wait() for rank in ranks] == [0, 0], "\n".join(errors)[-5000:]
    return torch.load(path, weights_only=True)


def assert_equal_to_rounding(weights: dict[str, Tensor], model: nn.Module) -> None:
    """Check that weights in float64 are those of a model, and 0 in the same places."""
    for name, value in model.state_dict().items():
        assert torch.equal(weights[name] == 0, value == 0), name
        assert torch.allclose(weights[name], value, atol=1e-9), name
