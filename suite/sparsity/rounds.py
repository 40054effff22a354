"""Progress of training in rounds, and the weights that a round starts from.

Most methods need one round. Lottery tickets need many: train, choose the next masks, rewind, train
again. The suite's training loop and custom loops (`suite.own_loop`) share this module.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from suite.sparsity.sparsifier import Sparsifier


@dataclass
class TrainingProgress:
    """The round and step that training in rounds has reached.

    Attributes:
        round: the current round, from 0.
        step: the last step done in it; 0 before the first.
        rewind_weights: weights and buffers at the rewind step, once it is reached; else empty.
    """

    round: int = 0
    step: int = 0
    rewind_weights: dict[str, Tensor] = field(default_factory=dict)

    def steps_done(self, sparsifier: Sparsifier) -> int:
        """Return the steps done in all rounds; at the end, `Sparsifier.total_steps`."""
        return self.round * (sparsifier.plan.steps - sparsifier.rewind_step) + self.step

    def begin_step(self) -> int:
        """Increment the step and return it."""
        self.step += 1
        return self.step

    def advance_to(self, step: int, sparsifier: Sparsifier, model: nn.Module) -> None:
        """Note that `step` is done (0: the first round begins); keep the weights to rewind to."""
        self.step = step
        due = sparsifier.rounds > 1 and self.round == 0 and step == sparsifier.rewind_step
        if due and not self.rewind_weights:
            self.rewind_weights = {n: value.clone() for n, value in model.state_dict().items()}

    def next_round(
        self,
        sparsifier: Sparsifier,
        model: nn.Module,
        redraw: Callable[[], Mapping[str, Tensor]] | None = None,
    ) -> None:
        """End the round: the method chooses its next masks, weights and buffers are rewound.

        The caller provides a fresh optimizer and calls `Sparsifier.restart`. `redraw` returns
        newly drawn initial weights, for a control that does not rewind.
        """
        sparsifier.end_round(self.round)
        model.load_state_dict(self.rewind_weights)
        self.round += 1
        self.step = sparsifier.rewind_step
        if sparsifier.reinitializes(self.round):
            assert redraw is not None
            model.load_state_dict(redraw())
