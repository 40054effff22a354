"""Test-retest reliability of readings, and what they are related to: pure functions of values."""

import statistics
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from suite.analysis.signal_recorder import LayerReadings
from suite.resonance.rank_correlation import partial_spearman, spearman
from suite.results.signal_measures import AVERAGED, LayerSignals, ReadingMeasures

K = TypeVar("K")


def reliability(values: Tensor, k: int) -> float | None:
    """Return the rank correlation of two means over k windows each, of `values` [windows, n].

    In every block of 2k successive windows, the mean over the 1st, 3rd, … window is compared with
    that over the 2nd, 4th, …, so that what changes over training changes both alike. Blocks begin
    every k windows; with k = 1 they are all pairs of neighbours. The result is the mean over
    blocks; None if there are fewer than 2k windows. A mean leaves out windows without a signal
    (NaN), and a block leaves out connections that have none in one of its halves.
    """
    found = []
    for start in range(0, len(values) - 2 * k + 1, k):
        block = values[start : start + 2 * k]
        first, second = block[0::2].nanmean(0), block[1::2].nanmean(0)
        both = first.isfinite() & second.isfinite()
        if (one := spearman(first[both], second[both])) is not None:
            found.append(one)
    return statistics.fmean(found) if found else None


def layer_signals(read: LayerReadings, weights: Tensor, active: Tensor) -> LayerSignals:
    """Return what the readings of a layer say.

    Args:
        read: its readings.
        weights: the trained weights of the layer, flat [n].
        active: which of them are connected, boolean [n].
    """
    at = read.sample
    live = read.means["rms"][at].isfinite()
    compared = live & active[at]
    magnitude = weights[at].abs()[compared]
    saliency = read.mean_square[at][compared] * magnitude.square()
    return LayerSignals(
        window=read.window,
        windows=len(read.values["rms"]),
        sampled=len(at),
        silent=int((~live).sum()),
        compared=int(compared.sum()),
        readings={
            name: ReadingMeasures(
                _present({k: reliability(values, k) for k in AVERAGED}),
                _related(read.means[name][at][compared], magnitude, saliency),
            )
            for name, values in read.values.items()
        },
    )


def _related(reading: Tensor, magnitude: Tensor, saliency: Tensor) -> dict[str, float]:
    return _present(
        {
            "magnitude": spearman(reading, magnitude),
            "saliency": spearman(reading, saliency),
            "saliency_at_equal_magnitude": partial_spearman(reading, saliency, magnitude),
        }
    )


def _present(values: Mapping[K, float | None]) -> dict[K, float]:
    return {name: value for name, value in values.items() if value is not None}
