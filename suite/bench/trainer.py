"""A network in training on fixed batches, with or without a method: what benchmarks time."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from suite.bench.turns import CPU, seconds
from suite.experiments import registry
from suite.sparsity.construct import make_sparsifier
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.execution import Execution


def made(method: str, options: Mapping[str, Any], sparsity: float, steps: int) -> Sparsifier:
    """Return a method under options, for a training of this many steps."""
    declared = registry.methods()[method]
    plan = Plan(steps=steps, sparsity=sparsity, seed=0, steps_per_epoch=500)
    return make_sparsifier(declared, plan, declared.resolve(options))


class Trainer:
    """A model in training on four random batches, in turn.

    The method is called as the suite's own training loop calls it.

    Args:
        model: takes batches of `shape`, gives `classes` logits.
        shape: of one example.
        sparsifier: attached to the model here; None for plain PyTorch.
        execution: how its weights are stored.
        batch: examples in a batch.
        classes: that targets are drawn from.
        device: where training happens.
        bfloat16: whether the forward pass is autocast to it.
    """

    def __init__(
        self,
        model: nn.Module,
        shape: Sequence[int],
        sparsifier: Sparsifier | None = None,
        execution: str = "masked",
        batch: int = 128,
        classes: int = 10,
        device: torch.device = CPU,
        bfloat16: bool = False,
    ) -> None:
        self.model = model.to(device)
        self.device, self.bfloat16 = device, bfloat16
        self.optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
        self.batches = [
            (torch.randn(batch, *shape).to(device), torch.randint(classes, (batch,)).to(device))
            for _ in range(4)
        ]
        self.sparsifier = sparsifier
        self.step = 0
        if sparsifier is not None:
            sparsifier.attach(model, self.optimizer, storage=Execution(execution))

    def backward(self) -> None:
        """Begin the next step: forward and backward pass."""
        self.step += 1
        x, y = self.batches[self.step % 4]
        self.optimizer.zero_grad()
        if self.sparsifier is not None:
            self.sparsifier.before_step(self.step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss = F.cross_entropy(self.model(x), y)
        loss.backward()

    def train(self, steps: int) -> float:
        """Take `steps` steps; return the seconds they took."""
        return seconds(lambda: self._take(steps), self.device)

    def _take(self, steps: int) -> None:
        for _ in range(steps):
            self.backward()
            if self.sparsifier is not None:
                self.sparsifier.after_backward(self.step)
            self.optimizer.step()
            if self.sparsifier is not None:
                self.sparsifier.after_step(self.step)


def over_a_period(
    subject: Trainer, peer: Trainer, number: int, *, period: int, parts: int
) -> float:
    """Return the time of `subject` over that of `peer` for an update period of both.

    The arguments are those of `times_over_a_period`.
    """
    times = times_over_a_period(subject, peer, number, period=period, parts=parts)
    return times[0] / times[1]


def times_over_a_period(
    subject: Trainer, peer: Trainer, number: int, *, period: int, parts: int
) -> tuple[float, float]:
    """Return the seconds of `subject` and of `peer` for an update period of both.

    Parts of it take turns, so that a slow moment of the machine hits both.

    Args:
        subject: what is measured.
        peer: what it is compared with.
        number: of the period; it decides which of both goes first.
        period: steps, a multiple of `parts`.
        parts: in how many turns.
    """
    order = (peer, subject) if number % 2 else (subject, peer)
    spent = {peer: 0.0, subject: 0.0}
    for _ in range(parts):
        for trainer in order:
            spent[trainer] += trainer.train(period // parts)
    return spent[subject], spent[peer]
