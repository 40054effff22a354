"""Which configuration to try next: a function of the earlier trials and the seed."""

import re
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from suite.core.errors import InvalidInput
from suite.core.seeds import derive_seed
from suite.tuning.schema import MAXIMISED, Dimension, TuningConfig
from suite.tuning.space import Values, active

BATCH = 4
"""Trials are proposed in batches of exactly this size, from the results of earlier batches, so
that proposals do not depend on the number or the speed of workers."""

MAX_ATTEMPTS = 1000
MAX_SAMPLER_ATTEMPTS = 10
"""After this many invalid or repeated proposals, the next ones are drawn at random."""

MAX_NOVELTY_ATTEMPTS = 100
"""After this many attempts a repeated proposal is accepted: a small space may be exhausted."""

POPULATION = 8

REPEATED_ATTR = "resonance:repeated"
"""System attribute of a proposal whose configuration was tried before; the string is stored."""

NOT_KEPT = re.compile(":relative_params|:optimizer")
"""System attributes in which samplers store what follows from earlier trials: values just proposed,
and CMA-ES its state, which it reads back as a pickle."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class FinishedTrial:
    """A finished trial, in the form that samplers and pruners need.

    Attributes:
        curve: mean validation score after each seed or epoch, if trials are pruned.
        attributes: the sampler's own system attributes (a generation, for instance).
        asked: number of proposals that the sampler had made up to this one.
        curves: validation scores after each epoch, by training (`trained.cell_of`).
    """

    state: TrialState
    parameters: Mapping[str, Any]
    values: Sequence[float] = ()
    curve: Sequence[float] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    asked: int = 0
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """A configuration to try; `attributes` and `asked` as in `FinishedTrial`."""

    parameters: Values
    attributes: dict[str, Any]
    asked: int


def propose(
    space: Sequence[Dimension],
    settings: TuningConfig,
    method: str,
    past: Sequence[FinishedTrial],
    default: Values,
    effect: Callable[[Values], Hashable | None],
) -> list[Proposal]:
    """Return the next `BATCH` configurations; the very first one is the default.

    `past` are all earlier trials in the order of their numbers. `effect` maps values to the
    canonical configuration they result in, or to None if they are invalid. Invalid proposals, and
    those with the same effect as an earlier one, are replaced and cost no trial. If nothing new is
    found, an earlier configuration is repeated.

    Raises:
        InvalidInput: no valid configuration was found.
    """
    seed = derive_seed(settings.seed, method, *([] if settings.sampler == "qmc" else [len(past)]))
    study = _study(settings, space, past, _sampler(settings.sampler, seed % 2**32))
    asked = max((trial.asked for trial in past), default=0)
    if settings.sampler == "qmc":  # its sequence continues after the last batch
        for _ in range(asked):
            _suggest(study.ask(), space)
    proposals = [] if past else [Proposal(default, {}, 0)]
    seen = {effect(dict(trial.parameters)) for trial in past}
    seen |= {effect(proposal.parameters) for proposal in proposals}
    while len(proposals) < BATCH:
        again: tuple[Any, Values] | None = None
        for attempt in range(MAX_ATTEMPTS):
            if attempt == MAX_SAMPLER_ATTEMPTS:
                study.sampler = optuna.samplers.RandomSampler(seed=seed % 2**32)
            trial = study.ask()
            asked += 1
            chosen = _suggest(trial, space)
            outcome = effect(chosen)
            if outcome is not None and outcome not in seen:
                seen.add(outcome)
                break
            study.tell(trial, state=TrialState.FAIL)
            if outcome is not None:
                again = again or (trial, chosen)
            if again is not None and attempt + 1 >= MAX_NOVELTY_ATTEMPTS:
                trial, chosen = again
                break
        else:
            raise InvalidInput(
                f"method {method}: none of {MAX_ATTEMPTS} configurations of its search space fits "
                "this training: train longer (--recipe epochs=N)"
            )
        noted = study.trials[trial.number].system_attrs.items()
        kept = {name: value for name, value in noted if not NOT_KEPT.search(name)}
        if again is not None and trial is again[0]:
            kept[REPEATED_ATTR] = True
        proposals.append(Proposal(chosen, kept, asked))
    return proposals


def _sampler(name: str, seed: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        samplers = optuna.samplers
        if name == "tpe":
            return samplers.TPESampler(seed=seed)
        if name == "gp":
            return samplers.GPSampler(seed=seed, warn_independent_sampling=False)
        if name == "nsgaii":
            return samplers.NSGAIISampler(seed=seed, population_size=POPULATION)
        if name == "cmaes":
            return samplers.CmaEsSampler(
                seed=seed, popsize=POPULATION, warn_independent_sampling=False
            )
        if name == "qmc":
            return samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
        return samplers.RandomSampler(seed=seed)


def frozen_trial(
    space: Sequence[Dimension], parameters: Mapping[str, Any], **given: Any
) -> FrozenTrial:
    """Return an Optuna trial with these values; `given` are further arguments of `create_trial`."""
    known = {dimension.name: dimension for dimension in space}
    return optuna.trial.create_trial(
        params=dict(parameters),
        distributions={name: _distribution(known[name]) for name in parameters},
        **given,
    )


def _distribution(d: Dimension) -> Any:
    kinds = optuna.distributions
    if d.choices:
        return kinds.CategoricalDistribution(d.choices)
    return (kinds.IntDistribution if d.whole else kinds.FloatDistribution)(**_range(d))


def _range(d: Dimension) -> dict[str, Any]:
    """Return the range of a dimension without choices, in the arguments that Optuna takes."""
    if not d.whole:
        return {"low": d.low, "high": d.high, "log": d.log, "step": d.step}
    assert d.low is not None
    assert d.high is not None
    return {"low": int(d.low), "high": int(d.high), "log": d.log, "step": int(d.step or 1)}


def _suggest(trial: Any, space: Sequence[Dimension]) -> Values:
    chosen: Values = {}
    for d in space:
        if not active(d, chosen):
            continue
        if d.choices:
            chosen[d.name] = trial.suggest_categorical(d.name, d.choices)
        else:
            suggest = trial.suggest_int if d.whole else trial.suggest_float
            chosen[d.name] = suggest(d.name, **_range(d))
    return chosen


def directions(settings: TuningConfig) -> list[str]:
    """Return Optuna's direction of each objective."""
    return ["maximize" if MAXIMISED[name] else "minimize" for name in settings.objectives]


