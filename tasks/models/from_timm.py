"""Models of timm by their names there: ``timm:resnet18``; needs the extra `timm`."""

import difflib
from typing import Any

import torch
from torch import nn

from suite.core.errors import InvalidInput, first_line

PREFIX = "timm:"
NOT_OPTIONS = ("num_classes", "in_chans", "checkpoint_path", "pretrained_cfg", "cache_dir")
"""Arguments of `timm.create_model` that the dataset decides, or that would read other files."""


def create(name: str, shape: tuple[int, ...], classes: int, **options: Any) -> nn.Module:
    """Return a model of timm for images of a dataset; its weights are drawn, unless asked for.

    Args:
        name: of the model, without the prefix; with a tag of its weights if `pretrained`.
        shape: of an image, (channels, height, width); also `img_size` of models that fix it.
        classes: number of outputs.
        options: of `timm.create_model`; ``pretrained=True`` takes published weights from the
            cache of Hugging Face, or fetches them.

    Raises:
        InvalidInput: timm is not installed, has no such model, or cannot make it for these inputs.
    """
    try:
        import timm
    except ImportError as error:
        raise InvalidInput(
            f"model {PREFIX}{name} needs timm: pip install 'resonance-bench[timm]'"
        ) from error
    if ":" in name or "/" in name or not timm.is_model(name):
        known = timm.list_models()
        near = ", ".join(difflib.get_close_matches(name, known, 3)) or ", ".join(known[:3])
        raise InvalidInput(
            f"timm {timm.__version__} has no model '{name}': nearest are {near} ({len(known)} in "
            "all: timm.list_models())"
        )
    for option in NOT_OPTIONS:
        if option in options:
            raise InvalidInput(f"model_options: '{option}' is not an option here: leave it out")
    if len(shape) != 3:
        raise InvalidInput(
            f"model {PREFIX}{name} takes images (channels, height, width), and the dataset's "
            f"examples have the shape {shape}: choose another model, such as mlp"
        )
    pretrained = options.pop("pretrained", False)
    if not isinstance(pretrained, bool):
        raise InvalidInput(f"model_options: pretrained={pretrained!r:.80}: give true or false")
    fixed = timm.get_pretrained_cfg(name)
    if fixed is not None and fixed.fixed_input_size:
        options = {"img_size": shape[1:], **options}
    # Counting parameters on the meta device needs no weights.
    pretrained = pretrained and torch.get_default_device().type != "meta"
    try:
        model = timm.create_model(
            name, pretrained=pretrained, num_classes=classes, in_chans=shape[0], **options
        )
    except Exception as error:  # timm's models assert; a download fails in many ways
        where = "×".join(map(str, shape))
        hint = "; connect to the network once, or leave out pretrained" if _missing(error) else ""
        raise InvalidInput(
            f"model {PREFIX}{name} cannot be made for inputs of {where}: "
            f"{type(error).__name__}: {first_line(error)}{hint}"
        ) from error
    _check_patches(model, name, shape)
    return model


def _check_patches(model: nn.Module, name: str, shape: tuple[int, ...]) -> None:
    """Refuse sides that are not whole patches: what is left over would not be seen."""
    embedding = getattr(model, "patch_embed", None)
    patch = getattr(embedding, "patch_size", None)
    if not isinstance(patch, tuple) or getattr(embedding, "dynamic_img_pad", False):
        return
    if any(side % of for side, of in zip(shape[1:], patch, strict=True)):
        fitting = -(-max(shape[1:]) // patch[0]) * patch[0]
        raise InvalidInput(
            f"model {PREFIX}{name} reads patches of {patch[0]}×{patch[1]} pixels, and images are "
            f"{shape[1]}×{shape[2]}: scale them to a multiple, e.g. data size: {fitting}"
        )


def _missing(error: Exception) -> bool:
    """Return whether weights could not be had: offline, or not published."""
    return isinstance(error, OSError) or "pretrained" in str(error).lower()
