"""How many optimizer steps a trial takes: what trains, checks or times it asks here.

Importing this needs no torch, because what plans a study asks too.
"""

from suite.experiments.trial_config import Trial
from tasks.recipe import Recipe
from tasks.task import Dataset


def planned_steps(trial: Trial) -> int:
    """Return the optimizer steps of one round of a trial; 0 if there is no whole batch.

    Methods of several rounds take more in all (`Sparsifier.total_steps`).
    """
    recipe = trial.task_declaration.resolve_recipe(trial.recipe)
    return steps_of_epochs(recipe, trial.dataset_declaration)


def steps_of_epochs(recipe: Recipe, dataset: Dataset) -> int:
    """Return the steps that a recipe's epochs have on a dataset, whatever the method.

    For trials whose method is not known; `planned_steps` answers for all others.
    """
    return recipe.steps(dataset.training_examples(recipe.validation))
