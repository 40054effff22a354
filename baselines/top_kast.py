"""Top-KAST: always sparse training on the largest weights, exploring among the next largest."""

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.hyperparameters import LAYERWISE, UPDATE_EVERY
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros
from suite.sparsity.dense_weights import DenseWeights, Shown
from suite.sparsity.flops import Counts
from suite.sparsity.masks import count_true, keep_top
from suite.sparsity.plan import Plan
from suite.sparsity.schedule import UpdateSchedule
from suite.sparsity.storage.masked import MaskedWeight

METHOD = Method(
    "top_kast",
    "Jayakumar et al. 2020, arXiv:2106.03517",
    title="Top-KAST",
    summary="uses the largest weights of each layer and trains the next largest ones with them",
    implementation="TopKAST",
    family="sparse to sparse",
    hyperparameters=(
        *LAYERWISE,
        Hyperparameter(
            "backward_offset",
            float,
            0.1,
            "M, how many more weights of a layer are trained than are used, as a fraction of all",
            low=0.0,
            high=1.0,
            source="Jayakumar et al. 2020, algorithm 1: a backward density of D + M; 0.1 is "
            "forward sparsity 0.9 with backward sparsity 0.8",
            search=Search(low=0.0, high=0.5),
        ),
        replace(UPDATE_EVERY, source="Jayakumar et al. 2020: every 100 steps at no loss"),
        Hyperparameter(
            "l2",
            float,
            "weight_decay",
            "λ of the L2 penalty on the weights that are trained, divided by the density D for "
            "those that are not used; 'weight_decay' is the optimizer's own",
            low=0.0,
            words=("weight_decay",),
            source="Jayakumar et al. 2020, exploration regularisation loss",
            search=Search(choices=("weight_decay",)),
        ),
    ),
    equation=(
        r"A = \operatorname{Top}_{DN}({|w|}), \quad B = \operatorname{Top}_{(D+M)N}({|w|}), \quad "
        r"w_B \leftarrow w_B - \gamma\left(\nabla_B L(w \odot A) + \lambda w_A "
        r"+ \frac{\lambda}{D} w_{B \smallsetminus A}\right)"
    ),
    cost="2 f_A + f_B per step: the weights used, and those trained",
    differences=(
        Difference(
            "authors' code",
            "written from the paper's algorithm 1",
            "not published",
            "there is nothing to compare with",
        ),
        Difference(
            "update_every",
            "100: weights are chosen at step 0 and at every 100th step, before the optimizer steps",
            "at every step, or every 100 steps at no loss (paper)",
            "the interval that the paper recommends",
        ),
        Difference(
            "l2",
            "weight_decay: the optimizer's, which acts on the trained weights; for those not used "
            "the rest up to 1/D is added to the gradient, after clipping",
            "a loss of its own",
            "so the weights that are used decay as under every other method",
        ),
    ),
)


