"""Small models, real data and a plain training loop for tests of the core."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.sparsity.construct import make_sparsifier
from suite.sparsity.plan import Plan
from suite.sparsity.scoring import Examples
from suite.sparsity.sparsifier import Sparsifier
from suite.training.outcome import Outcome
from suite.training.trial import run_trial
from tasks.data import Split
from tasks.loading import load_data

OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda m: torch.optim.SGD(m.parameters(), 0.05, momentum=0.9, weight_decay=1e-3),
    "nesterov": lambda m: torch.optim.SGD(
        m.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=1e-3
    ),
    "adam": lambda m: torch.optim.Adam(m.parameters(), 1e-3, weight_decay=1e-3),
    "adamw": lambda m: torch.optim.AdamW(m.parameters(), 1e-3, weight_decay=1e-2),
}

PLAN = Plan(steps=120, sparsity=0.9, seed=0, steps_per_epoch=30)
SHORT = Plan(steps=48, sparsity=0.9, seed=0, steps_per_epoch=12)
"""For what is tried with many methods: three updates of one that has them every 10 steps."""


def runs_at(method: str, plan: Plan) -> bool:
    """Return whether a method can be planned: one of N:M only at its pattern's sparsity."""
    try:
        make(method, plan)
    except InvalidInput:
        return False
    return True


FAST: dict[str, dict[str, Any]] = {
    **{
        name: {"update_every": 10}
        for name in (
            "rigl",
            "rigl_itop",
            "set_itop",
            "gse",
            "srigl",
            "resonance_coherent",
            "rigl_mean_gradient",
            "top_kast",
        )
    },
    **{
        name: {"update_every": 20}
        for name in (
            "resonance_sampled",
            "resonance_sampled_shuffled",
            "resonance_regrow",
            "resonance_regrow_shuffled",
        )
    },
    "magnitude": {"update_every": 20},
    "granet": {"update_every": 10},
    "synflow": {"iterations": 10},
    "resonance": {"window": 8, "update_every": 5},
    **{
        name: {"window": 8, "update_every": 5}
        for name in ("resonance_pseudocode", "resonance_weighted", "resonance_shuffled")
    },
}
"""Settings under which each method updates often within `PLAN`."""
FASTER = {name: {"update_every": 2} for name, settings in FAST.items() if "window" in settings}
"""What is different within `SHORT`: a threshold must be followed over its periods."""


def often(method: str, plan: Plan) -> dict[str, Any]:
    """Return settings under which a method updates often within a plan."""
    return FAST.get(method, {}) | (FASTER.get(method, {}) if plan.steps <= SHORT.steps else {})


def make(method: str, plan: Plan = PLAN, **options: Any) -> Sparsifier:
    """Return a method's sparsifier with checked options, not attached."""
    declared = registry.methods()[method]
    given = often(method, plan) | options
    return make_sparsifier(declared, plan, declared.resolve(given))


SPARSE_METHODS = [
    m.name
    for m in registry.methods()
    if not m.dense and m.name != "small_dense" and runs_at(m.name, PLAN)
]
ONE_ROUND = [name for name in SPARSE_METHODS if name != "lottery_ticket"]


def attach(
    sparsifier: Sparsifier, model: nn.Module, optimizer: torch.optim.Optimizer, **given: Any
) -> None:
    """Attach a method, with the digits to score connections on."""
    data, dtype = digits(), next(model.parameters()).dtype
    examples = Examples(data.x.to(dtype), data.y, F.cross_entropy, sparsifier.plan.seed)
    sparsifier.attach(model, optimizer, examples=examples, **given)


@dataclass
class Charged:
    """A `CostAccount` that keeps what it is charged."""

    scoring: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    method: float = 0.0

    def charge_scoring(self, forwards: float, densities: Mapping[str, float]) -> None:
        self.scoring.append((forwards, dict(densities)))

    def charge_method(self, flops: float) -> None:
        self.method += flops


@functools.cache
def digits() -> Split:
    """Return scikit-learn's digits, the training split; read once, and only read."""
    data = load_data(registry.datasets()["digits"], 0.0, torch.device("cpu"))
    return data.train


def conv_net() -> nn.Sequential:
    """Return a small network with convolutions, a norm and linear layers, for 8×8 images."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    sparsifier: Sparsifier,
    *,
    after: Callable[[int], None] = lambda step: None,
    start: int = 0,
    stop: int | None = None,
    batch: int = 8,
) -> None:
    """Train on digits as a user's own loop would, with `after` called after every step.

    Training of one round ends with the plan's last step (`Sparsifier.end_training`).
    """
    data = digits()
    for step in range(start + 1, (stop or sparsifier.plan.steps) + 1):
        x, y = batch_of(data, step, batch)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        if not sparsifier.after_backward(step):
            optimizer.step()
        sparsifier.after_step(step)
        if step == sparsifier.plan.steps and sparsifier.rounds == 1:
            sparsifier.end_training()
        after(step)


def batch_of(data: Split, step: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the step's batch: a function of the step alone."""
    generator = torch.Generator().manual_seed(step)
    chosen = torch.randint(len(data), (size,), generator=generator)
    return data.x[chosen], data.y[chosen]


def trial(method: str, **given: Any) -> Trial:
    """Return a short trial on digits."""
    dense = registry.methods()[method].dense
    recipe = {"epochs": 4} | given.pop("recipe", {})
    hyperparameters = FAST.get(method, {}) | given.pop("hyperparameters", {})
    return Trial.make(
        task="digits/mlp",
        method=method,
        sparsity=given.pop("sparsity", 0.0 if dense else 0.9),
        recipe=recipe,
        hyperparameters=hyperparameters,
        **given,
    )


def first_quick(values: Iterable[str]) -> list[Any]:
    """Return parameters of a test of which only the first is in ``make test-fast``."""
    first, *others = values
    return [first, *(pytest.param(value, marks=pytest.mark.slow) for value in others)]


def trained(of: Trial) -> Outcome:
    """Return what training leaves, to be read only: the same trial is trained once a session."""
    return _trained(of.model_dump_json())


@functools.cache
def _trained(text: str) -> Outcome:
    return run_trial(Trial.model_validate_json(text))
