"""Training in rounds: train, choose the next masks, rewind, train again.

Most methods need one round. Lottery tickets need many; the loop itself knows nothing of that.
"""

from collections.abc import Callable
from typing import Any

import torch

from suite.training.loop import Training, train

Snapshot = dict[str, torch.Tensor]


def train_rounds(training: Training, make_optimizer: Callable[[], torch.optim.Optimizer]) -> None:
    """Run every round that the sparsifier asks for.

    After each round but the last, weights and buffers go back to the sparsifier's `rewind_step`,
    under the masks it has just chosen, with a fresh optimizer; learning rate and data order
    continue from that step as they did in the first round.
    """
    sparsifier = training.sparsifier
    rewind = sparsifier.rewind_step if sparsifier.rounds > 1 else -1
    kept: Snapshot = _snapshot(training) if rewind == 0 else {}

    def keep(step: int) -> None:
        if step == rewind:
            kept.update(_snapshot(training))

    train(training, 0, keep if rewind > 0 else None)
    for number in range(1, sparsifier.rounds):
        sparsifier.end_round(number - 1)
        training.model.load_state_dict(kept)
        training.optimizer = make_optimizer()
        sparsifier.restart(training.optimizer)
        training.curves.round = number
        train(training, rewind)


def _snapshot(training: Training) -> dict[str, Any]:
    return {name: value.clone() for name, value in training.model.state_dict().items()}
