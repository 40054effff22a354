"""Small tunings on digits."""

from typing import Any

from optuna.trial import TrialState

from suite.experiments import registry
from suite.tuning.sampling import FinishedTrial, Proposal, propose
from suite.tuning.schema import SEEDS_FROM, Candidate, Dimension, MethodResult, Tuning, TuningConfig
from suite.tuning.space import default_point, spaces_of


def settings(method: str = "rigl", **given: Any) -> TuningConfig:
    """Return settings of a tuning of two epochs."""
    usual = {
        "name": "t", "tasks": ["digits/mlp"], "methods": [method], "sparsities": [0.9],
        "seeds": [SEEDS_FROM], "budget": 6, "recipe": {"epochs": 1}, "final_seeds": [0, 1],
    }  # fmt: skip
    return TuningConfig.make(**usual | given)


def pretend(asked: TuningConfig, count: int, effect: Any = repr) -> list[FinishedTrial]:
    """Return the trials of a search whose values are a function of what was chosen."""
    method = asked.methods[0]
    space = spaces_of([method], asked.tasks, asked.tuned_recipe)[method]
    tasks = [registry.tasks()[name] for name in asked.tasks]
    default = default_point(space, registry.methods()[method], tasks)
    past: list[FinishedTrial] = []
    while len(past) < count:
        batch = propose(space, asked, method, past, default, effect)
        past += [_judged(proposal, len(asked.objectives)) for proposal in batch]
    return past


def _judged(proposal: Proposal, objectives: int) -> FinishedTrial:
    value = 1 - abs(proposal.parameters.get("drop_fraction", 0.3) - 0.45)
    values = [value, 100 * value][:objectives]
    return FinishedTrial(
        TrialState.COMPLETE, proposal.parameters, values, [value], proposal.attributes,
        proposal.asked,
    )  # fmt: skip


def tuning(**given: Any) -> Tuning:
    """Return a tuning with four trials, one of them failed."""
    space = [
        Dimension(name="rate", parameter="rate", low=0.01, high=1, log=True),
        Dimension(name="share", parameter="share", low=0, high=1),
        Dimension(name="rule", parameter="rule", choices=("sign", "magnitude")),
    ]
    rows = [(0.1, 0.5, "sign", 0.7), (0.3, 0.2, "magnitude", 0.9), (0.02, 0.9, "sign", 0.5)]
    trials = [
        Candidate(
            number=n, state="complete", hyperparameters={} if n == 0 else {"rate": rate},
            recipe={}, parameters={"rate": rate, "share": share, "rule": rule},
            values=[value, 10.0 * n], keys=[f"{n:016x}"],
        )
        for n, (rate, share, rule, value) in enumerate(rows)
    ]  # fmt: skip
    failed = Candidate(
        number=3, state="failed", parameters={"rate": 1.0, "share": 1.0, "rule": "sign"},
        hyperparameters={"rate": 1.0}, recipe={}, reason="loss is nan",
    )  # fmt: skip
    found = MethodResult(
        revision=1, space=space, trials=[*trials, failed], winner=1, front=[1, 0],
        importance={"rate": 0.6, "share": 0.3, "rule": 0.1},
    )  # fmt: skip
    asked = settings(budget=4, objectives=["accuracy", "train_flops"])
    return Tuning(settings=asked, methods={"rigl": found.model_copy(update=given)})
