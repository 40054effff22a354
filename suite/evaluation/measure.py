"""What is measured of a trained network beyond its scores, and when.

Measured in every trial: corruption robustness, FGSM, dead units and layer collapse, size on disk.
What takes longer or needs a quiet machine (PGD, latency) is asked for: `resonance evaluate`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from suite.evaluation.corruptions import KINDS, SEVERITIES
from suite.evaluation.dead_units import SAMPLE, dead_units
from suite.evaluation.model_size import disk_size
from suite.evaluation.robustness import (
    corruption_accuracy,
    fgsm_accuracy,
    pgd_accuracy,
    pixel_space,
)
from tasks.data import Split
from tasks.task import Dataset

CORRUPTED = "test_accuracy_corrupted"
FGSM = "test_accuracy_fgsm_8_255"
PGD = "test_accuracy_pgd10_8_255"
"""The name says ε: another one is another metric."""
CONDITIONS = len(KINDS) * SEVERITIES
TRAINING_PASSES = 3
"""What an example costs in training, in forward passes: backward twice as much as forward."""
LARGEST_SHARE = 0.15
"""Of training's passes over examples; what costs more is left out of the trial."""


@dataclass
class Measures:
    """What was measured.

    Attributes:
        metrics: by name; accuracies as fractions of 1, sizes in bytes.
        absent: why a metric is missing, by its name.
        layers: per prunable layer, fields of its record.
        corruption: accuracy by kind and severity.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    layers: dict[str, dict[str, Any]] = field(default_factory=dict)
    corruption: dict[str, list[float]] = field(default_factory=dict)


def measure(
    model: nn.Module,
    masks: Mapping[str, Tensor],
    dataset: Dataset,
    split: Split,
    training_passes: float = math.inf,
    *,
    everything: bool = False,
) -> Measures:
    """Return what is measured of a network on a split; the model is left as it was.

    `masks` are by name of the prunable layer, True where a weight is active. The corruptions are
    left out where their passes are more than 15 % of `training_passes`: a rule that depends on
    the trial's configuration alone, so that all trials of a table have them or none.
    `everything` adds PGD.
    """
    found = Measures()
    pixels = pixel_space(dataset, split)
    if isinstance(pixels, str):
        wanted = [CORRUPTED, FGSM, *([PGD] if everything else [])]
        found.absent |= dict.fromkeys(wanted, f"not applicable: {pixels}")
    else:
        found.metrics[FGSM] = fgsm_accuracy(model, split, pixels)
        if CONDITIONS * len(split) > LARGEST_SHARE * training_passes:
            found.absent[CORRUPTED] = (
                f"{CONDITIONS} passes over the test split are more than {LARGEST_SHARE:.0%} of "
                "this training; `resonance evaluate` measures it"
            )
        else:
            found.corruption = corruption_accuracy(model, split, pixels)
            found.metrics |= _corruption_means(found.corruption)
        if everything:
            found.metrics[PGD] = pgd_accuracy(model, split, pixels)
    _add_units(found, model, masks, split)
    _add_size(found, model, masks)
    return found


def _corruption_means(accuracy: Mapping[str, list[float]]) -> dict[str, float]:
    means = {kind: sum(values) / len(values) for kind, values in accuracy.items()}
    return {
        CORRUPTED: sum(means.values()) / len(means),
        **{f"{CORRUPTED}_{kind}": mean for kind, mean in means.items()},
    }


def _add_units(
    found: Measures, model: nn.Module, masks: Mapping[str, Tensor], split: Split
) -> None:
    examples, _ = next(split.batches(SAMPLE))
    layers = dead_units(model, masks, examples)
    for name, units in layers.items():
        found.layers[name] = {
            "units": units.total,
            "unconnected_units": units.unconnected,
            "silent_units": units.silent,
        }
    total = sum(units.total for units in layers.values())
    found.metrics["unconnected_units"] = sum(u.unconnected for u in layers.values()) / total
    found.metrics["collapsed_layers"] = sum(units.collapsed for units in layers.values())
    watched = [(u.silent, u.total) for u in layers.values() if u.silent is not None]
    if watched:
        silent, units_watched = (sum(numbers) for numbers in zip(*watched, strict=True))
        found.metrics["silent_units"] = silent / units_watched
    else:
        found.absent["silent_units"] = "not applicable: no layer is followed by a ReLU"


def _add_size(found: Measures, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    size = disk_size(model, masks)
    found.metrics |= {"dense_bytes": size.dense, "sparse_bytes": size.sparse}
    for name, storage in size.storage.items():
        found.layers[name]["storage"] = storage
