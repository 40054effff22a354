"""The training loop against a bare loop written by hand, for the same training."""

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.sparsity.flops import FlopsLedger, measure_forward
from suite.sparsity.plan import Plan
from suite.training.context import TrialContext
from suite.training.curves import Curves
from suite.training.loop import Training, train
from suite.training.model import make_model
from suite.training.optimization import learning_rate, make_optimizer
from tasks.data import Data, Split
from tasks.loading import load_data
from tasks.recipe import Recipe
from tests.bench.measure import ratios, report

TRIAL = Trial.make(task="fashion_mnist/lenet_300_100", method="dense")
STEPS, BATCH, BLOCKS = 100, 128, 15


def run() -> bool:
    """Print the ratio for dense LeNet-300-100, batch 128; return whether its bar is met."""
    torch.set_num_threads(1)
    data = _data()
    values = ratios(_suite(data), _bare(data), BLOCKS)
    return report("training loop / bare loop, dense LeNet-300-100, batch 128", values, 1.15)


def _data() -> Data:
    """Return the first batches of Fashion-MNIST, or noise of its shape where it is missing."""
    try:
        whole = load_data(TRIAL.dataset_declaration, 0.0, torch.device("cpu")).train
    except InvalidInput:
        whole = Split(torch.randn(STEPS * BATCH, 1, 28, 28), torch.randint(10, (STEPS * BATCH,)))
    part = Split(whole.x[: STEPS * BATCH].clone(), whole.y[: STEPS * BATCH].clone())
    empty = Split(part.x[:0], part.y[:0])
    return Data(part, empty, empty, "")


def _suite(data: Data):
    recipe = Recipe(epochs=1, batch_size=BATCH)
    plan = Plan(STEPS, 0.0, 0, STEPS)
    context = replace(TrialContext.of(TRIAL), recipe=recipe, plan=plan)
    model = make_model(TrialContext.of(TRIAL))
    optimizer = make_optimizer(model, recipe)
    method = registry.methods()["dense"]
    from baselines.dense import Dense

    sparsifier = Dense(plan, method.resolve({}))
    sparsifier.attach(model, optimizer)
    ledger = FlopsLedger(measure_forward(model, data.train.x[:1]), BATCH)
    training = Training(
        context=context,
        model=model,
        network=model,
        optimizer=optimizer,
        sparsifier=sparsifier,
        data=data,
        rate=learning_rate(recipe, STEPS),
        ledger=ledger,
        curves=Curves(),
        dense_flops=ledger.flops.dense,
    )
    return lambda: train(training, 0)


def _bare(data: Data):
    model: nn.Module = make_model(TrialContext.of(TRIAL))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1_000_000)

    def epoch() -> None:
        model.train()
        order = torch.randperm(len(data.train))
        for chosen in order.split(BATCH):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(data.train.x[chosen]), data.train.y[chosen])
            loss.backward()
            optimizer.step()
            scheduler.step()

    return epoch
