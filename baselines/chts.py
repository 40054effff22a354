"""CHTs: Cannistraci-Hebb training with the soft rule, growth from the network's topology alone."""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.modules.conv import _ConvNd

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.hyperparameters import LAYERWISE, UPDATE_END, UPDATE_EVERY_EPOCH
from suite.sparsity.cost_bounds import Course, FlopsBounds, TrainingSetup, unchanging
from suite.sparsity.drop_grow import DropGrow
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import keep_top

METHOD = Method(
    "chts",
    "Zhang et al. 2025, arXiv:2501.19107",
    revision=2,
    own_arithmetic=True,
    title="CHTs",
    summary="drops by weight and grows where the connections there are predict one, both at random",
    implementation="Chts",
    family="sparse to sparse",
    hyperparameters=(
        *LAYERWISE,
        replace(
            UPDATE_EVERY_EPOCH,
            source="biomedical-cybernetics/Cannistraci-Hebb-training: update_interval 1, in epochs",
        ),
        Hyperparameter(
            "drop_fraction",
            float,
            0.3,
            "fraction ζ of a layer's active weights replaced at each update",
            low=0.0,
            high=1.0,
            source="biomedical-cybernetics/Cannistraci-Hebb-training: zeta 0.3",
            search=Search(low=0.05, high=0.6),
        ),
        Hyperparameter(
            "drop_rule",
            str,
            "soft",
            "which weights stay: a draw with chances that grow with |w| ('soft'), or those of the "
            "largest |w| ('magnitude', as in CHT)",
            choices=("soft", "magnitude"),
            source="biomedical-cybernetics/Cannistraci-Hebb-training: weight_magnitude_soft",
        ),
        Hyperparameter(
            "drop_exponent",
            float,
            3.0,
            "with drop_rule=soft: a weight's chance to stay is |w| to a power that grows from 1 to "
            "this value at T_end",
            low=0.0,
            high=100.0,
            source="biomedical-cybernetics/Cannistraci-Hebb-training: T = 1 + 2·t / T_end",
            search=Search(low=1.0, high=9.0, when=("drop_rule", "soft")),
        ),
        replace(
            UPDATE_END,
            default=1.0,
            source="biomedical-cybernetics/Cannistraci-Hebb-training: to the end of training",
            search=Search(low=0.5, high=1.0),
        ),
    ),
    equation=(
        r"D = A A^\top, \quad E_{ij} = \frac{[D_{ij} \neq 0]}{\max(1, d_j - D_{ij})}, \quad "
        r"S = E_D A + (E_T A^\top)^\top, \quad P(\text{grow } ij) \propto S_{ij}"
    ),
    cost="3 f_S per step; at an update, 4·(out²·in + out·in²) operations a layer (of its own)",
    differences=(
        Difference(
            "distribution",
            "erk",
            "uniform",
            "all methods are compared under the same distribution by default",
        ),
        Difference(
            "initial connections",
            "uniformly random",
            "a bipartite small world, a receptive field, or correlated inputs (CSTI)",
            "all dynamic methods start from the same masks",
        ),
        Difference(
            "chain removal",
            "none",
            "weights of neurons that lost all incoming or outgoing weights are dropped too",
            "it needs the order in which layers read each other, which not every network has",
        ),
        Difference(
            "drop_fraction over training",
            "constant",
            "constant for MLPs; RigL's cosine for Transformers (adaptive_zeta)",
            "one default for all tasks",
        ),
        Difference(
            "fewer places with a positive score than weights to grow",
            "all of them grow, the others are drawn uniformly from the rest",
            "0.00001 is added to the score of every empty place, then all are drawn",
            "the outcome then depends on no constant",
        ),
        Difference(
            "growth score",
            "CH3-L3n",
            "CH3-L3n for MLPs, CH2-L3n for Transformers",
            "one default for all tasks",
        ),
        Difference(
            "layers of attention",
            "whole matrices",
            "head by head in the code for language models",
            "a layer is whatever its weight says, for every method",
        ),
    ),
)

BLOCK = 2**22
"""Elements of a block of D, so that no matrix is [outputs, outputs] (16 MiB)."""
SMALLEST = 1e-12
"""An exponential draw can be rounded to 0, whose reciprocal times a score of 0 is not a number."""