def _study(
    settings: TuningConfig, space: Sequence[Dimension], past: Sequence[FinishedTrial], sampler: Any
) -> Any:
    """Return an in-memory study that contains the earlier trials.

    With one objective, a failed trial (its training diverged) counts as worse than all others, as
    Optuna treats trials that were pruned before their first value. With several objectives failed
    trials are ignored.
    """
    study = optuna.create_study(directions=directions(settings), sampler=sampler)
    if settings.sampler == "cmaes":
        _replay(study, always_numeric(space), past)
        return study
    for trial in past:
        state = trial.state
        if state == TrialState.FAIL and len(settings.objectives) == 1:
            state = TrialState.PRUNED
        study.add_trial(
            frozen_trial(
                space,
                trial.parameters,
                state=state,
                values=list(trial.values) if state == TrialState.COMPLETE else None,
                intermediate_values=dict(enumerate(trial.curve, 1)),
                system_attrs=dict(trial.attributes),
            )
        )
    return study


def always_numeric(space: Sequence[Dimension]) -> list[Dimension]:
    """Return the dimensions that CMA-ES can model: numbers that apply in every configuration."""
    return [d for d in space if not d.choices and d.when is None]


def _replay(study: Any, space: Sequence[Dimension], past: Sequence[FinishedTrial]) -> None:
    """Let CMA-ES go through the earlier trials again, batch by batch, in the dimensions of `space`.

    Its state after a generation is stored by the trial that is proposed next, and only there.
    """
    names = [dimension.name for dimension in space]
    for first in range(0, len(past), BATCH):
        batch = past[first : first + BATCH]
        asked = [study.ask() for _ in batch]
        for one in asked:
            _suggest(one, space)
            study.tell(one, state=TrialState.FAIL)
        for trial, one in zip(batch, asked, strict=True):
            point = {name: trial.parameters[name] for name in names if name in trial.parameters}
            if trial.state != TrialState.COMPLETE or len(point) < len(names):
                continue  # it has no value, or is a default outside the range
            noted = study.trials[one.number].system_attrs.items()
            state = {name: value for name, value in noted if NOT_KEPT.search(name)}
            study.add_trial(
                frozen_trial(
                    space,
                    point,
                    values=list(trial.values),
                    system_attrs=state | dict(trial.attributes),
                )
            )
