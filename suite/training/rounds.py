"""Training in rounds: train, choose the next masks, rewind, train again."""

from collections.abc import Callable

import torch

from suite.sparsity.rounds import TrainingProgress
from suite.training.loop import Training, train


def train_rounds(
    training: Training,
    make_optimizer: Callable[[], torch.optim.Optimizer],
    position: TrainingProgress | None = None,
    on_step: Callable[[TrainingProgress], None] | None = None,
) -> None:
    """Run every round that the sparsifier asks for, from `position` on.

    After each round but the last, weights and buffers go back to the sparsifier's `rewind_step`,
    under the masks it has just chosen, with a fresh optimizer; learning rate and data order
    continue from that step as they did in the first round. `on_step` hears of every step done.
    """
    sparsifier, model = training.sparsifier, training.model
    at = position or TrainingProgress()
    at.advance_to(at.step, sparsifier, model)

    def after(step: int) -> None:
        at.advance_to(step, sparsifier, model)
        if on_step is not None:
            on_step(at)

    rewinds = sparsifier.rounds > 1 and sparsifier.rewind_step > 0
    heard = after if on_step is not None or rewinds else None
    training.curves.round = at.round
    train(training, at.step, heard)
    while at.round + 1 < sparsifier.rounds:
        at.next_round(sparsifier, model, training.redraw)
        training.optimizer = make_optimizer()
        sparsifier.restart(training.optimizer)
        training.curves.round = at.round
        train(training, at.step, heard)
