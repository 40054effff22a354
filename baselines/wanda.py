"""Wanda: pruning a trained network by weight and activation, without any training after it."""

import torch
from torch import Tensor

from suite.core.declarations import Difference, Method
from suite.core.hyperparameters import CALIBRATION, LAYERWISE, PATTERN, with_defaults
from suite.sparsity.calibration import CalibratedPruning
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import keep_top
from suite.sparsity.weight_rows import from_rows, to_rows

LAYER_BY_LAYER = (
    Difference(
        "inputs of a layer",
        "those that all layers before it give, pruned",
        "within a transformer block those of its dense layers; of pruned layers between blocks",
        "a rule for any network, which need not consist of blocks",
    ),
    Difference(
        "dense_layers",
        "none: every layer has the sparsity",
        "embeddings and the output layer stay dense",
        "the network as a whole is then as sparse as its record says; dense_layers=head leaves "
        "the output layer dense",
    ),
)
"""Differences of pruning layer by layer, SparseGPT's too."""

METHOD = Method(
    "wanda",
    "Sun et al. 2023, arXiv:2306.11695",
    title="Wanda",
    summary="prunes the trained network once, by |w| times the norm of its input, in every row",
    implementation="Wanda",
    family="after training",
    hyperparameters=(
        *with_defaults(LAYERWISE, distribution="uniform", uniform_dense="none"),
        PATTERN,
        *CALIBRATION,
    ),
    equation=(
        r"S_{ij} = {|W_{ij}|} \cdot \lVert X_j \rVert_2, "
        r"\quad m_i = \operatorname{Top}(S_i) \text{ in every row}"
    ),
    cost="3 f_D per step, and once f_S for the calibration examples",
    differences=(
        *LAYER_BY_LAYER,
        Difference(
            "zeros of a row",
            "rows differ by one at most, so that the layer has floor(s · N)",
            "floor(s · inputs) in every row",
            "exact counts, as of every method here",
        ),
    ),
)


class Wanda(CalibratedPruning):
    """After training, in every row of every layer, drop the weights of the lowest S_ij.

    S_ij = |W_ij| · ‖X_j‖₂ (eq. 1), where X_j is input j at every position of the calibration
    examples: of every token, or at every place of a convolution for each place of its kernel. The
    comparison group is a row, the weights of one output. Kept weights are not changed. Under an N:M
    pattern the comparison group is M consecutive inputs of a row.

    A layer of R rows has Z = floor(s · N) zeros: floor(Z / R) in each row, and one more in the
    Z mod R rows whose next weight has the lowest S_ij. Ties are broken by index, so an input that
    is always 0 loses its weights first. Squares are summed in float64.
    """

    def statistic(self, inputs: Tensor) -> Tensor:
        """Return Σ x_j² of every feature: [groups, features]."""
        return inputs.to(torch.float64).square().sum(1)

    def prune(self, layer: PrunableWeight, statistic: Tensor, zeros: int) -> None:
        """Prune the lowest |W_ij|·‖X_j‖₂ of every row."""
        rows = to_rows(layer.values, len(statistic)).abs()
        norms = statistic.sqrt().to(torch.promote_types(rows.dtype, torch.float32))
        scores = rows * norms.unsqueeze(1)
        if self.pattern is not None:
            mask = self.pattern.keep(from_rows(scores, layer.shape))
        else:
            mask = from_rows(prune_rows(scores.flatten(0, 1), zeros), layer.shape)
        self.set_mask(layer, mask, self.plan.steps)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that the network is dense until training is over."""
        return iter([(0, Zeros.none(setup.shapes))])


def prune_rows(scores: Tensor, zeros: int) -> Tensor:
    """Return a mask [rows, n] with exactly `zeros` False, the lowest scores of every row.

    Where the rows cannot have equally many, those whose next score is the lowest have one more.
    """
    rows, count = scores.shape
    each, more = divmod(zeros, rows)
    mask = keep_top(scores, count - each)
    if more == 0:
        return mask
    fewer = keep_top(scores, count - each - 1)
    following = scores.masked_fill(~mask | fewer, 0).sum(1)  # one is left in every row
    return torch.where(keep_top(following, rows - more).unsqueeze(1), mask, fewer)
