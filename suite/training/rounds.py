"""Training in rounds: train, choose the next masks, rewind, train again.

Most methods need one round. Lottery tickets need many; the loop itself knows nothing of that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from suite.training.loop import Training, train

Snapshot = dict[str, torch.Tensor]


@dataclass
class Position:
    """How far training has come.

    Attributes:
        round: the round in progress, from 0.
        step: the last step done of it; 0 before the first.
        kept: weights and buffers at the rewind step, once it has passed; empty where none is.
    """

    round: int = 0
    step: int = 0
    kept: Snapshot = field(default_factory=dict)


def train_rounds(
    training: Training,
    make_optimizer: Callable[[], torch.optim.Optimizer],
    position: Position | None = None,
    on_step: Callable[[Position], None] | None = None,
) -> None:
    """Run every round that the sparsifier asks for, from `position` on.

    After each round but the last, weights and buffers go back to the sparsifier's `rewind_step`,
    under the masks it has just chosen, with a fresh optimizer; learning rate and data order
    continue from that step as they did in the first round. `on_step` hears of every step done.
    """
    sparsifier = training.sparsifier
    rewind = sparsifier.rewind_step if sparsifier.rounds > 1 else -1
    at = position or Position()
    if rewind == 0 and not at.kept:
        at.kept = _snapshot(training)

    def after(step: int) -> None:
        at.step = step
        if at.round == 0 and step == rewind:
            at.kept = _snapshot(training)
        if on_step is not None:
            on_step(at)

    heard = after if on_step is not None or rewind > 0 else None
    training.curves.round = at.round
    train(training, at.step, heard)
    for number in range(at.round + 1, sparsifier.rounds):
        sparsifier.end_round(number - 1)
        training.model.load_state_dict(at.kept)
        if sparsifier.fresh_weights(number):
            assert training.redraw is not None
            training.model.load_state_dict(training.redraw())
        training.optimizer = make_optimizer()
        sparsifier.restart(training.optimizer)
        training.curves.round = at.round = number
        at.step = rewind
        train(training, rewind, heard)


def _snapshot(training: Training) -> Snapshot:
    return {name: value.clone() for name, value in training.model.state_dict().items()}
