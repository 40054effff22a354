"""What the shipped studies cost: the table of docs/hardware.md.

Networks are counted as they are executed under masks: dense. The hours on two cores are those of
the shipped records; the hours on a GPU are an estimate from FLOPs and steps.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from suite.execution.timings import kind_of
from suite.experiments.study import Study, load_study, shipped_studies
from suite.experiments.trial_config import Trial

FORWARD_AND_BACKWARD = 3
"""FLOPs of a training step, in forward passes."""
GPU_FLOPS = 60e12
"""FLOPs per second of one NVIDIA A100 in ResNet-50's training under mixed precision.

2,470 images per second (NVIDIA's DeepLearningExamples, PyTorch, ResNet-50 v1.5, one A100 80 GB), at
3 × 8.2 GFLOPs each.
"""
GPU_STEP = 1e-3
"""Shortest time of a step on a GPU, in seconds: an assumption. Small networks are limited by the
launches of kernels, not by arithmetic."""


@dataclass(frozen=True)
class TrialWork:
    """What one trial computes: optimizer steps in all rounds, and FLOPs of these if dense."""

    steps: int
    flops: float

    @property
    def gpu_seconds(self) -> float:
        """Seconds on one GPU, without evaluation and what the method itself does."""
        return max(self.flops / GPU_FLOPS, self.steps * GPU_STEP)


@dataclass(frozen=True)
class StudyCost:
    """What a study costs.

    Attributes:
        trials: how many it has.
        flops: of forward and backward passes of all trials, if dense.
        gpu_seconds: see `TrialWork`.
        recorded: of how many trials there are records with their seconds.
        core_seconds: of these trials, one core each.
    """

    name: str
    trials: int
    flops: float
    gpu_seconds: float
    recorded: int
    core_seconds: float


def study_cost(study: Study, seconds: Mapping[str, float]) -> StudyCost:
    """Return what a study costs; `seconds` are those of recorded trials by their keys."""
    trials = study.trials_by_key()
    works = _works(trials.values())
    found = [seconds[key] for key in trials if key in seconds]
    return StudyCost(
        study.name,
        len(trials),
        math.fsum(work.flops for work in works),
        math.fsum(work.gpu_seconds for work in works),
        len(found),
        math.fsum(found),
    )


def _works(trials: Iterable[Trial]) -> list[TrialWork]:
    known: dict[str, TrialWork] = {}
    works = []
    for trial in trials:
        kind = kind_of(trial)
        if kind not in known:
            known[kind] = trial_work(trial)
        works.append(known[kind])
    return works


def trial_work(trial: Trial) -> TrialWork:
    """Return what a trial computes; a narrower network (`small_dense`) counts as the whole one."""
    from suite.sparsity.construct import make_sparsifier
    from suite.training.network import network_of
    from suite.training.planned_steps import planned_steps
    from suite.training.trial_plan import plan_of

    recipe = trial.task_declaration.resolve_recipe(trial.recipe)
    steps = planned_steps(trial)
    method = trial.method_declaration
    options = method.resolve(trial.hyperparameters)
    steps = make_sparsifier(method, plan_of(trial, steps), options).total_steps
    forward = network_of(trial.task, device="meta").forward.dense
    return TrialWork(steps, steps * recipe.batch_size * FORWARD_AND_BACKWARD * forward)


def shipped_costs() -> list[StudyCost]:
    """Return what each shipped study costs, those first that are recorded."""
    from leaderboard.bundles.bundle_file import SHIPPED, read_bundles

    bundles, _ = read_bundles(SHIPPED)
    seconds = {
        record.key: took
        for bundle in bundles
        for record in bundle.records
        if isinstance(took := record.timing.get("seconds"), float)
    }
    costs = [study_cost(load_study(name), seconds) for name in shipped_studies()]
    return sorted(costs, key=lambda cost: (cost.recorded == 0, cost.gpu_seconds, cost.name))


COLUMNS = ("study", "trials", "FLOPs", "core-hours, recorded", "hours on 2 cores", "hours on 1 GPU")


def costs_rows(costs: Collection[StudyCost]) -> list[list[str]]:
    """Return the cells of the table, a row a study."""
    return [
        [
            f"`{cost.name}`",
            f"{cost.trials:,}",
            f"{cost.flops:.1e}",
            _recorded(cost),
            _hours(cost.core_seconds / 2) if cost.recorded == cost.trials else "",
            _hours(cost.gpu_seconds),
        ]
        for cost in costs
    ]


def _recorded(cost: StudyCost) -> str:
    if not cost.recorded:
        return ""
    share = (
        "" if cost.recorded == cost.trials else f" ({cost.recorded:,} of {cost.trials:,} trials)"
    )
    return _hours(cost.core_seconds) + share


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.2g}" if hours < 10 else f"{hours:,.0f}"
