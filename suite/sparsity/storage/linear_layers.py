"""The Linear layers of a network, which inference stores in another form."""

from collections import Counter
from collections.abc import Iterator

from torch import nn

SHARED = "its weight is also another layer's"
"""Why a layer of `shared_parameters` stays as it is: another form would be a second copy."""


def shared_parameters(model: nn.Module) -> set[int]:
    """Return the ids of parameters that a model has under more than one name."""
    names = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    return {key for key, count in names.items() if count > 1}


def plain_linear_layers(model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """Yield the Linear layers of a model by name, without those of classes derived from it."""
    return ((name, one) for name, one in model.named_modules() if type(one) is nn.Linear)


def with_submodule(model: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Put `module` in the place of this name; return the model: `module` if the name is empty."""
    if not name:
        return module
    model.set_submodule(name, module)
    return model
