"""From a trial's context to a training that is ready to start."""

import functools
from collections.abc import Callable

from suite.core.errors import InvalidInput
from suite.sparsity.flops import FlopsLedger
from suite.sparsity.scoring import Examples
from suite.sparsity.storage.execution import Execution
from suite.training.budget_plan import BudgetPlan
from suite.training.context import TrialContext
from suite.training.cost_setup import SCORING_POOL
from suite.training.curves import Curves
from suite.training.loop import Training
from suite.training.model import DRAWN_AGAIN, check_model, make_model
from suite.training.network import count_parameters, coverage_of
from suite.training.optimization import learning_rate, make_optimizer
from suite.training.parallel import processes_for
from tasks.augmentation import augmentation
from tasks.data import Split, validation_seed
from tasks.loading import load_data
from tasks.loss import training_loss
from tasks.model_factory import to_device


def prepare(
    context: TrialContext, progress: Callable[[int], None] = lambda steps: None
) -> Training:
    """Return everything a trial trains with: data, model, optimizer, attached method.

    Raises:
        InvalidInput: something given cannot be used. It is not raised once training has started.
    """
    context.require_device()
    trial, recipe, plan = context.trial, context.recipe, context.plan
    processes = processes_for(trial.processes, recipe.batch_size)
    budget = BudgetPlan.of(context)
    sparsifier = budget.make_sparsifier() if budget else context.make_sparsifier()
    if trial.evaluate == "validation" and not plan.validates:
        raise InvalidInput(
            "evaluate=validation: validation=0 leaves no validation split; give a fraction above 0"
        )
    if context.dataset.kind != "stream":
        augmentation(recipe, context.dataset.shape)  # raises if it does not fit the inputs
    data = load_data(
        context.dataset,
        recipe.validation,
        context.device,
        recipe.per_image_standardization,
        validation_seed(context.dataset, recipe, trial.seed),
    )
    example = data.train.pool(1, trial.seed)
    width = sparsifier.width(functools.partial(count_parameters, context.task, context.dataset))
    model = to_device(make_model(context, width), context.device, recipe)
    forward = check_model(model, example, context)
    dense_flops = forward.dense
    if width != 1:
        dense_flops = check_model(make_model(context).to(context.device), example, context).dense
    optimizer = make_optimizer(model, recipe)
    curves, ledger = Curves(), FlopsLedger(forward, recipe.batch_size)
    sparsifier.attach(
        model,
        optimizer,
        examples=_scoring_examples(context, data.train),
        recorder=curves.add,
        flops=ledger,
        storage=Execution(trial.execution, _only_masked(context)),
        coverage=coverage_of(context.task),
        redraw=lambda: make_model(context, purpose=DRAWN_AGAIN).state_dict(),
    )
    if recipe.compile:
        model.compile()
    training = Training(
        context=context,
        model=model,
        network=processes.wrap(model) if processes else model,
        optimizer=optimizer,
        sparsifier=sparsifier,
        data=data,
        rate=learning_rate(recipe, plan.steps),
        ledger=ledger,
        curves=curves,
        dense_flops=dense_flops,
        progress=progress,
        processes=processes,
        budget=budget,
    )
    training.forecast(0)
    return training


def _scoring_examples(context: TrialContext, train: Split) -> Examples:
    seed = context.trial.seed
    pool = train.pool(SCORING_POOL, seed) if train.streamed else train
    loss = training_loss(context.dataset, context.recipe)
    return Examples(pool.x, pool.y, loss, seed, real_targets=context.dataset.regression)


def _only_masked(context: TrialContext) -> str:
    """Return why a trial's settings require masked storage; empty if they do not."""
    if context.recipe.compile:
        return "torch.compile cannot compile the sparse operators"
    if context.trial.processes > 1:
        return f"{context.trial.processes} processes cannot average the gradients of CSR values"
    if context.trial.precision != "float32":
        return f"it has no operators for precision {context.trial.precision}"
    return ""
