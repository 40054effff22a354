"""SR-STE: N:M sparse training from scratch with a sparse-refined straight-through estimator."""

from dataclasses import replace

import torch
from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.hyperparameters import DENSE_LAYERS, PATTERN, UNIFORM_DENSE
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros
from suite.sparsity.dense_weights import DenseWeights, Shown
from suite.sparsity.storage.masked import MaskedWeight

METHOD = Method(
    "sr_ste",
    "Zhou et al. 2021, arXiv:2102.04010",
    title="SR-STE",
    summary="uses the N largest of every M weights and trains all of them straight through",
    implementation="SRSTE",
    family="dense to sparse",
    hyperparameters=(
        replace(
            PATTERN,
            default="2:4",
            choices=("1:2", "1:4", "2:4", "4:8"),
            meaning="N:M structure: of every M consecutive inputs of an output N are used (layers "
            "named by uniform_dense and dense_layers stay dense). It must be the sparsity",
            source="Zhou et al. 2021",
            search=Search(choices=("2:4",)),
        ),
        UNIFORM_DENSE,
        DENSE_LAYERS,
        Hyperparameter(
            "decay",
            float,
            2e-4,
            "λ_W, how strongly weights that are not used decay",
            low=0.0,
            source="aojunzz/NM-sparsity, devkit/sparse_ops/sparse_ops.py",
            search=Search(low=1e-5, high=1e-2, log=True),
        ),
    ),
    equation=(
        r"w \leftarrow w - \gamma\left(\nabla L(m \odot w) + \lambda_W (1 - m) \odot w\right), "
        r"\quad m = \operatorname{Top}_N \text{ of every } M"
    ),
    cost="2 f_S + f_D per step",
    differences=(
        Difference(
            "dense layers",
            "the first layer stays dense, the output layer is N:M",
            "ResNet on ImageNet: the first convolution is N:M, the output layer dense",
            "as N:M is used elsewhere here; a first layer of 3 channels has no groups of 4",
        ),
        Difference(
            "gradient clipping",
            "the decay is added after clipping",
            "not used; in autograd the decay would be part of the gradient that is clipped",
            "a custom loop clips before the method can add to a gradient",
        ),
        Difference(
            "ties",
            "the weight of the lower index is used",
            "as torch.argsort happens to order them",
            "the same masks on every machine",
        ),
    ),
)


class SRSTE(DenseWeights):
    """w̃ = m ⊙ w, m the N largest |w| of every M; w ← w − γ (g(w̃) + λ_W (1 − m) ⊙ w).

    g is the gradient at w̃, of every weight: the mask is passed straight through. The optimizer's
    momentum and weight decay act on all of w as well.
    """

    def begin(self) -> None:
        """Train every weight."""
        for weight in self.weights:
            weight.train_beyond(torch.ones_like(weight.mask))

    def regularize(self, weight: MaskedWeight, gradient: Tensor, dense: Tensor) -> None:
        """Add λ_W (1 − m) ⊙ w; the parameter holds m ⊙ w."""
        gradient.add_(dense - weight.parameter, alpha=self.options.decay)

    def shown(self, weight: MaskedWeight, dense: Tensor) -> Shown:
        """Return the N largest |w| of every M."""
        assert self.pattern is not None
        mask = largest(dense.abs(), self.pattern.n, self.pattern.m)
        active = weight.size // self.pattern.m * self.pattern.n
        return Shown(mask, dense * mask.view(torch.uint8).to(dense.dtype), active)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that the pattern holds at every step, and all weights have gradients."""
        yield 0, replace(setup.final, untrained=Zeros.none(setup.shapes))


def largest(scores: Tensor, n: int, m: int) -> Tensor:
    """Return the mask of the `n` highest of every `m` consecutive scores along dimension 1.

    Ties go to the lower index. A score's rank is the number of those above it, from comparisons of
    all pairs: no sort, and on a GPU nothing that waits for it.
    """
    groups = scores.unflatten(1, (-1, m))
    columns = groups.unbind(2)
    ranks = [torch.zeros_like(columns[0], dtype=torch.uint8) for _ in columns]
    for second, later in enumerate(columns):
        for first, earlier in enumerate(columns[:second]):
            above = (later > earlier).view(torch.uint8)
            ranks[first] += above
            ranks[second] += above.bitwise_xor(1)
    mask = torch.empty(groups.shape, dtype=torch.bool, device=scores.device)
    for column, rank in enumerate(ranks):
        mask.select(2, column).copy_(rank < n)
    return mask.view(scores.shape)
