"""A trial with its declarations, recipe and plan, resolved once."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from suite.core.declarations import Method, Value
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.sparsity.construct import make_sparsifier
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from suite.training.planned_steps import planned_steps
from suite.training.trial_plan import plan_of
from tasks.data import training_examples, validation_seed
from tasks.loss import check_recipe
from tasks.recipe import Recipe
from tasks.task import Dataset, Task, check_metric


@dataclass(frozen=True)
class TrialContext:
    """A trial with everything that its settings refer to; made once and passed on.

    Attributes:
        trial: the settings.
        task, dataset, method: their declarations.
        options: every hyperparameter of the method, resolved.
        recipe: the task's recipe with the trial's changes.
        plan: what the method may know of the training; under a `flops_budget` a forecast.
        device: the device to train on; `require_device` checks that the machine has it.
    """

    trial: Trial
    task: Task
    dataset: Dataset
    method: Method
    options: Mapping[str, Value]
    recipe: Recipe
    plan: Plan
    device: torch.device

    @classmethod
    def of(cls, trial: Trial) -> "TrialContext":
        """Resolve a trial; loads no data.

        Raises:
            InvalidInput: the training data is smaller than a batch, its targets do not fit the
                task's metric or the recipe, the validation split cannot follow the seed, the trial
                sets more epochs than the task's bound on steps leaves, or its `flops_budget` is
                too small for the method.
        """
        task, dataset = trial.task_declaration, trial.dataset_declaration
        recipe = task.resolve_recipe(trial.recipe)
        check_metric(task, dataset)
        check_recipe(task.name, dataset, recipe)
        validation_seed(dataset, recipe, trial.seed)  # raises where it could not follow the seed
        examples = training_examples(dataset, recipe.validation)
        steps_per_epoch = examples // recipe.batch_size
        if steps_per_epoch == 0:
            raise InvalidInput(
                f"batch_size={recipe.batch_size} leaves no whole batch of {examples} training "
                f"examples: give at most {examples}"
            )
        whole, bound = recipe.epochs * steps_per_epoch, recipe.max_steps
        if "epochs" in trial.recipe and "max_steps" not in trial.recipe and 0 < bound < whole:
            raise InvalidInput(
                f"epochs={recipe.epochs} are {whole:,} steps, of which task {task.name} takes no "
                f"more than its max_steps={bound}: give max_steps=0 as well, or fewer epochs"
            )
        return cls(
            trial=trial,
            task=task,
            dataset=dataset,
            method=trial.method_declaration,
            options=trial.method_declaration.resolve(trial.hyperparameters),
            recipe=recipe,
            plan=plan_of(trial, planned_steps(trial)),
            device=torch.device(trial.device),
        )

    def make_sparsifier(self) -> Sparsifier:
        """Return the method, not yet attached; this checks its options against the plan.

        Raises:
            InvalidInput: options that do not fit the training (a window longer than it, say).
        """
        return make_sparsifier(self.method, self.plan, self.options)

    def require_device(self) -> None:
        """Check that this machine has the device.

        Raises:
            InvalidInput: it has none.
        """
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise InvalidInput("device=cuda: torch sees no GPU here; give --device cpu")
