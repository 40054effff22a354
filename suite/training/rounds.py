"""Training in rounds: train, choose the next masks, rewind, train again."""

from collections.abc import Callable

from suite.sparsity.rounds import TrainingProgress
from suite.training.loop import Training, train
from suite.training.model import DRAWN_AGAIN, make_model
from suite.training.optimization import make_optimizer


def train_rounds(
    training: Training,
    progress: TrainingProgress,
    on_step: Callable[[TrainingProgress], None] | None = None,
) -> None:
    """Run every round that the sparsifier asks for, from `progress` on.

    After each round but the last, weights and buffers are rewound to the sparsifier's
    `rewind_step`, under the masks it has just chosen, with a fresh optimizer; learning rate and
    data order continue from that step as in the first round. `on_step` is called after every step.
    """
    context, model = training.context, training.model
    sparsifier = training.sparsifier  # a budget plans others in trainings of one round
    progress.advance_to(progress.step, sparsifier, model)

    def after_step(step: int) -> None:
        progress.advance_to(step, training.sparsifier, model)
        if on_step is not None:
            on_step(progress)

    rewinds = sparsifier.rounds > 1 and sparsifier.rewind_step > 0
    hook = after_step if on_step is not None or rewinds else None
    while True:
        training.curves.begin_round(progress.round)
        train(training, progress.step, hook)
        if progress.round + 1 >= sparsifier.rounds:
            return
        progress.next_round(
            sparsifier,
            model,
            lambda: make_model(context, purpose=DRAWN_AGAIN).state_dict(),
        )
        training.begin_round(make_optimizer(model, context.recipe))
