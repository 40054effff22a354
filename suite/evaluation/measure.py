"""Measurements of a trained network beyond its scores.

Every trial measures corruption robustness, FGSM, dead units, layer collapse and size on disk.
`resonance evaluate` adds those that take longer or need an idle machine (PGD, latency).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from suite.evaluation import robustness
from suite.evaluation.corruptions import KINDS, SEVERITIES
from suite.evaluation.dead_units import SAMPLE_SIZE, dead_units
from suite.evaluation.model_size import disk_size
from suite.results.counts import CountedSplit, Counts
from tasks.data import Split
from tasks.task import Dataset

CORRUPTED = "test_accuracy_corrupted"
FGSM = "test_accuracy_fgsm_8_255"
PGD = "test_accuracy_pgd10_8_255"
GREY_FGSM = "test_accuracy_fgsm_0_3"
GREY_PGD = "test_accuracy_pgd10_0_3"
"""The name contains ε: another ε is another metric."""
CONDITIONS = len(KINDS) * SEVERITIES
TRAINING_PASSES = 3
"""Cost of training on an example, in forward passes: backward costs twice as much as forward."""
MAX_FRACTION = 0.15
"""A trial omits the corruptions if they cost more than this fraction of training's passes."""


@dataclass
class Measurements:
    """The measurements of one network.

    Attributes:
        metrics: by name; accuracies are fractions, sizes are in bytes.
        absent: why a metric is missing, by metric name.
        layers: fields of each prunable layer's record, by layer name.
        corruption: accuracies by kind, one per severity.
        counts: predictions counted, by split; none of real targets.
        correct_bits: which test examples are predicted rightly, one bit each; empty if not known.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    layers: dict[str, dict[str, Any]] = field(default_factory=dict)
    corruption: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[CountedSplit, Counts] = field(default_factory=dict)
    correct_bits: bytes = b""


def measure(
    model: nn.Module,
    masks: Mapping[str, Tensor],
    dataset: Dataset,
    split: Split,
    training_passes: float = math.inf,
    *,
    everything: bool = False,
) -> Measurements:
    """Measure a network on a split; the model is not changed.

    `masks` are by name of the prunable layer, True where a weight is active. The corruptions are
    left out if their passes are more than 15 % of `training_passes`. This rule depends only on the
    trial's configuration, so either all trials of a table have them or none. `everything` adds PGD,
    and of grey images both attacks at ε = 0.3, which is customary on MNIST.
    """
    result = Measurements()
    pixels = robustness.pixel_space(dataset, split)
    if isinstance(pixels, str):
        wanted = [CORRUPTED, FGSM, *((PGD, GREY_FGSM, GREY_PGD) if everything else ())]
        result.absent |= dict.fromkeys(wanted, f"not applicable: {pixels}")
    else:
        result.metrics[FGSM] = robustness.fgsm_accuracy(model, split, pixels)
        if CONDITIONS * len(split) > MAX_FRACTION * training_passes:
            result.absent[CORRUPTED] = (
                f"{CONDITIONS} passes over the test split are more than {MAX_FRACTION:.0%} of "
                "this training; `resonance evaluate` measures it"
            )
        else:
            result.corruption = robustness.corruption_accuracy(model, split, pixels)
            result.metrics |= _corruption_means(result.corruption)
        if everything:
            result.metrics[PGD] = robustness.pgd_accuracy(model, split, pixels)
            _add_grey_attacks(result, model, split, pixels, channels=dataset.shape[0])
    _add_units(result, model, masks, split)
    size = disk_size(model, masks)
    result.metrics |= {"dense_bytes": size.dense, "sparse_bytes": size.sparse}
    for name, storage in size.storage.items():
        result.layers[name]["storage"] = storage
    return result


def _add_grey_attacks(
    result: Measurements,
    model: nn.Module,
    split: Split,
    pixels: robustness.Pixels,
    *,
    channels: int,
) -> None:
    """Add the attacks at the ε that is customary on MNIST, if the images are grey."""
    if channels != 1:
        reason = "not applicable: ε = 0.3 is customary on grey images only"
        result.absent |= dict.fromkeys((GREY_FGSM, GREY_PGD), reason)
        return
    epsilon = robustness.GREY_EPSILON
    result.metrics |= {
        GREY_FGSM: robustness.fgsm_accuracy(model, split, pixels, epsilon),
        GREY_PGD: robustness.pgd_accuracy(model, split, pixels, epsilon),
    }


def _corruption_means(accuracy: Mapping[str, list[float]]) -> dict[str, float]:
    means = {kind: sum(values) / len(values) for kind, values in accuracy.items()}
    return {
        CORRUPTED: sum(means.values()) / len(means),
        **{f"{CORRUPTED}_{kind}": mean for kind, mean in means.items()},
    }


def _add_units(
    result: Measurements, model: nn.Module, masks: Mapping[str, Tensor], split: Split
) -> None:
    examples, _ = next(split.batches(SAMPLE_SIZE))
    layers = dead_units(model, masks, examples)
    for name, units in layers.items():
        result.layers[name] = {
            "units": units.total,
            "unconnected_units": units.unconnected,
            "silent_units": units.silent,
        }
    total = sum(units.total for units in layers.values())
    result.metrics["unconnected_units"] = sum(u.unconnected for u in layers.values()) / total
    result.metrics["collapsed_layers"] = sum(units.collapsed for units in layers.values())
    watched = [units for units in layers.values() if units.silent is not None]
    if watched:
        silent = sum(units.silent or 0 for units in watched)
        result.metrics["silent_units"] = silent / sum(units.total for units in watched)
    else:
        result.absent["silent_units"] = "not applicable: no layer is followed by a ReLU"
