"""What the cost of a trial's training depends on beside its method, of a finished one or not."""

from suite.sparsity.cost_bounds import TrainingSetup, Zeros
from suite.training.network import Network
from tasks.recipe import Recipe
from tasks.task import Dataset

SCORING_POOL = 2048
"""Examples of a streamed dataset that a method may score connections with."""


def cost_setup(network: Network, dataset: Dataset, recipe: Recipe, final: Zeros) -> TrainingSetup:
    """Return what training costs depend on beside the method; loads no data.

    Args:
        network: as wide as the method trains it.
        dataset: that it is trained on.
        recipe: of the trial.
        final: zeros at the end: a record's, or the method's targets (`Sparsifier.final_zeros`).
    """
    examples = dataset.training_examples(recipe.validation)
    return TrainingSetup(
        shapes=network.shapes,
        flops=network.forward,
        batch_size=recipe.batch_size,
        pool=min(examples, SCORING_POOL) if dataset.kind == "stream" else examples,
        classes=dataset.classes,
        regression=dataset.regression,
        final=final,
        groups=network.groups,
    )
