"""Gradual magnitude pruning (GMP)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.errors import InvalidInput
from suite.core.hyperparameters import (
    DENSE,
    DISTRIBUTION_OR_GLOBAL,
    GLOBALLY,
    LAYER_SPARSITY,
    PATTERN,
    UPDATE_EVERY,
)
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros
from suite.sparsity.plan import Plan
from suite.sparsity.schedule import CubicRamp, UpdateSchedule
from suite.sparsity.sparsifier import Sparsifier

MAGNITUDE = Method(
    "magnitude",
    "Zhu & Gupta 2017, arXiv:1710.01878",
    title="Gradual magnitude pruning",
    summary="prunes the smallest weights step by step along a cubic ramp while training",
    implementation="Magnitude",
    family="dense to sparse",
    hyperparameters=(
        DISTRIBUTION_OR_GLOBAL,
        *DENSE,
        LAYER_SPARSITY,
        PATTERN,
        UPDATE_EVERY,
        Hyperparameter(
            "initial_sparsity",
            float,
            0.0,
            "sparsity s_i at the start of the ramp, as a fraction of each layer's final one",
            low=0.0,
            below=1.0,
            source="Zhu & Gupta 2017, eq. 1",
        ),
        Hyperparameter(
            "prune_start",
            float,
            0.0,
            "t0, when pruning starts",
            low=0.0,
            below=1.0,
            unit="fraction of training",
            source="Zhu & Gupta 2017, eq. 1",
            search=Search(low=0.0, high=0.3),
        ),
        Hyperparameter(
            "prune_end",
            float,
            0.75,
            "t1, when the target is reached",
            low=0.0,
            high=1.0,
            unit="fraction of training",
            source="Zhu & Gupta 2017, eq. 1; the fraction as in RigL's T_end",
            search=Search(low=0.4, high=0.95),
        ),
    ),
    equation=(
        r"m_t = \operatorname{Top}_{(1-s_t)N}({|w|}), \quad "
        r"s_t = s_f + (s_i - s_f)\left(1 - \frac{t - t_0}{t_1 - t_0}\right)^3"
    ),
    cost="average of 3 f(s_t) over the ramp",
    differences=(
        Difference(
            "distribution",
            "erk",
            "uniform",
            "methods are compared from the same distribution",
        ),
        Difference(
            "update_every",
            "100",
            "10 (tf.contrib.model_pruning)",
            "one interval for all methods that update every ΔT steps",
        ),
        Difference(
            "pruned weights",
            "are 0 and stay pruned",
            "keep their value under the mask, are ranked again and may return",
            "evaluation and export see exactly the weights that are counted",
        ),
        Difference(
            "number of pruned weights",
            "exact",
            "from a threshold estimated by a histogram and smoothed over updates",
            "exact counts, also at t1",
        ),
    ),
)

ONE_SHOT = Method(
    "magnitude_one_shot",
    "Han et al. 2015, arXiv:1506.02626: train, prune, fine-tune, once",
    title="One-shot magnitude pruning",
    summary="trains dense, prunes the smallest weights once, and fine-tunes the rest",
    implementation="OneShot",
    family="dense to sparse",
    hyperparameters=(
        *GLOBALLY,
        PATTERN,
        Hyperparameter(
            "prune_at",
            float,
            0.75,
            "when the network is pruned; the rest of training is fine-tuning",
            low=0.0,
            below=1.0,
            unit="fraction of training",
            source="this project: the same as the end of gradual pruning, within one learning-rate "
            "schedule",
            search=Search(low=0.4, high=0.95),
        ),
    ),
    equation=r"m = \operatorname{Top}_{(1-s)N}({|w|})",
    cost="3 f_D per step before pruning, 3 f_S after",
    differences=(
        Difference(
            "distribution",
            "global",
            "a threshold for each layer, in proportion to the standard deviation of its weights "
            "(paper; there is no code)",
            "one exact sparsity instead of a threshold per layer",
        ),
        Difference(
            "prune_at",
            "0.75 of one training",
            "after a whole training; then a second one at a lower learning rate (paper)",
            "every method has the same steps and learning rates",
        ),
    ),
)

METHODS = (MAGNITUDE, ONE_SHOT)


class Magnitude(Sparsifier):
    """At t0, t0 + ΔT, … and at t1, keep the largest |w| at the sparsity of the ramp.

    s_t = s_f + (s_i − s_f)(1 − (t − t0)/(t1 − t0))³.

    Masks are monotone: pruned weights stay pruned. In the paper every layer has the same s_f; here
    each layer has its own, given by the distribution. There is always a last update at t1, even if
    t1 is not a multiple of ΔT (implementations that omit it end short of s_f).
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        start = self.step_at(self.options.prune_start)
        end = self.step_at(self.options.prune_end)
        if not start < end:
            raise InvalidInput(
                f"magnitude: prune_end={self.options.prune_end:g} must lie at least one step "
                f"after prune_start={self.options.prune_start:g} (training has {plan.steps} steps)"
            )
        self.schedule = UpdateSchedule(self.options.update_every, start, end, close=True)
        self.ramp = CubicRamp(self.options.initial_sparsity, 1.0, start, end)

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks."""
        self.prune_on_from(masks)

    def raise_sparsity(self, step: int) -> None:
        """Prune to the new target now if no later update does."""
        self.prune_on(step, self.schedule.last)

    def is_update(self, step: int) -> bool:
        """Return whether weights are pruned at `step`."""
        return self.schedule.is_update(step)

    def effective_options(self) -> dict[str, int]:
        """Return the schedule's options in steps; ΔT is capped at the length of the ramp."""
        start, end = self.schedule.start, self.schedule.end
        every = min(self.schedule.every, end - start)
        return {"update_every": every, "prune_start": start, "prune_end": end}

    def update(self, step: int) -> None:
        """Prune to the ramp's sparsity."""
        self.prune_smallest(self.ramp(step), step)

    def unchanged_reason(self, *, moved: bool) -> str:
        """Return why nothing was pruned; from masks that have the target, nothing is left to be."""
        return super().unchanged_reason(moved=moved or self.held_zeros is not None)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return the zeros along the ramp."""
        yield 0, Zeros.none(setup.shapes)
        for step in self.schedule.updates():
            yield step, self.zeros_when_pruned(self.ramp(step), setup.final)


class OneShot(Sparsifier):
    """Keep the largest |w| of the trained network, once; train the rest to the end.

    Under an N:M pattern with ``distribution=erk``: the N largest |w| of every group.
    """

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks."""
        self.prune_on_from(masks)

    def raise_sparsity(self, step: int) -> None:
        """Prune to the new target now if no later update does."""
        self.prune_on(step, self.prune_step)

    def is_update(self, step: int) -> bool:
        """Return whether `step` is the step at which weights are pruned."""
        return step == self.prune_step

    @property
    def prune_step(self) -> int:
        """The step at which weights are pruned."""
        return max(1, self.step_at(self.options.prune_at))

    def effective_options(self) -> dict[str, int]:
        """Return `prune_at` in steps."""
        return {"prune_at": self.prune_step}

    def update(self, step: int) -> None:
        """Prune to the target."""
        self.prune_smallest(1.0, step)

    def unchanged_reason(self, *, moved: bool) -> str:
        """Return why nothing was pruned; from masks that have the target, nothing is left to be."""
        return super().unchanged_reason(moved=moved or self.held_zeros is not None)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return no zeros before the pruning, and the final ones after it."""
        yield 0, Zeros.none(setup.shapes)
        yield self.prune_step, setup.final
