"""What a record says of a layer's gradient signals (trainer ``signals``), typed; no torch.

In a record these are plain numbers by name: of each layer (`LayerRecord.signals`) and, of pruning
at once, of the network (`Record.metrics`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

READINGS = {
    "dominant": "dominant frequency",
    "interpolated": "dominant frequency, interpolated",
    "centroid": "mean frequency (centroid)",
    "rate": "rate of change",
    "rms": "root mean square",
    "abs_mean": "|mean|",
    "coherence": "coherence",
}
"""Name of each reading → its title."""
AVERAGED = (1, 2, 4, 8, 16, 32)
"""k: over how many windows readings are averaged."""
RELATED = {
    "magnitude": "|w|",
    "saliency": "F·w²",
    "saliency_at_equal_magnitude": "F·w² at equal |w|",
}
"""What an averaged reading is compared with → its title."""
KEPT = {"high": "the highest", "low": "the lowest"}
"""Which half a pruning by a reading keeps."""


def spearman_brown(reliability: float, k: int) -> float:
    """Return the reliability of a mean over k readings, from that of one: k·r / (1 + (k − 1)·r).

    Spearman 1910 and Brown 1910 (British Journal of Psychology 3). Of r ≤ 0 nothing can be
    expected of averaging: 0.
    """
    r = max(0.0, reliability)
    return k * r / (1 + (k - 1) * r)


@dataclass(frozen=True)
class ReadingMeasures:
    """What was found of one reading in one layer; each is a rank correlation in [−1, 1].

    Attributes:
        reliability: k → that of two means over k windows each.
        related: with what of `RELATED`, of the mean over all windows.
    """

    reliability: Mapping[int, float] = field(default_factory=dict)
    related: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerSignals:
    """What was found of the signals of one layer.

    Attributes:
        window: N, gradients in a window.
        windows: how many were read.
        sampled: connections that were looked at, drawn at random.
        silent: of those, the ones without a signal in any window; they are left out.
        compared: of those, the ones that are active at the end and have a signal: the connections
            whose readings are compared with |w| and F·w².
        readings: by name.
    """

    window: int
    windows: int
    sampled: int
    silent: int
    compared: int
    readings: Mapping[str, ReadingMeasures]

    def numbers(self) -> dict[str, float]:
        """Return this as a record holds it."""
        found: dict[str, float] = {name: getattr(self, name) for name in COUNTS}
        for reading, measures in self.readings.items():
            found |= {f"{reading}_k{k}": value for k, value in measures.reliability.items()}
            found |= {f"{reading}_{name}": value for name, value in measures.related.items()}
        return found

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> "LayerSignals | None":
        """Return what a record holds; None if that is nothing."""
        if not numbers:
            return None
        readings = {}
        for reading in READINGS:
            by_k = {k: numbers[f"{reading}_k{k}"] for k in AVERAGED if f"{reading}_k{k}" in numbers}
            related = {
                name: numbers[f"{reading}_{name}"]
                for name in RELATED
                if f"{reading}_{name}" in numbers
            }
            if by_k or related:
                readings[reading] = ReadingMeasures(by_k, related)
        return cls(**{name: int(numbers[name]) for name in COUNTS}, readings=readings)


COUNTS = ("window", "windows", "sampled", "silent", "compared")
MAX_COUNT = 2**53
_CORRELATIONS = frozenset(
    f"{reading}_{what}" for reading in READINGS for what in (*(f"k{k}" for k in AVERAGED), *RELATED)
)


def problem(numbers: Mapping[str, float], size: int) -> str:
    """Return why a layer of `size` weights cannot have these numbers; empty if it can."""
    for name in COUNTS:
        value = numbers.get(name)
        if value is None or not 0 <= value <= MAX_COUNT or value != int(value):
            return f"signals: {name} is {value}, not a count"
    silent, compared = numbers["silent"], numbers["compared"]
    if numbers["sampled"] > size or silent + compared > numbers["sampled"]:
        return f"signals: {silent:g} silent and {compared:g} compared of {numbers['sampled']:g}"
    for name in numbers.keys() - set(COUNTS):
        if name not in _CORRELATIONS:
            return f"signals: {name:.100} is not known"
        if not -1 <= numbers[name] <= 1:
            return f"signals: {name} is {numbers[name]:g}, no correlation"
    return ""


def pruned(ranking: str, keep: str = "") -> str:
    """Return the metric of the accuracy after pruning half at once by a ranking.

    `ranking` is a reading (with what is kept of it), "random" or "magnitude".
    """
    return "_".join(filter(None, ("pruned", ranking, keep, "accuracy")))
