"""SRigL: structured RigL, a constant fan-in with neurons that may be ablated."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.errors import InvalidInput
from suite.core.hyperparameters import DROP_FRACTION, LAYERWISE, UPDATE_END, UPDATE_EVERY
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros, unchanging
from suite.sparsity.distribution import Shapes, count_zeros
from suite.sparsity.drop_grow import GradientGrowth
from suite.sparsity.layer_masks import MASKS_TOLERANCE
from suite.sparsity.masks import count_true, keep_active, keep_top, uniform
from suite.sparsity.plan import Plan

METHOD = Method(
    "srigl",
    "Lasby et al. 2024, arXiv:2305.02299",
    title="SRigL",
    summary="RigL with the same number of weights in every neuron; neurons may be ablated",
    implementation="SRigL",
    family="sparse to sparse",
    hyperparameters=(
        *LAYERWISE,
        UPDATE_EVERY,
        DROP_FRACTION,
        UPDATE_END,
        Hyperparameter(
            "min_salient",
            float,
            0.3,
            "a neuron with fewer salient weights than this share γ of the fan-in before any "
            "ablation is ablated; at least 1 is needed. 0 ablates none",
            low=0.0,
            high=1.0,
            source="Lasby et al. 2024, §4: γ_sal = 30 %",
            search=Search(low=0.0, high=0.9),
        ),
    ),
    equation=(
        r"m \leftarrow (m \smallsetminus \operatorname{Bottom}_K({|w|})) "
        r"\cup \operatorname{Top}({|\nabla L|}), "
        r"\quad \text{with } k = \left\lfloor \frac{n}{\text{neurons left}} \right\rfloor "
        r"\text{ weights in each neuron}"
    ),
    cost="(3 f_S·ΔT + 2 f_S + f_D) / (ΔT + 1) per step",
    constant_fan_in=True,
    differences=(
        Difference(
            "initial fan-in",
            "⌊active weights of the layer / neurons⌋, as after every update",
            "inputs − ⌊inputs × sparsity⌋: one more where it is not a whole number",
            "no mask may have more weights than the sparsity allows",
        ),
        Difference(
            "a neuron with more kept weights than the fan-in",
            "keeps its largest |w|",
            "keeps those that come first after a sort of its boolean mask",
            "the paper prunes the smallest magnitudes",
        ),
        Difference(
            "fewer active weights outside ablated neurons than are to be kept",
            "all of them are kept, the rest is grown by gradient",
            "inactive weights fill up the number, in no defined order",
            "the paper grows by gradient alone",
        ),
        Difference(
            "neurons that stay at least",
            "as many as the layer's nominal number of weights needs, and one",
            "as many as its active weights need, and one",
            "the number then does not fall with each rounding of the fan-in",
        ),
        Difference(
            "fewer weights that are not 0 than are to be kept",
            "zeros are kept too",
            "fewer are kept, and more grown",
            "how many weights are replaced then depends on the schedule alone",
        ),
        Difference(
            "initial weights",
            "the task's own",
            "scaled by the sparse fan-in (use_sparse_initialization)",
            "all methods of a task start from the same weights",
        ),
        Difference(
            "min_salient",
            "0.3",
            "0.01 in configs/config.yaml, 0.3 in the README's commands",
            "the paper's value for CNNs",
        ),
    ),
)


class SRigL(GradientGrowth):
    """Every ΔT steps, ablate neurons, and drop and grow weights to one fan-in k in each layer.

    In a layer of N weights, of which n = N − zeros are active nominally:

    - f(t) = α/2 · (1 + cos(π t / T_end)), K = ⌊f(t) · active⌋
    - salient are the top (active − K) |w| and the top K |∇|
    - ablate neurons with fewer than max(1, ⌊γ·k₀⌋) salient weights, k₀ = ⌊n / neurons⌋
    - k = ⌊n / neurons left⌋
    - keep the top (active − K) |w| of the neurons left, at most k in each
    - grow every neuron left to k weights by |∇|

    A neuron is a row of a weight [out, in] or a filter of a convolution, [out, in·k·k]. At least
    one neuron more than n weights need stays: those with the most salient weights, ties included.
    In the last layer, whose neurons are the network's outputs, all stay. Salience is counted anew
    at each update over all neurons, so one that was ablated returns if enough of its gradients are
    large (as in the authors' code). A weight dropped and regrown in one update keeps its value.

    An ablated neuron has no incoming weight. Its bias stays in training as it is in the authors'
    code, so it outputs a constant, which a compact export folds into the biases of the next layer
    when it removes the neuron.

    Counts are exact for the pattern: k per neuron left. That is fewer than n by less than one per
    neuron left; the record states both sparsities.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self._ended = False

    # ------------------------------------------------------------------ counts

    def target_zeros(self, shapes: Shapes | None = None) -> dict[str, int]:
        """Return the nominal number of zeros of each layer, before the fan-in is rounded down.

        Raises:
            InvalidInput: a layer has fewer weights than neurons, or its inputs are not known.
        """
        zeros = super().target_zeros(shapes)
        shapes = self.shapes if shapes is None else shapes
        for name, count in zeros.items():
            if count:
                self._check_fits(name, shapes[name], count)
        return zeros

    def _check_fits(self, name: str, shape: Sequence[int], zeros: int) -> None:
        where = f"constant fan-in: layer '{name}' of shape {tuple(shape)}"
        if self.input_dim(name) != 1:
            raise InvalidInput(
                f"{where} is not [out, in, ...], as of Linear and Conv: leave it dense with "
                f"dense_layers={name}, or exclude it"
            )
        active = math.prod(shape) - zeros
        if active < shape[0]:
            raise InvalidInput(
                f"{where} keeps {active:,} weights, fewer than one for each of its {shape[0]:,} "
                f"outputs: leave it dense with dense_layers={name}, or lower the sparsity"
            )

    def allowed_zeros(
        self, name: str, target: int, shapes: Shapes, tolerance: int = 0
    ) -> Collection[int]:
        """Return N − k·n for every number n of neurons that may be left: k = ⌊(N − target) / n⌋.

        They are exact whatever the `tolerance`.
        """
        size, active = math.prod(shapes[name]), math.prod(shapes[name]) - target
        return {size - active // n * n for n in self._neurons_left(name, target, shapes)}

    def _neurons_left(self, name: str, target: int, shapes: Shapes) -> range:
        """Return how many neurons of a layer may be left."""
        size, neurons = math.prod(shapes[name]), shapes[name][0]
        if target == 0 or not self._ablates(name, list(shapes)):
            return range(neurons, neurons + 1)
        return range(min_neurons(size - target, size // neurons), neurons + 1)

    def mask_error(self, name: str, mask: Tensor, target: int) -> str:
        """Return what is wrong with a mask that should have k weights in every neuron left."""
        if target == 0:
            return ""
        found = fan_ins(mask.flatten(1))
        left = found[found > 0]
        if not self._ablates(name, list(self.shapes)) and len(left) < len(found):
            number = len(found) - len(left)
            return f"layer '{name}': {number} neurons have no weight, and none may be ablated here"
        if len(left) == 0:
            return f"layer '{name}': no neuron has a weight"
        fan_in = (mask.numel() - target) // len(left)
        wrong = left[left != fan_in]
        if len(wrong) == 0:
            return ""
        return (
            f"layer '{name}': {len(wrong)} neurons should have {fan_in} weights each, and have "
            f"{int(wrong.min())} to {int(wrong.max())}"
        )

    def _ablates(self, name: str, names: Sequence[str]) -> bool:
        """Return whether neurons of a layer may be ablated; `names` are in network order."""
        return self.options.min_salient > 0 and name != names[-1]

    # ------------------------------------------------------------------ masks

    def start(self) -> None:
        """Draw the first masks at random, with the same fan-in in every neuron of a layer."""
        zeros = self.target_zeros()
        for layer in self.layers:
            fan_in = (layer.size - zeros[layer.name]) // layer.shape[0]
            scores = uniform(layer.shape, self.generator(layer, "initial"))
            self.set_mask(layer, keep_top(scores.flatten(1), fan_in).view(layer.shape))

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks of constant fan-in.

        Raises:
            InvalidInput: the neurons of a layer have different numbers of weights.
        """
        for name, mask in masks.items():
            if error := self.mask_error(name, mask, mask.numel() - count_true(mask)):
                raise InvalidInput(
                    f"masks: {error}: SRigL needs masks with the same number in every neuron of a "
                    "layer that has any; leave masks out, or start rigl from them"
                )
        super().start_from(masks)

    def raise_sparsity(self, step: int) -> None:
        """Prune the smallest |w| of every neuron to the new fan-in, once; ablated ones stay so.

        Raises:
            InvalidInput: a layer would keep less than one weight in a neuron that is left.
        """
        self.keep_pruned()
        zeros = self.target_zeros()
        masks = {}
        for layer in self.layers:
            mask = layer.mask.flatten(1).clone()
            left = fan_ins(mask) > 0
            fan_in = (layer.size - zeros[layer.name]) // max(1, int(left.sum()))
            if fan_in == 0:
                raise InvalidInput(
                    f"extend(sparsity={self.plan.sparsity:g}): layer '{layer.name}' has "
                    f"{int(left.sum()):,} neurons left, more than weights: give a lower sparsity"
                )
            mask[left] = keep_top(layer.values.abs().flatten(1)[left], fan_in, among=mask[left])
            masks[layer.name] = mask.view(layer.shape)
        for layer in self.layers:
            self.set_mask(layer, masks[layer.name], step)

    def update(self, step: int) -> None:
        """Ablate neurons, then drop by |w| and grow by |∇| to one fan-in in every layer."""
        zeros = self.target_zeros()
        for layer in self.layers:
            drop = math.floor(self.fraction(step) * layer.active)
            if zeros[layer.name] == 0 or drop == 0 or not self.can_update(layer):
                continue
            nominal, neurons = layer.size - zeros[layer.name], layer.shape[0]
            needed = 0
            if self._ablates(layer.name, list(self.shapes)):
                needed = max(1, count_zeros(self.options.min_salient, nominal // neurons))
            mask = updated(
                layer.mask.flatten(1),
                self.drop_scores(layer, step).flatten(1),
                self.grow_scores(layer, step).flatten(1),
                drop=drop,
                nominal=nominal,
                needed=needed,
            )
            self.set_mask(layer, mask.view(layer.shape), step)
            ablated = neurons - int((fan_ins(mask) > 0).sum())
            self.report(step, "ablated_neurons", ablated, layer.name)

    # ------------------------------------------------------------------ what the record says

    def finish(self) -> None:
        """Note that the counts are final."""
        self._ended = True

    def notes(self) -> list[str]:
        """Return a note on the weights that the pattern lacks: at the end, or if they are many."""
        if self._lacking() > (0 if self._ended else self._tolerated()):
            return [*super().notes(), self._pattern_note()]
        return super().notes()

    def surprises(self) -> list[str]:
        """Return the notes; that on the pattern only if many weights are lacking."""
        return self.notes() if self._lacking() > self._tolerated() else super().notes()

    def _pattern_note(self) -> str:
        size, lacking = sum(layer.size for layer in self.layers), self._lacking()
        nominal = self.target_total()
        why = "less than one per neuron, so that all have the same number"
        if self._ended:
            return (
                f"constant fan-in: a sparsity of {(nominal + lacking) / size:.6f}, not "
                f"{nominal / size:.4g}: {lacking:,} weights fewer, {why}"
            )
        return (
            f"constant fan-in: a sparsity of about {(nominal + lacking) / size:.3f}, not "
            f"{nominal / size:.4g}: now {lacking:,} weights fewer, {why}; ablated neurons change it"
        )

    def _lacking(self) -> int:
        """Return how many weights fewer than nominally the masks have now."""
        return sum(layer.size - layer.active for layer in self.layers) - self.target_total()

    def _tolerated(self) -> float:
        return MASKS_TOLERANCE * sum(layer.size for layer in self.layers)

    def metrics(self) -> dict[str, float]:
        """Return the pattern's sparsity and the nominal one, and how many neurons are ablated."""
        size = sum(layer.size for layer in self.layers)
        ablated = sum(int((fan_ins(layer.mask.flatten(1)) == 0).sum()) for layer in self.layers)
        return super().metrics() | {
            "pattern_sparsity": sum(layer.size - layer.active for layer in self.layers) / size,
            "nominal_sparsity": self.target_total() / size,
            "ablated_neurons": float(ablated),
        }

    def metric_errors(
        self, metrics: Mapping[str, float], zeros: Mapping[str, int], shapes: Shapes
    ) -> list[str]:
        """Return which of the two sparsities, or the number of neurons, the zeros contradict."""
        size = sum(math.prod(shape) for shape in shapes.values())
        target = self.target_zeros(shapes)
        expected = {
            "pattern_sparsity": sum(zeros.values()) / size,
            "nominal_sparsity": sum(target.values()) / size,
        }
        errors = [
            f"{name} is {metrics[name]:.6g}, its layers say {value:.6g}"
            for name, value in expected.items()
            if name in metrics and not math.isclose(metrics[name], value, rel_tol=1e-9)
        ]
        fewest = most = 0
        for name, shape in shapes.items():
            active, nonzero = math.prod(shape) - target[name], math.prod(shape) - zeros[name]
            possible = self._neurons_left(name, target[name], shapes)
            left = [n for n in possible if active // n * n == nonzero] or [shape[0]]
            fewest, most = fewest + shape[0] - max(left), most + shape[0] - min(left)
        ablated = metrics.get("ablated_neurons", fewest)
        if not fewest <= ablated <= most:
            errors.append(f"ablated_neurons is {ablated:g}, its layers say {fewest} to {most}")
        return errors

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return what any number of neurons left gives, from the first update to the last."""
        if self.options.min_salient == 0:
            yield from unchanging(setup)
            return
        target, shapes = self.target_zeros(setup.shapes), setup.shapes
        first = {
            name: math.prod(shape) - (math.prod(shape) - target[name]) // shape[0] * shape[0]
            for name, shape in shapes.items()
        }
        yield 0, Zeros.exactly(first)
        start, last = self.schedule.start, self.schedule.last
        if start < last:
            yield start, self.final_zeros(shapes)
        if start <= last:
            yield last, setup.final


def min_neurons(active: int, inputs: int) -> int:
    """Return how many neurons of so many inputs `active` weights need at least."""
    return -(-active // inputs)


def fan_ins(mask: Tensor) -> Tensor:
    """Return how many weights each neuron of a mask [neurons, inputs] has."""
    if mask.device.type != "cpu":
        return mask.sum(1)
    return torch.from_numpy(np.count_nonzero(mask.numpy(), axis=1))  # several times faster


def updated(
    active: Tensor, weight: Tensor, gradient: Tensor, *, drop: int, nominal: int, needed: int
) -> Tensor:
    """Return a layer's mask after an update; all tensors are [neurons, inputs].

    Args:
        active: the mask before.
        weight: |w|.
        gradient: |∇|.
        drop: how many active weights are dropped, K.
        nominal: active weights of the layer before the fan-in is rounded down, n.
        needed: salient weights that a neuron needs to stay; 0 if all stay.
    """
    neurons, inputs = active.shape
    keep = count_true(active) - drop
    kept = keep_active(active.flatten(), weight.flatten(), keep).view(active.shape)
    left = torch.ones(neurons, dtype=torch.bool, device=active.device)
    if needed:
        salient = kept | keep_top(gradient.flatten(), drop).view(active.shape)
        counts = fan_ins(salient)
        fewest = min(min_neurons(nominal, inputs), neurons - 1)
        left = counts >= counts.sort(descending=True).values[fewest].clamp(max=needed)
        if not bool(left.all()):
            among = active & left[:, None]
            keep = min(keep, count_true(among))
            kept = keep_active(among.flatten(), weight.flatten(), keep).view(active.shape)
    fan_in = nominal // int(left.sum())
    over = fan_ins(kept) > fan_in
    if bool(over.any()):
        kept[over] = keep_top(weight[over], fan_in, among=kept[over])
    return grown_to(fan_in, kept, gradient, left)


def grown_to(fan_in: int, kept: Tensor, scores: Tensor, left: Tensor) -> Tensor:
    """Return `kept` grown by the highest scores of each neuron to `fan_in` in those that are left.

    Args:
        fan_in: at least what any neuron has.
        kept: the mask before, [neurons, inputs].
        scores: of the same shape.
        left: boolean [neurons].
    """
    room = torch.where(left, fan_in - fan_ins(kept), 0)
    rows = room > 0
    most = int(room.max())
    if most == 0:
        return kept
    # The rows' highest `most` scores, exact on ties, of which each takes as many as it has room.
    empty = scores[rows].masked_fill(kept[rows], -torch.inf)
    candidates = keep_top(empty, most)
    order = empty[candidates].view(-1, most).argsort(dim=1, descending=True, stable=True)
    first = torch.arange(most, device=scores.device) < room[rows][:, None]
    chosen = torch.zeros_like(first).scatter(1, order, first)
    grown = torch.zeros_like(candidates)
    grown[candidates] = chosen.flatten()
    mask = kept.clone()
    mask[rows] |= grown
    return mask