class TopKAST(DenseWeights):
    """Forward with A, the D·n largest |w| of a layer; train B ⊇ A, the (D + M)·n largest.

    w_B ← w_B − γ (∂L/∂w_B at w ⊙ A + λ w_A + λ/D w_{B∖A}), algorithm 1, and the gradient step
    is the optimizer's. Every ΔT steps A and B are chosen again from all weights.

    Weights outside B keep their values, untouched by gradients, momentum and weight decay: the
    optimizer holds 0 for them, and their state is cleared when they leave B. Weights that enter B
    go on from the values they had, with fresh state. With AdamW, whose weight decay is not part of
    the gradient, what is added for B∖A is.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self.schedule = UpdateSchedule(self.options.update_every, 0, plan.steps - 1)
        self.forward: dict[str, Tensor] = {}
        self.backward: dict[str, Tensor] = {}
        self._active: dict[str, int] = {}
        self._multipliers: dict[str, Tensor] = {}

    def begin(self) -> None:
        """Choose A and B from the initial weights."""
        zeros = self.target_zeros()
        for weight in self.weights:
            self._choose(weight, weight.size - zeros[weight.name])

    def is_update(self, step: int) -> bool:
        """Return whether A and B are chosen at `step`."""
        return self.schedule.is_update(step)

    def effective_options(self) -> dict[str, int]:
        """Return ΔT, capped at the length of training."""
        return {"update_every": min(self.options.update_every, self.plan.steps)}

    def update(self, step: int) -> None:
        """Choose A and B from the weights as they are before the optimizer steps."""
        for weight in self.weights:
            if weight.trained:
                self._choose(weight, weight.active, step)
                weight.mask_state()

    def raise_sparsity(self, step: int) -> None:
        """Choose A and B at the new counts now."""
        self.keep_pruned()
        zeros = self.target_zeros()
        for weight in self.weights:
            if weight.trained:
                self._choose(weight, weight.size - zeros[weight.name], step)
                weight.mask_state()
        self.show(step)

    def _choose(self, weight: MaskedWeight, active: int, step: int = 0) -> None:
        name, scores = weight.name, self.dense[weight.name].abs().flatten()
        before = self.forward.get(name)
        backward = keep_top(
            scores, trained_count(weight.size, active, self.options.backward_offset)
        )
        self.backward[name] = backward.view(weight.shape)
        self._use(weight, keep_top(scores, active).view(weight.shape), active)
        weight.train_beyond(self.backward[name])
        if step and before is not None:
            kept = count_true(before & self.forward[name])
            self.report(step, "dropped", count_true(before) - kept, name)
            self.report(step, "grown", active - kept, name)
            self.report(step, "density", active / weight.size, name)

    def _use(self, weight: MaskedWeight, forward: Tensor, active: int) -> None:
        self.forward[weight.name], self._active[weight.name] = forward, active
        # Multiplying by a boolean mask would convert it at every step.
        self._multipliers[weight.name] = forward.to(weight.parameter.dtype)

    def regularize(self, weight: MaskedWeight, gradient: Tensor, dense: Tensor) -> None:
        """Add what the L2 penalty has beside the optimizer's weight decay."""
        density = max(weight.active, 1) / weight.size
        if self.options.l2 == "weight_decay":
            used, other = 0.0, self.group_of(weight).get("weight_decay", 0.0) * (1 / density - 1)
        else:
            used, other = self.options.l2, self.options.l2 / density
        if not used and not other:
            return
        of_used = dense * self._multipliers[weight.name]
        if other:
            gradient.add_(dense * weight.kept_state - of_used, alpha=other)
        if used:
            gradient.add_(of_used, alpha=used)

    def shown(self, weight: MaskedWeight, dense: Tensor) -> Shown:
        """Return the weights of A."""
        mask = self.forward[weight.name]
        return Shown(mask, dense * self._multipliers[weight.name], self._active[weight.name])

    def finish(self) -> None:
        """Keep A, and forget B, which nothing trains any more."""
        super().finish()
        self.backward = {}

    def own_state(self) -> dict[str, Any]:
        """Return B; A is the masks."""
        return {"backward": self.backward}

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Restore A and B."""
        if self.is_over:
            self.backward = {}
        for weight in self.weights:
            if (backward := state["backward"].get(weight.name)) is not None:
                self.backward[weight.name] = backward.to(weight.device)
                self._use(weight, weight.mask, weight.active)
                weight.train_beyond(self.backward[weight.name])

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that A and B have as many weights at every step."""
        final, offset = setup.final, self.options.backward_offset

        def untrained(zeros: Counts) -> Counts:
            sizes = setup.sizes
            return {
                n: sizes[n] - trained_count(sizes[n], sizes[n] - zeros[n], offset) for n in zeros
            }

        yield 0, replace(final, untrained=Zeros(untrained(final.least), untrained(final.most)))


def trained_count(size: int, active: int, offset: float) -> int:
    """Return |B| of a layer of `size` weights of which `active` are used: M·size more, or all."""
    return min(size, active + math.floor(Fraction(str(offset)) * size))
