"""Lottery tickets: iterative magnitude pruning with rewinding (IMP)."""

import math
from collections.abc import Mapping
from typing import Any

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.errors import InvalidInput
from suite.core.hyperparameters import DENSE
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros
from suite.sparsity.distribution import Shapes, slower_output_zeros
from suite.sparsity.plan import Plan
from suite.sparsity.pruning import prune_layers
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method(
    "lottery_ticket",
    "Frankle & Carbin 2019, arXiv:1803.03635; rewinding: Frankle et al. 2020, arXiv:1912.05671",
    title="Lottery ticket (IMP)",
    summary="trains, prunes the smallest weights, rewinds the rest, and repeats",
    implementation="LotteryTicket",
    family="iterative",
    hyperparameters=(
        Hyperparameter(
            "distribution",
            str,
            "global",
            "rank all weights together, or each layer separately: to the given distribution, or "
            "all at one rate with the output layer at half of it ('original')",
            choices=("global", "original", "erk", "er", "uniform"),
            source="Frankle et al. 2020: global; Frankle & Carbin 2019, §2: original",
            search=Search(choices=("global",)),
        ),
        *DENSE,
        Hyperparameter(
            "control",
            str,
            "none",
            "what the last round trains instead of the ticket: 'reinit', its mask with new initial "
            "weights; 'random_mask', random masks with the ticket's counts and its weights",
            choices=("none", "reinit", "random_mask"),
            source="Frankle & Carbin 2019, §2 and appendix F; Frankle et al. 2020, §4",
            search=Search(choices=("none",)),
        ),
        Hyperparameter(
            "rate",
            float,
            0.2,
            "fraction of the remaining weights pruned after a round; the last pruning meets the "
            "target exactly",
            low=0.01,
            below=1.0,
            source="Frankle & Carbin 2019, §1",
            search=Search(low=0.1, high=0.5),
        ),
        Hyperparameter(
            "rewind_step",
            int,
            0,
            "step k to which weights and norm buffers are rewound; 0 is initialisation",
            low=0,
            unit="steps",
            source="Frankle et al. 2020, §2",
            search=Search(choices=(0,)),
        ),
    ),
    equation=r"m_r = \operatorname{Top}_{(1-p)^r N}({|w_T|}), \quad w \leftarrow m_r \odot w_k",
    cost="3 f(s_r) per step, summed over all rounds",
    differences=(
        Difference(
            "distribution",
            "global",
            "per layer, the output layer at half the rate (MNIST, 2019); global (open_lth, 2020)",
            "the later of the two; 'original' is the earlier",
        ),
        Difference(
            "last pruning",
            "meets the target exactly",
            "at the same rate as all others",
            "sparsities such as 0.9 cannot be met in steps of 20 %",
        ),
        Difference(
            "number of pruned weights",
            "exact",
            "rounded to the nearest (2019) or up (2020); ties with the threshold are pruned",
            "exact counts",
        ),
    ),
)


class LotteryTicket(Sparsifier):
    """Round r trains at density (1 − rate)^r from step k, then prunes the smallest |w|.

    Weights are ranked at the end of training. Then weights and norm buffers are rewound to step k,
    the optimizer is new, and learning rate and data continue from k as in the first round. With
    steps of 20 % only, a target such as 0.9 would be missed, so the last pruning meets it exactly.
    Controls change only the last round: the ticket is found in the same way.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        if self.options.rewind_step >= plan.steps:
            raise InvalidInput(
                f"lottery_ticket: rewind_step={self.options.rewind_step} is beyond training "
                f"({plan.steps} steps): give 0 to {plan.steps - 1}"
            )
        keep, left = 1 - plan.sparsity, 1 - self.options.rate
        prunings = math.ceil(math.log(keep) / math.log(left) - 1e-9)
        self.rounds = 1 + prunings
        self.rewind_step = self.options.rewind_step

    def sparsity_after(self, number: int) -> float:
        """Return the sparsity reached by pruning at the end of round `number` (from 0)."""
        if number >= self.rounds - 2:
            return self.plan.sparsity
        return float(1 - (1 - self.options.rate) ** (number + 1))

    def zeros_at(self, sparsity: float, shapes: Shapes | None = None) -> dict[str, int]:
        """Return how many weights of each layer are zero at an overall sparsity."""
        if self.options.distribution != "original":
            return super().zeros_at(sparsity, shapes)
        shapes = self.shapes if shapes is None else shapes
        left = 1 - self.options.rate
        slower = math.log(1 - self.options.rate / 2) / math.log(left)
        dense = self.dense_names(shapes)
        return slower_output_zeros(
            shapes, sparsity, slower, dense=dense, compensate=self.compensates
        )

    def end_round(self, number: int) -> None:
        """Prune the trained weights for the next round."""
        if self.options.distribution == "original":
            scores = {layer.name: layer.values.abs() for layer in self.layers}
            active = {layer.name: layer.mask for layer in self.layers}
            masks = prune_layers(active, scores, self.zeros_at(self.sparsity_after(number)))
            for layer in self.layers:
                self.set_mask(layer, masks[layer.name], self.plan.steps)
        else:
            fraction = self.sparsity_after(number) / self.plan.sparsity
            self.prune_smallest(fraction, self.plan.steps)
        if self.options.control == "random_mask" and number == self.rounds - 2:
            self.draw_masks({layer.name: layer.size - layer.active for layer in self.layers})

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return the zeros that the prunings of earlier rounds left."""
        start = self.rewind_step if number else 0
        if number == self.rounds - 1:
            yield start, setup.final
        elif number == 0:
            yield start, Zeros.none(setup.shapes)
        elif self.options.distribution == "original":
            sparsity = self.sparsity_after(number - 1)
            yield start, Zeros.exactly(self.zeros_at(sparsity, setup.shapes))
        else:
            fraction = self.sparsity_after(number - 1) / self.plan.sparsity
            yield start, self.zeros_when_pruned(fraction, setup.final)

    def reinitializes(self, number: int) -> bool:
        """Return whether this is the last round, under ``control=reinit``."""
        return self.options.control == "reinit" and 0 < number == self.rounds - 1
