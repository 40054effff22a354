"""RigL: dynamic sparse training with growth by gradient."""

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.hyperparameters import (
    CANDIDATE_RATIO,
    DROP_FRACTION,
    LAYERWISE,
    LEAST_DROP_FRACTION,
    PATTERN,
    UPDATE_END,
    UPDATE_EVERY,
)
from suite.sparsity.cost_bounds import Course, TrainingSetup, unchanging
from suite.sparsity.drop_grow import GradientGrowth

REPLACE_STEP = Hyperparameter(
    "replace_step",
    bool,
    False,
    "skip the optimizer step at an update, as the authors' code does",
    source="google-research/rigl, sparse_optimizers.py",
    search=Search(choices=(False,)),
)

METHOD = Method(
    "rigl",
    "Evci et al. 2020, arXiv:1911.11134",
    title="RigL",
    summary="drops the smallest weights and grows where the gradient is largest",
    implementation="RigL",
    family="sparse to sparse",
    hyperparameters=(
        *LAYERWISE,
        PATTERN,
        UPDATE_EVERY,
        DROP_FRACTION,
        UPDATE_END,
        LEAST_DROP_FRACTION,
        CANDIDATE_RATIO,
        REPLACE_STEP,
    ),
    equation=(
        r"m \leftarrow (m \smallsetminus \operatorname{Bottom}_k({|w|})) "
        r"\cup \operatorname{Top}_k({|\nabla L|}), "
        r"\quad k = \lfloor f(t)\,n \rfloor, "
        r"\quad f(t) = \frac{\alpha}{2}\left(1 + \cos\frac{\pi t}{T_\text{end}}\right)"
    ),
    cost="(3 f_S·ΔT + 2 f_S + f_D) / (ΔT + 1) per step",
    differences=(
        Difference(
            "first update",
            "after ΔT steps",
            "before the first step (step 0) as well",
            "at step 0 there is one batch and a random mask to judge by",
        ),
        Difference(
            "replace_step",
            "false",
            "true",
            "an optimizer's step in a loop of the user's own cannot be skipped; with true, masks "
            "equal theirs",
        ),
        Difference(
            "update_end",
            "0.75",
            "25,000 of 32,000 steps (0.78) on ImageNet, 75,000 of 97,656 (0.77) on CIFAR-10",
            "one round fraction, for trainings of any length",
        ),
        Difference(
            "decay of drop_fraction",
            "by a cosine",
            "none, unless --drop_fraction_anneal=cosine is given",
            "their published results are with the cosine",
        ),
        Difference(
            "ties among dropped weights",
            "by index",
            "by noise of 1e-5 that is added to |w|",
            "the same weights on every machine",
        ),
        Difference(
            "dense_layers",
            "none",
            "the first layer, unless --first_layer_sparsity=-1 is given",
            "their published ERK results up to 96.5 % are without a dense layer",
        ),
        Difference(
            "dense_layers_compensate",
            "true",
            "false",
            "the network has the sparsity that was asked for",
        ),
    ),
)


class RigL(GradientGrowth):
    """Every ΔT steps, per layer: drop f(t)·n_active smallest |w|, grow the largest |∇|.

    f(t) = α/2 · (1 + cos(π t / T_end)), or as far down as ``least_drop_fraction``. All inactive
    weights may grow, including those just dropped; a weight dropped and regrown in one update keeps
    its value. (Some implementations exclude the just-dropped weights, which at high drop fractions
    is a different method.) Under an N:M pattern each group grows back to N, by the same scores.
    With ``candidate_ratio`` only random candidates among the places that were empty before the
    update, and the weights just dropped, may grow.
    """

    def replaces_step(self, step: int) -> bool:
        """Return whether the update replaces the optimizer step."""
        return bool(self.options.replace_step) and self.is_update(step)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that as many weights are grown as were dropped."""
        return unchanging(setup)
