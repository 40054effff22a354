"""SET: sparse evolutionary training."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.hyperparameters import LAYERWISE, LEAST_DROP_FRACTION, UPDATE_EVERY_EPOCH
from suite.sparsity.cost_bounds import Course, TrainingSetup, unchanging
from suite.sparsity.drop_grow import DropGrow
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import count_true, keep_active, uniform

DROP_RULE = Hyperparameter(
    "drop_rule",
    str,
    "sign",
    "which weights are dropped: the fraction ζ of the smallest positive and of the largest "
    "negative weights ('sign', the paper), or of the smallest |w| ('magnitude', common in "
    "code)",
    choices=("sign", "magnitude"),
    source="Mocanu et al. 2018, algorithm 1",
)

DROP_DECAY = Hyperparameter(
    "drop_decay",
    str,
    "none",
    "whether ζ stays as it is, or falls along RigL's cosine to least_drop_fraction",
    choices=("none", "cosine"),
    source="Mocanu et al. 2018, algorithm 1: constant",
    search=Search(choices=("none",)),
)

METHOD = Method(
    "set",
    "Mocanu et al. 2018, arXiv:1707.04780",
    revision=2,
    title="SET",
    summary="drops the weakest weights and regrows as many at random positions",
    implementation="Set",
    family="sparse to sparse",
    hyperparameters=(
        *LAYERWISE,
        replace(UPDATE_EVERY_EPOCH, source="Mocanu et al. 2018, algorithm 1: after each epoch"),
        Hyperparameter(
            "drop_fraction",
            float,
            0.3,
            "fraction ζ of a layer's active weights replaced at each update",
            low=0.0,
            high=1.0,
            source="Mocanu et al. 2018, algorithm 1",
            search=Search(low=0.05, high=0.6),
        ),
        DROP_RULE,
        DROP_DECAY,
        LEAST_DROP_FRACTION,
        Hyperparameter(
            "update_end",
            float,
            1.0,
            "when connectivity becomes fixed",
            low=0.0,
            high=1.0,
            unit="fraction of training",
            source="Mocanu et al. 2018, algorithm 1: every epoch but the last",
            search=Search(low=0.5, high=1.0),
        ),
    ),
    equation=(
        r"m \leftarrow (m \smallsetminus \operatorname{Bottom}_k({|w|})) "
        r"\cup \operatorname{Random}_k, "
        r"\quad k = \lfloor \zeta\,n \rfloor \text{ of each sign}"
    ),
    cost="3 f_S per step",
    differences=(
        Difference(
            "distribution",
            "erk, to a given sparsity",
            "er with ε = 20, from which the sparsity follows",
            "methods are compared at one sparsity, from the same distribution",
        ),
        Difference(
            "dense_layers",
            "none",
            "the output layer (Keras); none (sparse data structures)",
            "every layer counts towards the sparsity of every method",
        ),
        Difference(
            "number of initial weights",
            "exact",
            "as drawn at random",
            "exact counts",
        ),
        Difference(
            "value of a weight that is dropped and regrown at once",
            "0",
            "a new random value (sparse data structures) or 0 (Keras); kept in RigL's study of SET",
            "grown weights start at 0",
        ),
        Difference(
            "optimizer state of the weights that stay",
            "kept",
            "cleared at every update (Keras: a new optimizer each epoch)",
            "an effect of compiling the model again, not part of the method",
        ),
    ),
)


class Set(DropGrow):
    """At each update, drop a fraction ζ of every layer's weights and regrow as many at random.

    SET updates after each epoch but the last, with a constant ζ and ``drop_rule=sign``. Growth is
    uniform over all inactive weights, including those just dropped. Grown weights start at 0, even
    if they were dropped in the same update (the authors' code with sparse data structures draws a
    new value; RigL's study of SET keeps the old one).
    """

    regrown_keeps_value = False

    def fraction(self, step: int) -> float:
        """Return ζ, constant unless ``drop_decay=cosine``."""
        if self.options.drop_decay == "cosine":
            return super().fraction(step)
        return float(self.options.drop_fraction)

    def drop_mask(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return the flat mask without the fraction ζ of weights that the drop rule selects."""
        if self.options.drop_rule == "magnitude":
            return super().drop_mask(layer, step)
        mask, values = layer.mask.flatten(), layer.values.flatten()
        # A weight of exactly 0 (just grown, not yet trained) counts as positive.
        kept = torch.zeros_like(mask)
        for side in (mask & (values >= 0), mask & (values < 0)):
            count = count_true(side)
            drop = math.floor(self.fraction(step) * count)
            kept |= keep_active(side, values.abs(), count - drop)
        return kept

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return random scores: growth is uniform over the inactive weights."""
        # `random_empty` would draw fewer numbers, but other places than in published results.
        return uniform(layer.shape, self.generator(layer, "grow", step))

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that as many weights are grown as were dropped."""
        return unchanging(setup)
