"""The training recipe: each field declared once, with its default, bounds and meaning.

A field that is added later needs a default that changes nothing, because trials are named by what
differs from the defaults.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, get_origin

from suite.core.declarations import Hyperparameter, Search, Value
from suite.core.errors import InvalidInput

MOST_BUDGET = 1000.0
"""A `flops_budget` above it is taken for a mistake."""


def _setting(default: Value, meaning: str, **declared: Any) -> Any:
    """Declare a field of `Recipe`: its default, and the rest of its `Hyperparameter`."""
    declared |= {"default": default, "meaning": meaning}
    return field(default=default, metadata=declared)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, every field resolved and checked. `RECIPE` is derived from it.

    It is the single source of fields for help, validation, keys, documentation and tuning spaces.
    """

    epochs: int = _setting(10, "passes over the training data", low=1, unit="epochs")
    max_steps: int = _setting(
        0,
        "training ends after this many optimizer steps if `epochs` are not over by then, within an "
        "epoch if need be; 0: no bound",
        low=0,
        unit="steps",
        search=Search(choices=(0,)),
    )
    flops_budget: float = _setting(
        0.0,
        "training FLOPs in all, as a multiple of what the task's dense network costs over `epochs` "
        "and `max_steps`: how many steps are taken follows from what the method's cost; 0: the "
        "steps are those of `epochs` and `max_steps`",
        low=0.0,
        high=MOST_BUDGET,
        unit="times dense training",
        search=Search(choices=(0.0,)),
    )
    batch_size: int = _setting(
        128,
        "examples per step; the last, incomplete batch of an epoch is left out",
        low=1,
        unit="examples",
    )
    optimizer: str = _setting("sgd", "optimizer", choices=("sgd", "adam", "adamw"))
    learning_rate: float = _setting(
        0.1, "peak learning rate", low=0.0, search=Search(low=1e-4, high=1.0, log=True)
    )
    momentum: float = _setting(0.9, "momentum of sgd", low=0.0, below=1.0)
    nesterov: bool = _setting(False, "Nesterov momentum for sgd")
    weight_decay: float = _setting(
        0.0,
        "L2 coefficient (decoupled under adamw)",
        low=0.0,
        search=Search(low=1e-6, high=1e-2, log=True),
    )
    weight_decay_scope: str = _setting(
        "all",
        "what decays: all parameters, or only those of two and more dimensions (no bias, no norm)",
        choices=("all", "matrices"),
        search=Search(choices=("all",)),
        formerly="decay_what",
    )
    beta2: float = _setting(
        0.999, "decay of the second moment of adam and adamw", low=0.0, below=1.0
    )
    schedule: str = _setting(
        "cosine",
        "learning rate over training: constant, a half cosine or a straight line down to "
        "min_lr_ratio, or a step down at each milestone",
        choices=("constant", "cosine", "linear", "step"),
        search=Search(choices=("constant", "cosine")),
    )
    milestones: tuple[float, ...] = _setting(
        (),
        "where schedule=step multiplies the learning rate by decay_factor",
        unit="fractions of training",
    )
    decay_factor: float = _setting(
        0.1, "what schedule=step multiplies the learning rate by", low=0.0, high=1.0
    )
    min_lr_ratio: float = _setting(
        0.0,
        "where cosine and linear end, as a fraction of the peak",
        low=0.0,
        high=1.0,
        formerly="final_rate",
    )
    warmup: float = _setting(0.0, "linear warm-up", low=0.0, below=1.0, unit="fraction of training")
    clip_norm: float = _setting(0.0, "clip the gradient's norm to this; 0 disables it", low=0.0)
    label_smoothing: float = _setting(0.0, "label smoothing of the loss", low=0.0, below=1.0)
    validation: float = _setting(
        0.1,
        "fraction of the training data held out for validation, stratified; 0 trains on all of it",
        low=0.0,
        below=1.0,
    )
    split_seed: str = _setting(
        "fixed",
        "what the validation split is drawn with: the same for every trial (fixed), or the trial's "
        "seed (seed), so that results vary with the split as well; methods of one seed share it",
        choices=("fixed", "seed"),
        source="Bouthillier et al. 2021, arXiv:2103.03098",
        search=Search(choices=("fixed",)),
    )
    per_image_standardization: bool = _setting(
        False,
        "each image is standardised by its own mean and deviation, over all channels, in place of "
        "the dataset's constants",
        source="TensorFlow, tf.image.per_image_standardization",
        search=Search(choices=(False,)),
    )
    crop: int = _setting(
        0, "images are shifted at random by up to this much each way", low=0, unit="pixels"
    )
    crop_fill: str = _setting(
        "reflect",
        "how the exposed border is filled: by reflection about the edge (reflect), by reflection "
        "that repeats the edge (symmetric), or with zero after normalisation",
        choices=("reflect", "zero", "symmetric"),
        search=Search(choices=("reflect",)),
    )
    flip: bool = _setting(
        False, "images are mirrored left to right, at random", search=Search(choices=(False,))
    )
    cutout: int = _setting(
        0,
        "side of a square that is set to zero after normalisation, at a random place",
        low=0,
        unit="pixels",
        source="DeVries & Taylor 2017, arXiv:1708.04552",
    )
    smallest_crop: float = _setting(
        0.0,
        "streamed images: a random part of at least this fraction of the area, with an aspect "
        "ratio of 3/4 to 4/3, is scaled to the input's size; 0 uses the centre crop",
        low=0.0,
        high=1.0,
        source="Szegedy et al. 2015, arXiv:1409.4842, §6",
    )
    channels_last: bool = _setting(
        False,
        "use the channels-last memory format: faster on some machines",
        search=Search(choices=(False,)),
    )
    compile: bool = _setting(
        False,
        "compile the model with torch.compile: faster after a slow start",
        search=Search(choices=(False,)),
    )

    @classmethod
    def of(cls, values: Mapping[str, Value]) -> "Recipe":
        """Return the recipe of checked values (`Task.resolve`); fields left out keep defaults.

        Raises:
            InvalidInput: milestones that are not fractions of training.
        """
        known = dict(values)
        if isinstance(milestones := known.get("milestones"), tuple):
            known["milestones"] = parse_milestones(milestones)  # type: ignore[assignment]
        return cls(**known)  # type: ignore[arg-type]

    def steps(self, examples: int) -> int:
        """Return the optimizer steps of one round of training on so many examples.

        Those of `epochs` and `max_steps`, whatever the `flops_budget`: so long is dense training.
        """
        whole = self.epochs * (examples // self.batch_size)
        return min(whole, self.max_steps) if self.max_steps else whole


def _hyperparameter(declared: Field[Any]) -> Hyperparameter:
    kind: Any = get_origin(declared.type) or declared.type
    return Hyperparameter(name=declared.name, type=kind, **declared.metadata)


RECIPE: tuple[Hyperparameter, ...] = tuple(map(_hyperparameter, fields(Recipe)))
"""The fields of `Recipe` as declarations, in order."""


def parse_milestones(milestones: tuple[str, ...]) -> tuple[float, ...]:
    """Return milestones as numbers, in ascending order.

    Raises:
        InvalidInput: one is not a fraction of training between 0 and 1.
    """
    try:
        fractions = sorted(float(text) for text in milestones)
    except ValueError:
        fractions = [-1.0]
    if not all(0 < fraction < 1 for fraction in fractions):
        raise InvalidInput(
            f"milestones={','.join(milestones)} is not usable: give fractions of training between "
            "0 and 1, such as 0.5,0.75"
        )
    return tuple(fractions)
