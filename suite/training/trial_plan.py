"""The plan of a trial's training, once its number of steps is known."""

from suite.experiments.trial_config import Trial
from suite.sparsity.plan import Plan
from tasks.data import training_examples


def plan_of(trial: Trial, steps: int) -> Plan:
    """Return what a trial's method may know of a training of so many steps a round.

    Raises:
        InvalidInput: the trial holds out so many examples that none are left.
    """
    recipe = trial.task_declaration.resolve_recipe(trial.recipe)
    dataset = trial.dataset_declaration
    examples = training_examples(dataset, recipe.validation)
    return Plan(
        steps=steps,
        sparsity=trial.sparsity,
        seed=trial.seed,
        steps_per_epoch=examples // recipe.batch_size,
        validates=examples < dataset.train,
    )
