"""AC/DC: training that alternates between dense and compressed phases."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.errors import InvalidInput
from suite.core.hyperparameters import GLOBALLY
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier

SOURCE = "Peste et al. 2021, arXiv:2106.12379"
CONFIG = "IST-DASLab/ACDC, configs/neurips/iht_imagenet_resnet50_insta_cosinelr_s90_ep100.yaml"
OF_TRAINING = "fraction of training"

METHOD = Method(
    "acdc",
    SOURCE,
    title="AC/DC",
    summary="alternates between training dense and training what magnitude pruning leaves",
    implementation="AcDc",
    family="dense to sparse",
    hyperparameters=(
        *GLOBALLY,
        Hyperparameter(
            "warm_up",
            float,
            0.1,
            "length of the first dense phase",
            low=0.0,
            below=1.0,
            unit=OF_TRAINING,
            source=f"{CONFIG}: compressed from epoch 10 of 100",
        ),
        Hyperparameter(
            "phase",
            float,
            0.05,
            "length of each of the alternating phases, of which the first is compressed; at least "
            "a step",
            low=0.001,
            below=1.0,
            unit=OF_TRAINING,
            source=f"{CONFIG}: 5 of 100 epochs",
            search=Search(low=0.02, high=0.2, log=True),
        ),
        Hyperparameter(
            "last_dense",
            float,
            0.1,
            "length of the last dense phase",
            low=0.0,
            below=1.0,
            unit=OF_TRAINING,
            source=f"{CONFIG}: from epoch 75 to 85 of 100",
        ),
        Hyperparameter(
            "final",
            float,
            0.15,
            "length of the last, compressed phase",
            low=0.0,
            below=1.0,
            unit=OF_TRAINING,
            source=f"{CONFIG}: from epoch 85 of 100",
            search=Search(low=0.05, high=0.4),
        ),
    ),
    equation=(
        r"w \leftarrow w \odot \operatorname{Top}_{(1-s)N}({|w|}) "
        r"\quad \text{at the start of every compressed phase}"
    ),
    cost="3 f_D per step of dense phases, 3 f_S of compressed ones",
    differences=(
        Difference(
            "when masks change",
            "after the gradients of a phase's first step, before the optimizer uses them",
            "before that step",
            "the same moment in a step for every method here",
        ),
    ),
)

MOMENTS = frozenset({"momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"})
"""State that `AcDc` zeroes: momentum, and the moments of Adam and its relatives."""
COUNTS = frozenset({"step", "mu_product"})
"""State that it keeps: the age of the optimizer."""


class AcDc(Sparsifier):
    """Dense training, interrupted by phases in which only the largest |w| are trained.

    The phases: dense during `warm_up`; then compressed, dense, compressed … for `phase` each; dense
    for `last_dense`; compressed to the end for `final`. At the start of a compressed phase the
    largest |w| of the whole network (or of every layer, with another distribution) are kept, at
    the exact target: w ← w ⊙ 1[|w| among the top (1 − s)·N]. Masks are fixed during the phase.

    When training turns dense again, pruned weights start at 0 and all momentum is set to 0, that of
    weights that were active and of biases and norms too. Under Adam and its relatives these are
    both moments; step counts stay, as for grown weights of every method, so that the first steps
    of a dense phase are up to about three times as long as later ones.

    Attributes:
        switches: the steps at which phases start, ascending, and whether each is compressed.
        last: the step at which the last phase starts.
        late: the step at which a phase of another plan starts late (`continue_as`); 0 if none.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self.switches = self._switches()
        self.last = max(self.switches)
        self.late = 0

    def _switches(self) -> dict[int, bool]:
        """Return the steps at which phases start, ascending, and whether each is compressed.

        Of several that would start at one step the last counts.

        Raises:
            InvalidInput: the lengths add up to more than the training.
        """
        o = self.options
        alternating = 1 - o.warm_up - o.last_dense - o.final
        if alternating < -1e-9:
            raise InvalidInput(
                f"acdc: warm_up={o.warm_up:g}, last_dense={o.last_dense:g} and final={o.final:g} "
                "add up to more than 1, the whole training: give less"
            )
        starts = [*self._alternating(alternating)]
        starts += [(1 - o.final - o.last_dense, False), (1 - o.final, True)]
        by_step = {max(1, self.step_at(start)): kind for start, kind in starts}
        switches: dict[int, bool] = {}
        is_compressed = False
        for step, kind in by_step.items():
            if kind != is_compressed:
                switches[step] = is_compressed = kind
        return switches

    def _alternating(self, length: float) -> Iterator[tuple[float, bool]]:
        """Yield when the alternating phases start, in fractions, and whether each is compressed.

        As many as start before the last dense phase; the last of them may be shorter.
        """
        phase = max(self.options.phase, 1 / self.plan.steps)
        for number in range(math.ceil(length / phase - 1e-9)):
            yield self.options.warm_up + number * phase, number % 2 == 0

    def is_update(self, step: int) -> bool:
        """Return whether a phase starts at `step`."""
        return step in self.switches or step == self.late

    def effective_options(self) -> dict[str, object]:
        """Return the steps at which phases start; the four lengths decide them together."""
        lengths = ("warm_up", "phase", "last_dense", "final")
        return {length: list(self.switches) for length in lengths}

    def notes(self) -> list[str]:
        """Return a note if a phase would be shorter than a step."""
        o = self.options
        if all(not 0 < part * self.plan.steps < 1 for part in (o.warm_up, o.phase, o.final)):
            return []
        starts = ", ".join(
            f"{'compressed' if kind else 'dense'} from step {step}"
            for step, kind in self.switches.items()
        )
        return [
            f"phases of AC/DC are shorter than a step in a training of {self.plan.steps}: it is "
            f"{starts}"
        ]

    def _is_compressed(self, step: int) -> bool:
        """Return whether the phase of `step` is compressed; that which starts at it counts."""
        kinds = [kind for start, kind in self.switches.items() if start <= step]
        return bool(kinds) and kinds[-1]

    def continue_as(self, plan: Plan, options: Mapping[str, Any], step: int) -> "AcDc":
        """Return this method under another plan; raises as `Sparsifier.continue_as`.

        Where that plan is in another phase than the masks, its phase starts at the next step.
        """
        new = super().continue_as(plan, options, step)
        assert isinstance(new, AcDc)
        is_compressed = any(w.active < w.size for w in self.layers if w.trained)
        is_behind = is_compressed != new._is_compressed(step) and self.target_total() > 0
        new.late = step + 1 if is_behind else 0
        return new

    def method_state(self) -> dict[str, Any]:
        """Return when a late phase starts."""
        return {"late": self.late}

    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore `method_state`; that of an older version was never late."""
        self.late = state.get("late", 0)

    def raise_sparsity(self, step: int) -> None:
        """Prune to the new target now in a compressed phase; else when the next one starts."""
        self.keep_pruned()
        if any(layer.active < layer.size for layer in self.layers) or step >= self.last:
            self.prune_smallest(1.0, step)

    def after_step(self, step: int) -> None:
        """Check after the first step, when there is state, that its momentum is known."""
        super().after_step(step)
        if step == 1:
            for optimizer in self.optimizers:
                check_moments(optimizer)

    def update(self, step: int) -> None:
        """Start a phase."""
        for optimizer in self.optimizers:
            check_moments(optimizer)
        if self._is_compressed(step):
            self.prune_smallest(1.0, step)
            return
        for layer in self.layers:
            everything = torch.ones(layer.shape, dtype=torch.bool, device=layer.device)
            self.set_mask(layer, everything, step)
        for optimizer in self.optimizers:
            zero_moments(optimizer)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return none in dense phases, and the target's in compressed ones."""
        none = Zeros.none(setup.shapes)
        compressed = setup.final
        if self.is_global:  # how the zeros of a phase are divided is known of the last one alone
            compressed = self.zeros_anywhere(setup.shapes, setup.final.in_network)
        yield 0, none
        for step, kind in self.switches.items():
            if step == self.last:
                yield step, setup.final
            else:
                yield step, compressed if kind else none


def check_moments(optimizer: torch.optim.Optimizer) -> None:
    """Check that it is known what of an optimizer's state is momentum.

    Raises:
        InvalidInput: it keeps other state.
    """
    for state in optimizer.state.values():
        for key, value in state.items():
            if isinstance(value, Tensor) and key not in MOMENTS | COUNTS:
                raise InvalidInput(
                    f"acdc sets momentum to 0 when training turns dense, and does not know whether "
                    f"the state '{key}' of {type(optimizer).__name__} is momentum: use SGD, Adam "
                    "or AdamW"
                )


@torch.no_grad()
def zero_moments(optimizer: torch.optim.Optimizer) -> None:
    """Set the momentum, or the moments, of every parameter to 0; step counts stay."""
    for state in optimizer.state.values():
        for key, value in state.items():
            if isinstance(value, Tensor) and key in MOMENTS:
                value.zero_()
