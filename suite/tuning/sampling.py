"""What to try next: a function of what was tried before and of the seed alone."""

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import TrialState

from suite.core.errors import InvalidInput
from suite.core.seeds import derive_seed
from suite.tuning.document import MAXIMISED, Dimension, TuningConfig
from suite.tuning.space import Chosen, active

BATCH = 4
"""Trials proposed at once, from the results of the batches before: never fewer or more, so that
what is proposed does not depend on the number or the speed of workers."""

ATTEMPTS = 1000
GIVE_UP_ON_SAMPLER = 10
"""After so many proposals that contradict themselves the next ones are drawn at random."""

NOTHING_NEW = 100
"""After so many proposals one that was made before is taken: a small space has no more."""

POPULATION = 8

RELATIVE = ":relative_params"
"""What some samplers note down beside: the values that they have just proposed."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class Past:
    """A finished trial, as samplers and pruners see it.

    Attributes:
        attributes: what the sampler noted down for itself (a generation).
        asked: how many proposals the sampler had made by then.
    """

    state: TrialState
    parameters: Mapping[str, Any]
    values: Sequence[float] = ()
    curve: Sequence[float] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    asked: int = 0


@dataclass(frozen=True)
class Proposal:
    """A configuration to try; `attributes` and `asked` as in `Past`."""

    parameters: Chosen
    attributes: dict[str, Any]
    asked: int


def propose(
    space: Sequence[Dimension],
    settings: TuningConfig,
    method: str,
    past: Sequence[Past],
    default: Chosen,
    effect: Callable[[Chosen], Hashable | None],
) -> list[Proposal]:
    """Return the next `BATCH` configurations; the first of all is the default.

    `past` are all trials before, in the order of their numbers. `effect` says what values come to,
    None where they do not fit together or the training: what does not, or comes to what was
    proposed before, costs no trial. Where nothing new is found, what was tried comes again.

    Raises:
        InvalidInput: no valid configuration was found.
    """
    seed = derive_seed(settings.seed, method, *([] if settings.sampler == "qmc" else [len(past)]))
    study = _study(settings, space, past, _sampler(settings.sampler, seed % 2**32))
    asked = max((trial.asked for trial in past), default=0)
    if settings.sampler == "qmc":  # its sequence goes on where the last batch left it
        for _ in range(asked):
            _suggest(study.ask(), space)
    proposals = [] if past else [Proposal(default, {}, 0)]
    seen = {effect(dict(trial.parameters)) for trial in past}
    seen |= {effect(proposal.parameters) for proposal in proposals}
    while len(proposals) < BATCH:
        again: tuple[Any, Chosen] | None = None
        for attempt in range(ATTEMPTS):
            if attempt == GIVE_UP_ON_SAMPLER:
                study.sampler = optuna.samplers.RandomSampler(seed=seed % 2**32)
            trial = study.ask()
            asked += 1
            chosen = _suggest(trial, space)
            comes_to = effect(chosen)
            if comes_to is not None and comes_to not in seen:
                seen.add(comes_to)
                break
            study.tell(trial, state=TrialState.FAIL)
            if comes_to is not None:
                again = again or (trial, chosen)
            if again is not None and attempt + 1 >= NOTHING_NEW:
                trial, chosen = again
                break
        else:
            raise InvalidInput(
                f"method {method}: none of {ATTEMPTS} configurations of its search space fits this "
                "training: train longer (--recipe epochs=N)"
            )
        noted = study.trials[trial.number].system_attrs.items()
        kept = {name: value for name, value in noted if RELATIVE not in name}
        proposals.append(Proposal(chosen, kept, asked))
    return proposals


def is_hopeless(pruner: str, past: Sequence[Past], curve: Sequence[float], rungs: int) -> bool:
    """Return whether a trial is to be stopped after its last value in `curve`, higher is better.

    Judged against the batches before alone, so that it does not matter which trial of a batch is
    faster. The default is never stopped: there is nothing before its batch.
    """
    if pruner == "none" or len(curve) >= rungs:
        return False
    study = optuna.create_study(
        direction="maximize", study_name=pruner, pruner=_pruner(pruner, rungs)
    )
    for trial in past:
        told = study.ask()
        _report(told, trial.curve)
        state = TrialState.PRUNED if trial.state == TrialState.FAIL else trial.state
        study.tell(told, trial.values or None, state=state)
    return _report(study.ask(), curve)


def _report(trial: Any, curve: Sequence[float]) -> bool:
    """Tell a pruner the values of a trial one by one; return what it says after the last."""
    answer = False
    for rung, value in enumerate(curve, 1):
        trial.report(value, rung)
        answer = bool(trial.should_prune())
    return answer


def _pruner(name: str, rungs: int) -> Any:
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=BATCH)
    return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=rungs)


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
        if name == "qmc":
            return samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
        return samplers.RandomSampler(seed=seed)


def distributions(space: Sequence[Dimension]) -> dict[str, Any]:
    """Return Optuna's distribution of each dimension."""
    return {dimension.name: _distribution(dimension) for dimension in space}


def _distribution(d: Dimension) -> Any:
    if d.choices:
        return optuna.distributions.CategoricalDistribution(d.choices)
    assert d.low is not None
    assert d.high is not None
    if d.whole:
        return optuna.distributions.IntDistribution(
            int(d.low), int(d.high), log=d.log, step=int(d.step or 1)
        )
    return optuna.distributions.FloatDistribution(d.low, d.high, log=d.log, step=d.step)


def _suggest(trial: Any, space: Sequence[Dimension]) -> Chosen:
    chosen: Chosen = {}
    for d in space:
        if not active(d, chosen):
            continue
        if d.choices:
            chosen[d.name] = trial.suggest_categorical(d.name, d.choices)
            continue
        assert d.low is not None
        assert d.high is not None
        if d.whole:
            low, high, step = int(d.low), int(d.high), int(d.step or 1)
            chosen[d.name] = trial.suggest_int(d.name, low, high, step=step, log=d.log)
        else:
            chosen[d.name] = trial.suggest_float(d.name, d.low, d.high, step=d.step, log=d.log)
    return chosen


def directions(settings: TuningConfig) -> list[str]:
    """Return the direction of each objective, in Optuna's words."""
    return ["maximize" if MAXIMISED[name] else "minimize" for name in settings.objectives]


def _study(
    settings: TuningConfig, space: Sequence[Dimension], past: Sequence[Past], sampler: Any
) -> Any:
    """Return a study in memory that holds the past.

    A trial that failed (its training diverged) counts as worse than all others, which is what
    Optuna does with one that was pruned before its first value; of several objectives it says
    nothing.
    """
    known = distributions(space)
    study = optuna.create_study(directions=directions(settings), sampler=sampler)
    for trial in past:
        state = trial.state
        if state == TrialState.FAIL and len(settings.objectives) == 1:
            state = TrialState.PRUNED
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                values=list(trial.values) if state == TrialState.COMPLETE else None,
                params=dict(trial.parameters),
                distributions={name: known[name] for name in trial.parameters},
                intermediate_values=dict(enumerate(trial.curve, 1)),
                system_attrs=dict(trial.attributes),
            )
        )
    return study
