"""SparseGPT: pruning a trained network by second-order errors, which other weights make up for."""

import torch
from torch import Tensor

from baselines.wanda import LAYER_BY_LAYER
from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.errors import TrialFailed
from suite.core.hyperparameters import CALIBRATION, LAYERWISE, PATTERN, with_defaults
from suite.sparsity.calibration import CalibratedPruning
from suite.sparsity.cost_bounds import Course, FlopsBounds, TrainingSetup, Zeros
from suite.sparsity.flops import Counts
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import keep_top
from suite.sparsity.weight_rows import from_rows, to_rows

METHOD = Method(
    "sparsegpt",
    "Frantar & Alistarh 2023, arXiv:2301.00774",
    own_arithmetic=True,
    title="SparseGPT",
    summary="prunes the trained network once, and moves the errors to the weights that stay",
    implementation="SparseGpt",
    family="after training",
    hyperparameters=(
        *with_defaults(LAYERWISE, distribution="uniform", uniform_dense="none"),
        PATTERN,
        *CALIBRATION,
        Hyperparameter(
            "block_size",
            int,
            128,
            "B_s, columns whose masks are chosen together; under a pattern M are",
            low=1,
            unit="columns",
            source="Frantar & Alistarh 2023, §3.3",
            search=Search(choices=(128,)),
        ),
        Hyperparameter(
            "dampening",
            float,
            0.01,
            "λ, added to the diagonal of XXᵀ, as a fraction of its mean",
            low=1e-4,
            source="IST-DASLab/sparsegpt, percdamp",
            search=Search(low=1e-3, high=0.1, log=True),
        ),
    ),
    equation=(
        r"H^{-1} = (X X^\top + \lambda I)^{-1} = U^\top U, \quad "
        r"\text{drop the least } \frac{w_{ij}^2}{U_{jj}^2}, \quad "
        r"w_{ik} \leftarrow w_{ik} - \frac{w_{ij}}{U_{jj}} U_{jk} \text{ for } k > j"
    ),
    cost="3 f_D per step, and once f_S for the calibration examples; of its own, XXᵀ, 2·d² "
    "operations per position and layer of d inputs, the factor of its inverse, 4/3·d³, and the "
    "update of other weights, out·d·(d − 1)",
    differences=(
        *LAYER_BY_LAYER,
        Difference(
            "zeros of a block",
            "the first c of d columns hold floor(Z · c / d) of a layer's Z zeros, lowest first",
            "every weight of a block up to the floor(s · size)-th lowest score",
            "exact counts, as of every method here; ties are broken by index",
        ),
        Difference(
            "inputs that are always 0",
            "their weights are pruned first, up to the layer's number of zeros",
            "their weights are all set to 0, beyond the sparsity",
            "exact counts, as of every method here",
        ),
        Difference(
            "arithmetic",
            "XXᵀ is summed, inverted and used in float64; one λ for the inputs that are not dead",
            "float32, and dead inputs count as 1 in the mean that λ is a fraction of",
            "the masks then hardly depend on the processor",
        ),
    ),
)


class SparseGpt(CalibratedPruning):
    """After training, in every layer, drop the weights whose removal costs least; adjust the rest.

    H = XXᵀ + λI over the calibration examples, and U the upper Cholesky factor of H⁻¹ = UᵀU, so
    that U_jj² is [H⁻¹]_jj once the columns before j are fixed (algorithm 1). Columns are processed
    in blocks. In a block the weights of the lowest w_ij² / U_jj² are dropped, over all rows; under
    an N:M pattern M − N of every M, chosen when the first of them is reached. Then column by column
    the error of what is dropped, e_i = w_ij / U_jj, is taken out of the columns to the right:
    w_ik ← w_ik − e_i · U_jk for k > j.

    Inputs that are always 0 have no error: their weights are dropped first. The columns of a
    convolution are the input channels at each place of its kernel in turn; the groups of a grouped
    one have a matrix H each, and are ranked together. X is multiplied in the weights' precision,
    float32 at least; everything else is in float64.
    """

    adjusts_weights_at_end = True

    def statistic(self, inputs: Tensor) -> Tensor:
        """Return XXᵀ: [groups, features, features]."""
        groups, positions, features = inputs.shape
        self.charge_method(groups * gram_flops(positions, features))
        x = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        return (x.mT @ x).to(torch.float64)

    def prune(self, layer: PrunableWeight, statistic: Tensor, zeros: int) -> None:
        """Prune a layer and give the weights that stay the values that make up for it."""
        rows = to_rows(layer.values, len(statistic)).to(torch.float64, copy=True)
        dead = statistic.diagonal(dim1=-2, dim2=-1) == 0
        factor, failed = inverse_factor(statistic, self.options.dampening)
        if failed:
            raise TrialFailed(
                f"layer '{layer.name}': XXᵀ of its inputs cannot be inverted: raise dampening"
            )
        group = None if self.pattern is None else (self.pattern.n, self.pattern.m)
        mask = prune_columns(rows, factor, dead, zeros, self.options.block_size, group)
        groups, outputs, features = rows.shape
        self.charge_method(groups * update_flops(outputs, features))
        self.set_mask(layer, from_rows(mask, layer.shape), self.plan.steps)
        layer.replace_values(from_rows(rows, layer.shape).to(layer.values.dtype))

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that the network is dense until training is over."""
        return iter([(0, Zeros.none(setup.shapes))])

    def method_cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return the cost of XXᵀ, of its factor and of the updates, in every layer with zeros."""
        final = setup.final
        return FlopsBounds(self._own_flops(setup, final.least), self._own_flops(setup, final.most))

    def _own_flops(self, setup: TrainingSetup, zeros: Counts) -> float:
        """Return the cost of pruning the layers that have any of these zeros."""
        examples, total = min(self.options.calibration_examples, setup.pool), 0.0
        for name in (name for name, count in zeros.items() if count):
            groups, outputs, features = setup.matrix(name)
            positions = examples * setup.positions(name)
            one = gram_flops(positions, features) + update_flops(outputs, features)
            total += groups * one
        return total


