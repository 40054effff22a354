"""Checks of resonance's options against the training and against each other."""

import functools
from types import SimpleNamespace
from typing import Any

import torch

from suite.core.errors import InvalidInput
from suite.resonance.make_signal import make_signal
from suite.resonance.schedule import DecisionSchedule, forgotten_after
from suite.resonance.signal import Reading
from suite.resonance.threshold import PeriodicThreshold, largest_usable_bits
from suite.sparsity.plan import Plan

MIN_FACTOR = 1e-6
"""Smallest factor T / A: connections at smaller ones are switched off last."""

NOISE = 2**13
"""Number of white-noise signals that are read to see how a reading is distributed."""

LEAST_NOISE = 2**10
"""Fewest such signals."""

ERRORS_PER_TOOTH = 4
"""Least width of a tooth of a threshold over frequencies, in standard deviations of what is read
from white noise."""


def check_options(
    o: SimpleNamespace, plan: Plan, schedule: DecisionSchedule, cooldown: int
) -> None:
    """Refuse options that contradict the training or each other.

    Raises:
        InvalidInput: a cooldown longer than training, a rate that is not about the mean, more
            threshold periods than decisions or a reading can follow, or a bounded amplitude that
            cannot reach the target.
    """
    if cooldown > plan.steps:
        raise InvalidInput(
            f"cooldown={cooldown} is longer than training ({plan.steps} steps): "
            f"give 0 to {plan.steps}, or auto"
        )
    if o.reading == "rate" and o.detrend == "none":
        raise InvalidInput(
            "reading=rate is about the mean of the gradients: give detrend=mean or reading=centroid"
        )
    if o.modulation == 0:
        return
    _check_aliasing(o, schedule)
    _check_reach(o, schedule, plan.sparsity)


def _check_aliasing(o: SimpleNamespace, schedule: DecisionSchedule) -> None:
    periods = PeriodicThreshold(o.bits, o.modulation).periods
    if o.argument == "progress":
        decisions = (schedule.freeze - schedule.first) / schedule.every
        usable = largest_usable_bits(4, decisions)
        why = f"{decisions:.0f} decisions cannot follow {periods} periods"
    elif o.argument == "frequency" and o.reading == "dominant" and not o.interpolate:
        raise InvalidInput("argument=frequency needs interpolate=true: bins would tie")
    elif o.argument == "frequency" and o.reading == "dominant" and o.average == 0:
        usable = largest_usable_bits(8, o.window)
        why = f"a window of {o.window} cannot resolve {periods} teeth"
    elif o.argument == "frequency":
        frequency = _read_noise(o, schedule).frequency
        error = float(frequency.std())
        usable = largest_usable_bits(ERRORS_PER_TOOTH, 1 / error)
        why = (
            f"what is read from white noise, {float(frequency.mean()):.2f} ± {error:.2f}, cannot "
            f"resolve {periods} teeth"
        )
    else:
        return
    if o.bits > usable:
        best = f"give bits of at most {usable}" if usable >= 1 else "no bits are usable"
        raise InvalidInput(
            f"bits={o.bits}: {why}; {best}, or set modulation=0, decide more often, "
            "lengthen the window or the training"
        )


def amplitude_bound(o: SimpleNamespace) -> float:
    """Return the largest A.

    It is 1 under ``solve="feedback"``, and if all connections share one phase. If each has its
    own, a connection whose factor stays below 1 could never be switched off: ``exact`` may then
    raise A until T is 1 for all.
    """
    if o.argument == "progress" or o.solve == "feedback":
        return 1.0
    return 1 / max(1 - o.modulation, MIN_FACTOR)


def _check_reach(o: SimpleNamespace, schedule: DecisionSchedule, sparsity: float) -> None:
    if o.argument == "progress" or o.solve == "exact" or o.score == "weighted":
        return
    reading = _read_noise(o, schedule)
    score = reading.score(o.keep)
    even = torch.linspace(0, 1, len(score), dtype=torch.float32)
    phase = reading.frequency if o.argument == "frequency" else even

    def reach(modulation: float) -> float:
        level = PeriodicThreshold(o.bits, modulation).factors(phase).clamp_max(1)
        return float((score <= level).float().mean())

    if reach(o.modulation) >= sparsity:
        return
    usable = max((m / 100 for m in range(100) if reach(m / 100) >= sparsity), default=0.0)
    raise InvalidInput(
        f"solve=feedback with argument={o.argument} and modulation={o.modulation:g} switches off "
        f"at most {reach(o.modulation):.0%} of white noise, short of the target of {sparsity:g}: "
        f"give modulation of at most {usable:g}, or solve=exact"
    )


def _read_noise(o: SimpleNamespace, schedule: DecisionSchedule) -> Reading:
    """Return what the last of so many decisions reads from white noise, on a CPU."""
    all_decisions = 1 + (schedule.freeze - schedule.first) // schedule.every
    decisions = max(1, min(forgotten_after(o.average), all_decisions))
    between = max(1, min(o.window, schedule.every // o.record_every))
    options = ("reading", "average", "window", "detrend", "taper", "interpolate")
    return _noise_read_by(tuple((name, getattr(o, name)) for name in options), decisions, between)


@functools.lru_cache(maxsize=16)
def _noise_read_by(options: tuple[tuple[str, Any], ...], decisions: int, between: int) -> Reading:
    """Return the reading of white noise after `decisions`, with `between` gradients between two."""
    o = SimpleNamespace(**dict(options), history_dtype="float32")
    size = max(LEAST_NOISE, NOISE // decisions)
    signal = make_signal(o, {"noise": (size, torch.device("cpu"))})
    generator = torch.Generator().manual_seed(0)
    for decision in range(decisions):
        gradients = between if decision else o.window
        noise = torch.randn(gradients, size, generator=generator, dtype=torch.float32)
        for gradient in noise:
            signal.record({"noise": gradient})
        reading = signal.read("noise")
    return reading
