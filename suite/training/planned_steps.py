"""How many optimizer steps a trial takes: what trains, checks or times it asks here.

Importing this needs no torch, because what plans a study asks too.
"""

from suite.experiments.trial_config import Trial
from tasks.recipe import Recipe
from tasks.task import Dataset


def planned_steps(trial: Trial) -> int:
    """Return the optimizer steps of one round of a trial; 0 if there is no whole batch.

    Methods of several rounds take more in all (`Sparsifier.total_steps`). Under a `flops_budget`
    they are a forecast, which is remembered; where densities follow the data, a training may end
    earlier or later.

    Raises:
        InvalidInput: the budget is too small for the method, or its options fit no training.
    """
    recipe = trial.task_declaration.resolve_recipe(trial.recipe)
    steps = steps_of_epochs(recipe, trial.dataset_declaration)
    if not recipe.flops_budget or not steps:
        return steps
    from suite.training.forecast_cache import remembered_steps

    return remembered_steps(trial, lambda: _forecast(trial, steps))


def known_steps(trial: Trial) -> int | None:
    """Return `planned_steps` as far as it is known without a method's code; None if it is not."""
    recipe = trial.task_declaration.resolve_recipe(trial.recipe)
    steps = steps_of_epochs(recipe, trial.dataset_declaration)
    if not recipe.flops_budget:
        return steps
    from suite.training import forecast_cache

    return forecast_cache.known_steps(trial)


def _forecast(trial: Trial, steps: int) -> int:
    from suite.training.budget_forecast import forecast_steps
    from suite.training.trial_plan import plan_of

    return forecast_steps(trial, plan_of(trial, steps))


def steps_of_epochs(recipe: Recipe, dataset: Dataset) -> int:
    """Return the steps that a recipe's epochs have on a dataset, whatever method and budget.

    For dense training, the reference of a `flops_budget`, and trials whose method is not known;
    `planned_steps` answers for all others.
    """
    return recipe.steps(dataset.training_examples(recipe.validation))