def gram_flops(positions: float, features: int) -> float:
    """Return the FLOPs of XXᵀ for inputs [positions, features]."""
    return 2.0 * positions * features**2


def update_flops(outputs: int, features: int) -> float:
    """Return the FLOPs of pruning a matrix [outputs, features] once XXᵀ is known.

    A third of d³ for the Cholesky factor of d features and d³ for its inverse; then each column's
    error is taken out of the columns to its right, in blocks or not.
    """
    return 4 / 3 * features**3 + outputs * features * (features - 1)


def inverse_factor(gram: Tensor, dampening: float) -> tuple[Tensor, bool]:
    """Return U, upper triangular with UᵀU = (XXᵀ + λI)⁻¹, and whether that failed.

    λ is `dampening` times the mean of the diagonal of `gram` [groups, d, d]. An input that is
    always 0 has no part in it: its row of U is that of the identity.
    """
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    damped = torch.where(diagonal == 0, 1, diagonal + dampening * diagonal.mean(-1, keepdim=True))
    hessian = gram.diagonal_scatter(damped, dim1=-2, dim2=-1)
    # H = RRᵀ with R upper triangular, from the Cholesky factor of H in reverse order: then U = R⁻¹,
    # without the loss of digits of inverting H first.
    lower, errors = torch.linalg.cholesky_ex(hessian.flip(-2, -1))
    identity = torch.eye(len(hessian[0]), dtype=gram.dtype, device=gram.device)
    factor = torch.linalg.solve_triangular(lower.flip(-2, -1), identity, upper=True)
    return factor, bool(errors.any()) or not bool(factor.isfinite().all())


def prune_columns(
    weights: Tensor,
    factor: Tensor,
    dead: Tensor,
    zeros: int,
    block_size: int,
    pattern: tuple[int, int] | None = None,
) -> Tensor:
    """Prune `weights` in place, and return their mask of exactly `zeros` False.

    Args:
        weights: [groups, rows, d]; 0 outside the mask afterwards, and adjusted within it.
        factor: U [groups, d, d], upper triangular.
        dead: boolean [groups, d], the inputs that are always 0.
        zeros: to be made in all; what the pattern says, where there is one.
        block_size: columns whose masks are chosen together.
        pattern: N and M, where N of every M columns are kept.
    """
    width = weights.shape[-1]
    diagonal = factor.diagonal(dim1=-2, dim2=-1).masked_fill(dead, torch.inf)
    mask = torch.ones_like(weights, dtype=torch.bool)
    step = block_size if pattern is None else -(-block_size // pattern[1]) * pattern[1]
    for begin in range(0, width, step):
        end = min(begin + step, width)
        if pattern is None:
            scores = (weights[..., begin:end] / diagonal[:, None, begin:end]).square()
            here = zeros * end // width - zeros * begin // width
            kept = keep_top(scores.flatten(), scores.numel() - here)
            mask[..., begin:end] = kept.view(scores.shape)
        block = weights[..., begin:end].mT.contiguous()  # [groups, columns, rows]
        errors = torch.empty_like(block)
        for j, column in enumerate(range(begin, end)):
            if pattern is not None and column % pattern[1] == 0:
                part = slice(column, column + pattern[1])
                scores = block[:, j : j + pattern[1]].mT / diagonal[:, None, part]
                mask[..., part] = keep_top(scores.square(), pattern[0])
            dropped = block[:, j] * ~mask[..., column]
            errors[:, j] = dropped / factor[:, column, column, None]
            block[:, j] -= dropped
            later = factor[:, column, column + 1 : end, None]
            block[:, j + 1 :].baddbmm_(later, errors[:, j, None], alpha=-1)
        weights[..., begin:end] = block.mT
        weights[..., end:] -= errors.mT @ factor[:, begin:end, end:]
    return mask
