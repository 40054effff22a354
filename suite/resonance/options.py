"""Checks of resonance's options against the training and against each other."""

from types import SimpleNamespace

import torch

from suite.core.errors import InvalidInput
from suite.resonance.detector import dominant, spectrum
from suite.resonance.schedule import DecisionSchedule
from suite.resonance.threshold import PeriodicThreshold, largest_usable_bits
from suite.sparsity.plan import Plan

MIN_FACTOR = 1e-6
"""Smallest factor T / A: connections at smaller ones are switched off last."""

NOISE = 2**13
"""Number of white-noise signals on which it is checked how many a threshold can switch off."""


def check_options(
    o: SimpleNamespace, plan: Plan, schedule: DecisionSchedule, cooldown: int
) -> None:
    """Refuse options that contradict the training or each other.

    Raises:
        InvalidInput: a cooldown longer than training, more threshold periods than decisions or
            bins can follow, or a bounded amplitude that cannot reach the target.
    """
    if cooldown > plan.steps:
        raise InvalidInput(
            f"cooldown={cooldown} is longer than training ({plan.steps} steps): "
            f"give 0 to {plan.steps}, or auto"
        )
    if o.modulation == 0:
        return
    _check_aliasing(o, schedule)
    _check_reach(o, plan.sparsity)


def _check_aliasing(o: SimpleNamespace, schedule: DecisionSchedule) -> None:
    periods = PeriodicThreshold(o.bits, o.modulation).periods
    if o.argument == "progress":
        decisions = (schedule.freeze - schedule.first) / schedule.every
        usable = largest_usable_bits(4, decisions)
        why = f"{decisions:.0f} decisions cannot follow {periods} periods"
    elif o.argument == "frequency":
        usable = largest_usable_bits(8, o.window)
        why = f"a window of {o.window} cannot resolve {periods} teeth"
        if not o.interpolate:
            raise InvalidInput("argument=frequency needs interpolate=true: bins would tie")
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


def _check_reach(o: SimpleNamespace, sparsity: float) -> None:
    if o.argument == "progress" or o.solve == "exact" or o.score == "weighted":
        return
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(o.window, NOISE, generator=generator, dtype=torch.float32)
    frequency, _ = dominant(
        spectrum(noise, detrend=o.detrend, taper=o.taper), interpolate=o.interpolate
    )
    even = torch.linspace(0, 1, NOISE, dtype=torch.float32)
    phase = frequency if o.argument == "frequency" else even

    def reach(modulation: float) -> float:
        level = PeriodicThreshold(o.bits, modulation).factors(phase).clamp_max(1)
        return float((frequency <= level).float().mean())

    if reach(o.modulation) >= sparsity:
        return
    usable = max((m / 100 for m in range(100) if reach(m / 100) >= sparsity), default=0.0)
    raise InvalidInput(
        f"solve=feedback with argument={o.argument} and modulation={o.modulation:g} switches off "
        f"at most {reach(o.modulation):.0%} of white noise, short of the target of {sparsity:g}: "
        f"give modulation of at most {usable:g}, or solve=exact"
    )