class Chts(DropGrow):
    """After each epoch but the last, replace a fraction ζ of each layer's weights by topology.

    With T(t) = 1 + (T_1 − 1)·t / T_end, ⌊ζ·n⌋ of the n active weights are dropped: those that stay
    are drawn one after the other, without replacement, with chances ∝ |w|^T. With A the mask after
    the drop, [out, in], and the numbers of weights deg = Σ A of its rows,

    - D = A·Aᵀ
    - E_D = [D ≠ 0] / max(1, deg_j − D_ij)
    - score = E_D·A + (E_T·Aᵀ)ᵀ, E_T likewise from Aᵀ·A

    so that a place (i, v) scores by the paths of three weights that connect its ends, each counted
    less the more other neurons its inner neuron reaches (CH3-L3n). As many weights grow as were
    dropped, drawn in the same way among the empty places, just-dropped ones included, with chances
    ∝ score. If fewer places have a positive score, all of these grow, and the others are drawn
    uniformly. A convolution counts as [out, in·k·k], a transposed one as [in, out·k·k]; of a
    grouped one each group counts by itself. Grown weights start at 0; a weight that is dropped and
    drawn again in one update keeps its value.

    Draws without replacement are the order of exponential keys: the first to happen of
    independent Exp(score) (Efraimidis & Spirakis 2006), which has no limit on the number of places.

    The four dense products take 2·(out²·in + out·in²) multiply-adds for a layer, which are charged
    to training, in single precision, whose whole numbers below 2²⁴ are exact; memory is that of two
    matrices [out, in] and blocks of 16 MiB.
    """

    regrown_keeps_value = True

    def fraction(self, step: int) -> float:
        """Return ζ, constant."""
        return float(self.options.drop_fraction)

    def drop_mask(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return the flat mask of the weights that stay."""
        if self.options.drop_rule == "magnitude":
            return super().drop_mask(layer, step)
        keep = layer.active - math.floor(self.fraction(step) * layer.active)
        end = max(1, self.schedule.end + 1)
        power = 1 + (self.options.drop_exponent - 1) * min(1.0, step / end)
        draws = self._draws(layer, "drop", step).flatten()
        # The logarithm of |w|^T / Exp(1): powers of small weights would be 0 in single precision.
        keys = power * layer.values.flatten().float().abs().log() + draws.log()
        return keep_top(keys, keep, among=layer.mask.flatten(), then=draws)

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return 1 / Exp(1), drawn for every place: times a score, the key of the place."""
        return self._draws(layer, "grow", step)

    def grow_mask(
        self,
        layer: PrunableWeight,
        kept: Tensor,
        scores: Tensor,
        number: int,
        among: Tensor | None = None,
    ) -> Tensor:
        """Return `kept` and `number` places outside it, drawn with chances ∝ CH3-L3n.

        `scores` are those of `grow_scores`.
        """
        draws = scores.flatten()
        groups = kept.unflatten(0, (self._groups_of(layer), -1)).flatten(2)
        self.charge_method(len(groups) * link_flops(*groups[0].shape))
        keys = torch.cat([link_scores(group).flatten() for group in groups]) * draws
        free = ~kept if among is None else among & ~kept
        # Places without a score have equal keys, 0, and are drawn uniformly.
        grown = keep_top(keys, number, among=free.flatten(), then=draws)
        return kept | grown.view(kept.shape)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that as many weights are grown as were dropped."""
        return unchanging(setup)

    def method_cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return the cost of the link scores of every layer that changes, at every update."""
        cost = 0.0
        for name, zeros in setup.final.most.items():  # exact: targets are by layer
            active = setup.sizes[name] - zeros
            if zeros and math.floor(self.fraction(0) * active):
                groups, rows, columns = setup.matrix(name)
                cost += groups * link_flops(rows, columns)
        return FlopsBounds(cost, cost).times(self.schedule.count)

    def _groups_of(self, layer: PrunableWeight) -> int:
        """Return the number of groups of a convolution: their neurons share no inputs."""
        module = self.module_of(layer)
        return module.groups if isinstance(module, _ConvNd) else 1

    def _draws(self, layer: PrunableWeight, purpose: str, step: int) -> Tensor:
        """Return 1 / Exp(1) for every weight of a layer."""
        draws = torch.empty(layer.shape, device=layer.device, dtype=torch.float32)
        draws.exponential_(generator=self.generator(layer, purpose, step))
        return draws.clamp_(min=SMALLEST).reciprocal_()


def link_scores(active: Tensor) -> Tensor:
    """Return CH3-L3n for every place of a mask [out, in], single precision.

    Source: Zhang et al. 2025, arXiv:2501.19107; the node-based approximation of CH3-L3.
    """
    with torch.autocast(active.device.type, enabled=False):  # counts in half precision are wrong
        links = active.to(torch.float32)
        scores = _by_rows(links)
        return scores.add_(_by_rows(links.T.contiguous()).T)


def link_flops(rows: int, columns: int) -> float:
    """Return the FLOPs of `link_scores` for a mask [rows, columns]: of its four products."""
    return 4.0 * (rows**2 * columns + rows * columns**2)


def _by_rows(links: Tensor) -> Tensor:
    """Return E·A for links A [n, m]: E = [D ≠ 0] / max(1, deg_j − D_ij), D = A·Aᵀ, by blocks."""
    degree = links.sum(1)
    scores = torch.empty_like(links)
    step = max(1, BLOCK // len(links))
    for first in range(0, len(links), step):
        shared = links[first : first + step] @ links.T
        external = (degree - shared).clamp_(min=1)
        scores[first : first + step] = shared.clamp_(max=1).div_(external) @ links
    return scores
