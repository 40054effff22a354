"""STR: soft threshold reparameterization, with a learned threshold for every layer."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.hyperparameters import DENSE_LAYERS, DENSE_LAYERS_COMPENSATE
from suite.sparsity.cost_bounds import Course, TrainingSetup
from suite.sparsity.dense_weights import DenseWeights, Shown
from suite.sparsity.masks import count_true
from suite.sparsity.plan import Plan
from suite.sparsity.storage.masked import MaskedWeight

METHOD = Method(
    "str",
    "Kusupati et al. 2020, arXiv:2002.03231",
    title="STR",
    summary="shrinks all weights by a threshold that each layer learns, to the target at the end",
    implementation="STR",
    family="dense to sparse",
    hyperparameters=(
        Hyperparameter(
            "s_init",
            float,
            -3200.0,
            "s at the start of training; the threshold is its sigmoid",
            source="RAIVNLab/STR, configs/largescale/resnet50-str.yaml (90.23 %)",
            search=Search(choices=(-3200.0,)),
        ),
        # lr · wd / (1 − momentum), added up over the steps of the 90.23 % run on ImageNet: wd
        # 2.251757813e-5, momentum 0.875, 1,281,167 images in batches of 256 are 5,005 steps an
        # epoch. The rate is set once an epoch: 0.256 · (1 + 2 + 3 + 4 + 5)/5 in the warm-up, then
        # 0.256 · Σ ½(1 + cos(π e/95)) over e = 0 … 94, which is 0.256 · (95 + 1)/2. Together
        # 0.256 · (3 + 48) = 13.056, times 5,005 · 2.251757813e-5 / 0.125.
        Hyperparameter(
            "threshold_decay",
            float,
            11.7713,
            "weight decay of s, as Σ lr · wd / (1 − momentum) over the whole training: s shrinks "
            "by a factor of e to this power",
            low=0.0,
            source="RAIVNLab/STR, configs/largescale/resnet50-str.yaml (90.23 %): the sum over the "
            "authors' 100 epochs of ImageNet",
            search=Search(low=8.0, high=13.0),
        ),
        DENSE_LAYERS,
        DENSE_LAYERS_COMPENSATE,
    ),
    equation=r"\tilde w = \operatorname{sign}(w) \odot \max(0, {|w|} - \sigma(s_l))",
    cost="average of 3 f(s_t), at the sparsity that the thresholds leave",
    differences=(
        Difference(
            "target sparsity",
            "all thresholds are multiplied by one factor at the end, which leaves exactly the "
            "target; sparsity and validation score before it are in the record",
            "an outcome of weight decay and s_init, which are tuned for each sparsity",
            "results are compared at the same sparsity",
        ),
        Difference(
            "threshold_decay",
            "11.7713, for s alone and spread evenly over the steps: s is multiplied by "
            "exp(-threshold_decay / steps) at each; weights decay as the recipe says",
            "weight decay 2.25e-5 in the optimizer, of s and of all weights",
            "at a recipe's own weight decay and number of steps s would not move from s_init",
        ),
        Difference(
            "optimizer of s",
            "SGD with learning rate and momentum of the layer's weights; under Adam with its "
            "learning rate and its first beta as momentum, without its normalisation",
            "the optimizer of the weights, SGD",
            "s is the method's own state, which no optimizer of a custom loop holds",
        ),
        Difference(
            "gradient clipping",
            "the gradient of s is computed from clipped gradients of the weights",
            "not used",
            "s has no part in the norm that a recipe clips",
        ),
    ),
)

FAR = 0.1
"""A sparsity further than this from the target, or of less than half or more than twice its
density, is far from it: the projection then chooses other weights than those that were trained."""

COUNT_EVERY = 100
"""Steps between two counts of the active weights on a GPU, where counting waits for it, and
between two reports of densities and thresholds."""


class STR(DenseWeights):
    """w̃ = sign(w) · relu(|w| − σ(s_l)); w and s_l, one for each layer, are both trained.

    An active weight (|w| > σ(s_l)) has the gradient of w̃; the others have none, and momentum and
    weight decay move them. ∂L/∂s_l = −σ'(s_l) · Σ g · sign(w) over the active weights. s
    decays besides, so that thresholds, which are 0 in floating point at s = −3200, begin to rise
    midway. If the plan is extended, the rest of the decay is that of the longer plan.

    At the end one factor on all thresholds σ(s_l) leaves exactly the target: weights are ranked by
    |w| / σ(s_l) over the network, ties by index, and the factor is the largest ratio pruned. If
    fewer weights are active than wanted it is below 1, and some come back. The ranking is of
    log |w| − log σ(s_l), which is finite where σ(s_l) itself is 0.

    On a GPU active weights are counted every 100 steps; FLOPs are charged for the last count.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self.s: dict[str, Tensor] = {}
        self.velocity: dict[str, Tensor] = {}
        self._active: dict[str, int] = {}
        self._counts = True
        self._validation = (0, 0.0)
        self._before: dict[str, float] = {}
        self._log_factor = 0.0

    @property
    def is_global(self) -> bool:
        """Whether one exact count holds for the whole network: thresholds divide it."""
        return True

    def begin(self) -> None:
        """Train every weight; all thresholds start from the same s."""
        self._counts = True
        for weight in self.weights:
            kind = torch.promote_types(weight.parameter.dtype, torch.float32)
            s = torch.full((), self.options.s_init, dtype=kind, device=weight.device)
            self.s[weight.name], self.velocity[weight.name] = s, torch.zeros_like(s)
            self._active[weight.name] = weight.size
            weight.train_beyond(torch.ones_like(weight.mask), gradients=False)

    def regularize(self, weight: MaskedWeight, gradient: Tensor, dense: Tensor) -> None:
        """Step s; the gradient itself is that of w̃ already, 0 for inactive weights."""
        s, velocity, group = self.s[weight.name], self.velocity[weight.name], self.group_of(weight)
        sigmoid = s.sigmoid()
        slope = -sigmoid * (1 - sigmoid) * (gradient * dense.sign()).sum(dtype=s.dtype)
        momentum = group["momentum"] if "momentum" in group else group.get("betas", (0.0,))[0]
        velocity.mul_(momentum).add_(slope)
        step = slope + momentum * velocity if group.get("nesterov") else velocity
        s.mul_(math.exp(-self.options.threshold_decay / self.plan.steps)).sub_(group["lr"] * step)

    def shown(self, weight: MaskedWeight, dense: Tensor) -> Shown:
        """Return the weights shrunk by the layer's threshold."""
        threshold = self.s[weight.name].sigmoid().to(dense.dtype)
        size = (dense.abs() - threshold).clamp_min_(0)
        mask = size > 0
        if self._counts or weight.device.type == "cpu":
            self._active[weight.name] = count_true(mask)
        return Shown(mask, size.mul_(dense.sign()), self._active[weight.name])

    def after_step(self, step: int) -> None:
        """Show the shrunk weights; report and, on a GPU, count them at an interval."""
        self._counts = step % COUNT_EVERY == 0 or step == self.plan.steps
        super().after_step(step)
        if self._counts:
            for weight in self.weights:
                self.report(step, "density", weight.active / weight.size, weight.name)
                self.report(
                    step, "soft_threshold", float(self.s[weight.name].sigmoid()), weight.name
                )

    def after_validation(self, step: int, score: float) -> None:
        """Note the score, which is that before the projection if `step` is the last."""
        if not self.is_over:
            self._validation = (step, score / 100)

    def raise_sparsity(self, step: int) -> None:
        """Continue: the target matters after the last step alone."""
        self.target_total()

    def finish(self) -> None:
        """Multiply all thresholds by the factor that leaves exactly the target."""
        weights = self.weights
        active = {layer.name: torch.ones_like(layer.mask) for layer in self.layers}
        zeros = sum(layer.size - count_true(layer.mask) for layer in self.layers)
        self._before = {
            "sparsity_before_projection": zeros / sum(layer.size for layer in self.layers)
        }
        if self._validation[0] == self.plan.steps:
            self._before["validation_score_before_projection"] = self._validation[1]
        logs = {name: F.logsigmoid(s.double()) for name, s in self.s.items()}
        ratios = {w.name: self.dense[w.name].double().abs().log() - logs[w.name] for w in weights}
        masks = self.pruned(active, ratios, 1.0)
        pruned = [ratios[w.name][~masks[w.name]] for w in weights]
        self._log_factor = max(
            (float(ratio.max()) for ratio in pruned if ratio.numel()), default=-math.inf
        )
        for weight in weights:
            if not weight.trained:  # frozen midway: left alone
                continue
            mask, dense = masks[weight.name], self.dense[weight.name]
            threshold = (logs[weight.name] + self._log_factor).exp().to(dense.dtype)
            values = dense.sign() * (dense.abs() - threshold).clamp_min(0) * mask
            self._exploration.add(weight.name, mask)
            weight.show(mask, values, count_true(mask))
            self.report(self.plan.steps, "density", weight.active / weight.size, weight.name)
            self.report(self.plan.steps, "soft_threshold", float(threshold), weight.name)
        super().finish()

    def metrics(self) -> dict[str, float]:
        """Add where sparsity and validation score stood before the projection."""
        return super().metrics() | self._before

    def notes(self) -> list[str]:
        """Return how far the projection moved the thresholds, and whether that is too far."""
        if not self._before:
            return []
        return [
            f"the thresholds left a sparsity of {self._before['sparsity_before_projection']:.4f}; "
            f"multiplied by e^{self._log_factor:.3g} they leave {self.plan.sparsity:g}",
            *self.surprises(),
        ]

    def surprises(self) -> list[str]:
        """Return what to change if the thresholds left a sparsity far from the target."""
        if not self._before:
            return []
        size = sum(layer.size for layer in self.layers)
        left, target = self._before["sparsity_before_projection"], self.target_total() / size
        if not is_far(left, target):
            return []
        way = "raise threshold_decay, or give an s_init closer to 0"
        if left > target:
            way = "lower threshold_decay, or give an s_init further below 0"
        return [
            f"before the projection the sparsity was {left:.4f}, far from the target {target:.4g}: "
            f"the network was not trained at the sparsity that it ends with; {way}"
        ]

    def own_state(self) -> dict[str, Any]:
        """Return s, its momentum, and what the record will state."""
        return {
            "s": self.s,
            "velocity": self.velocity,
            "active": self._active,
            "validation": dict(zip(("step", "score"), self._validation, strict=True)),
            "before": self._before,
            "log_factor": self._log_factor,
        }

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Restore `own_state`."""
        for name, s in state["s"].items():
            self.s[name].copy_(s)
            self.velocity[name].copy_(state["velocity"][name])
        self._active = dict(state["active"])
        self._counts = False
        self._validation = (state["validation"]["step"], state["validation"]["score"])
        self._before = dict(state["before"])
        self._log_factor = float(state["log_factor"])

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that thresholds may leave any number of zeros."""
        yield 0, self.zeros_anywhere(setup.shapes)


def is_far(left: float, target: float) -> bool:
    """Return whether the sparsity that thresholds left is far from the target (`FAR`)."""
    return abs(left - target) > FAR or not (1 - target) / 2 <= 1 - left <= 2 * (1 - target)
