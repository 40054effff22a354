"""The fields of a training recipe, each declared once: defaults, bounds and what they mean.

A field that is added needs a default that changes nothing: trials are named by what differs.
"""

from suite.core.declarations import Hyperparameter, Search
from suite.core.errors import InvalidInput

RECIPE = (
    Hyperparameter("epochs", int, 10, "passes over the training data", low=1, unit="epochs"),
    Hyperparameter(
        "batch_size",
        int,
        128,
        "examples per step; the last, incomplete batch of an epoch is left out",
        low=1,
        unit="examples",
    ),
    Hyperparameter("optimizer", str, "sgd", "optimizer", choices=("sgd", "adam", "adamw")),
    Hyperparameter(
        "learning_rate",
        float,
        0.1,
        "peak learning rate",
        low=0.0,
        search=Search(low=1e-4, high=1.0, log=True),
    ),
    Hyperparameter("momentum", float, 0.9, "momentum of sgd", low=0.0, below=1.0),
    Hyperparameter("nesterov", bool, False, "Nesterov momentum for sgd"),
    Hyperparameter(
        "weight_decay",
        float,
        0.0,
        "L2 coefficient (decoupled under adamw)",
        low=0.0,
        search=Search(low=1e-6, high=1e-2, log=True),
    ),
    Hyperparameter(
        "weight_decay_scope",
        str,
        "all",
        "what decays: all parameters, or only those of two and more dimensions (no bias, no norm)",
        choices=("all", "matrices"),
        search=Search(choices=("all",)),
        formerly="decay_what",
    ),
    Hyperparameter(
        "beta2",
        float,
        0.999,
        "decay of the second moment of adam and adamw",
        low=0.0,
        below=1.0,
    ),
    Hyperparameter(
        "schedule",
        str,
        "cosine",
        "learning rate over training: constant, a half cosine or a straight line down to "
        "min_lr_ratio, or a step down at each milestone",
        choices=("constant", "cosine", "linear", "step"),
        search=Search(choices=("constant", "cosine")),
    ),
    Hyperparameter(
        "milestones",
        tuple,
        (),
        "where schedule=step multiplies the learning rate by decay_factor",
        unit="fractions of training",
    ),
    Hyperparameter(
        "decay_factor",
        float,
        0.1,
        "what schedule=step multiplies the learning rate by",
        low=0.0,
        high=1.0,
    ),
    Hyperparameter(
        "min_lr_ratio",
        float,
        0.0,
        "where cosine and linear end, as a fraction of the peak",
        low=0.0,
        high=1.0,
        formerly="final_rate",
    ),
    Hyperparameter(
        "warmup", float, 0.0, "linear warm-up", low=0.0, below=1.0, unit="fraction of training"
    ),
    Hyperparameter(
        "clip_norm", float, 0.0, "clip the gradient's norm to this; 0 does not clip", low=0.0
    ),
    Hyperparameter(
        "label_smoothing", float, 0.0, "label smoothing of the loss", low=0.0, below=1.0
    ),
    Hyperparameter(
        "validation",
        float,
        0.1,
        "fraction of the training data held out for validation, stratified; 0 trains on all of it",
        low=0.0,
        below=1.0,
    ),
    Hyperparameter(
        "crop",
        int,
        0,
        "images are moved by up to this much in each direction, at random",
        low=0,
        unit="pixels",
    ),
    Hyperparameter(
        "crop_fill",
        str,
        "reflect",
        "what a moved image leaves bare: its reflection, or zero after normalisation",
        choices=("reflect", "zero"),
        search=Search(choices=("reflect",)),
    ),
    Hyperparameter(
        "flip",
        bool,
        False,
        "images are mirrored left to right, at random",
        search=Search(choices=(False,)),
    ),
    Hyperparameter(
        "cutout",
        int,
        0,
        "side of a square that is set to zero after normalisation, at a random place",
        low=0,
        unit="pixels",
        source="DeVries & Taylor 2017, arXiv:1708.04552",
    ),
    Hyperparameter(
        "smallest_crop",
        float,
        0.0,
        "streamed images: a random part of at least this fraction of the area, with an aspect ratio "
        "of 3/4 to 4/3, is scaled to the input's size; 0 takes the middle",
        low=0.0,
        high=1.0,
        source="Szegedy et al. 2015, arXiv:1409.4842, §6",
    ),
    Hyperparameter(
        "channels_last",
        bool,
        False,
        "store images and convolutions with the channels last: faster on some machines",
        search=Search(choices=(False,)),
    ),
    Hyperparameter(
        "compile",
        bool,
        False,
        "compile the model with torch.compile: faster after a slow start",
        search=Search(choices=(False,)),
    ),
)


def shares(milestones: tuple[str, ...]) -> tuple[float, ...]:
    """Return milestones as numbers, in ascending order.

    Raises:
        InvalidInput: one is not a fraction of training between 0 and 1.
    """
    try:
        found = sorted(float(text) for text in milestones)
    except ValueError:
        found = [-1.0]
    if not all(0 < share < 1 for share in found):
        raise InvalidInput(
            f"milestones={','.join(milestones)} is not usable: give fractions of training between 0 "
            "and 1, such as 0.5,0.75"
        )
    return tuple(found)
