"""The dense network, the reference for every sparsity: nothing is pruned."""

from suite.core.declarations import Method
from suite.sparsity.cost_bounds import Course, TrainingSetup, unchanging
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method(
    "dense",
    "the task's own recipe",
    title="Dense",
    summary="trains every weight; the reference for every sparsity",
    implementation="Dense",
    family="reference",
    dense=True,
    control=True,
    cost="3 f_D per step",
)


class Dense(Sparsifier):
    """Prunes nothing; all defaults of the base class."""

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that every layer is dense."""
        return unchanging(setup)
