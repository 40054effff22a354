"""MEST: sparse training within a soft bound on memory (MEST + EM&S)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.hyperparameters import LAYERWISE, UPDATE_EVERY
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros
from suite.sparsity.distribution import Shapes, count_zeros
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import count_true, keep_active, random_empty
from suite.sparsity.plan import Plan
from suite.sparsity.schedule import UpdateSchedule
from suite.sparsity.sparsifier import Sparsifier

SOURCE = "Yuan et al. 2021, arXiv:2110.14032"
SCRIPT = "boone891214/MEST, scripts/resnet32/EM_S"

METHOD = Method(
    "mest",
    SOURCE,
    title="MEST + EM&S",
    summary="grows random weights beyond the target and drops the least important ones of them all",
    implementation="Mest",
    family="sparse to sparse",
    hyperparameters=(
        *LAYERWISE,
        Hyperparameter(
            UPDATE_EVERY.name,
            int,
            "auto",
            "interval ΔT between two connectivity updates; auto is 1/32 of training",
            low=1,
            words=("auto",),
            unit="steps",
            source=f"{SCRIPT}: every 5 of 160 epochs",
            search=Search(choices=("auto",)),
        ),
        Hyperparameter(
            "extra_density",
            float,
            0.05,
            "δ, the fraction of a layer's weights that it has beyond its target between updates; "
            "half of it from halve_at on, none from update_end on",
            low=0.0,
            below=1.0,
            source=f"{SCRIPT}: 0.05, 0.025, 0",
            search=Search(low=0.01, high=0.1, log=True),
        ),
        Hyperparameter(
            "halve_at",
            float,
            0.5625,
            "when δ is halved",
            low=0.0,
            high=1.0,
            unit="fraction of training",
            source=f"{SCRIPT}: epoch 90 of 160",
        ),
        Hyperparameter(
            "update_end",
            float,
            0.75,
            "when layers are pruned to their targets and connectivity becomes fixed",
            low=0.0,
            high=1.0,
            unit="fraction of training",
            source=f"{SCRIPT}: epoch 120 of 160",
            search=Search(low=0.5, high=0.95),
        ),
        Hyperparameter(
            "gradient_weight",
            float,
            0.0,
            "λ: the least |w| + λ·|∇L| are dropped",
            low=0.0,
            source="boone891214/MEST, prune_utils/retrain.py: --sp-lmd 0.0, which its scripts keep",
            search=Search(low=0.0, high=1.0),
        ),
    ),
    equation=(
        r"m \leftarrow \operatorname{Top}_{(1-s)N}({|w|} + \lambda{|\nabla L|}) "
        r"\cup \operatorname{Random}_{\delta(t)N}"
    ),
    cost="3 f_S per step, at the density of the target plus δ",
    differences=(
        Difference(
            "distribution",
            "erk",
            "uniform",
            "as the other sparse-to-sparse methods here",
        ),
        Difference(
            "the first masks",
            "random",
            "the largest |w| of the initial weights",
            "as the other sparse-to-sparse methods here, which start from the same masks",
        ),
        Difference(
            "the first update",
            "after one interval",
            "at the first step",
            "training starts at the target plus δ, so that there is nothing to grow before",
        ),
        Difference(
            "data efficiency",
            "none",
            "examples that are never forgotten are removed from training",
            "every method here sees the same data",
        ),
    ),
)


class Mest(Sparsifier):
    """Every ΔT, per layer: drop the least |w| + λ·|∇L| down to s_l, grow at random to s_l − δ(t).

    s_l is the layer's sparsity at the end, which the distribution gives. δ(t) is δ, δ/2 from
    `halve_at` and 0 from `update_end` on: the last update, which only drops. ∇L is that of active
    weights, which costs nothing. Growth is uniform over all inactive weights, including those just
    dropped; grown weights start at 0. A weight grown in one update competes in the next with those
    that it may replace, which are kept until then: that is the soft bound on memory.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        every = self.options.update_every
        every = max(1, plan.steps // 32) if every == "auto" else every
        end = max(1, self.step_at(self.options.update_end))
        self.schedule = UpdateSchedule(every, every, end, close=True)
        self.halve = self.step_at(self.options.halve_at)

    def extra(self, step: int) -> float:
        """Return δ from `step` on: of the update at it, or 0 for the first masks."""
        if step >= self.schedule.last:
            return 0.0
        return float(self.options.extra_density) * (0.5 if step >= self.halve else 1.0)

    def zeros_from(self, step: int, shapes: Shapes) -> dict[str, int]:
        """Return how many weights of each layer are zero after the update at `step`."""
        sizes = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
        return {
            name: max(0, zeros - count_zeros(self.extra(step), sizes[name]))
            for name, zeros in self.target_zeros(shapes).items()
        }

    def start(self) -> None:
        """Draw the first masks at random, δ denser than the target."""
        self.draw_masks(self.zeros_from(0, self.shapes))

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks; they become denser with the first update."""
        self.keep_counts_of(masks)

    def raise_sparsity(self, step: int) -> None:
        """Prune to the new target now if no later update does."""
        self.prune_on(step, self.schedule.last)

    def is_update(self, step: int) -> bool:
        """Return whether an update is due at `step`."""
        return self.schedule.is_update(step)

    def effective_options(self) -> dict[str, int]:
        """Return the options of the schedule in steps."""
        end = self.schedule.last
        return {
            "update_every": min(self.schedule.every, end),
            "halve_at": min(self.halve, end),
            "update_end": end,
        }

    def notes(self) -> list[str]:
        """Return a note if the training is too short for an update that grows weights."""
        if self.schedule.every < self.schedule.last or self.options.extra_density == 0:
            return []
        way = "give a smaller update_every"
        if self.schedule.last <= 1:  # not even an update at every step would come before it
            way = "train for more steps" if self.plan.steps == 1 else "raise update_end"
        return [
            f"no weights are grown in these {self.plan.steps} steps: the only update, at step "
            f"{self.schedule.last}, prunes to the target; {way}"
        ]

    def update(self, step: int) -> None:
        """Drop to every layer's target, then grow beyond it."""
        target, final = self.target_zeros(), self.zeros_from(step, self.shapes)
        for layer in self.layers:
            if not layer.trained or target[layer.name] == 0:
                continue
            keep = min(layer.active, layer.size - target[layer.name])
            flat = self.importance(layer).flatten()
            kept = keep_active(layer.mask.flatten(), flat, keep).view(layer.shape)
            number = layer.size - final[layer.name] - count_true(kept)
            generator = self.generator(layer, "grow", step)
            mask = kept | random_empty(kept, number, generator) if number > 0 else kept
            self.set_mask(layer, mask, step, through=kept)

    def importance(self, layer: PrunableWeight) -> Tensor:
        """Return |w| + λ·|∇L| of a layer; of |w| alone where the loss does not depend on it."""
        gradient = layer.active_gradient
        if self.options.gradient_weight == 0 or gradient is None:
            return layer.values.abs()
        return layer.values.abs().add_(gradient.abs(), alpha=self.options.gradient_weight)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return the zeros of the first masks, and after each update that changes their number."""
        first, every, last = self.schedule.start, self.schedule.every, self.schedule.last
        halved = first + max(0, -(-(self.halve - first) // every)) * every
        yield 0, Zeros.exactly(self.zeros_from(0, setup.shapes))
        if halved < last:
            yield halved, Zeros.exactly(self.zeros_from(halved, setup.shapes))
        yield last, Zeros.exactly(self.zeros_from(last, setup.shapes))
