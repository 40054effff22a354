"""Which parameters of a model a method may prune."""

from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import UninitializedParameter

from suite.core.errors import InvalidInput
from suite.sparsity.layers import PRUNABLE


@dataclass(frozen=True)
class Prunable:
    """A parameter that may be pruned.

    Attributes:
        name: of the layer, as methods and records call it.
        path: full name of the parameter in the model.
        parameter: the weight.
        module: the module that holds it.
    """

    name: str
    path: str
    parameter: nn.Parameter
    module: nn.Module


def find_prunable(model: nn.Module) -> list[Prunable]:
    """Return the prunable parameters of a model in the order of its modules.

    Prunable are the weights of Linear and Conv layers that are being trained. A weight shared by
    several modules counts once, under its first name; weights that are frozen
    or have no elements are skipped.

    Raises:
        InvalidInput: there is none, one is recomputed by a parametrization (weight norm) so that
            there is nothing to mask in place, or one has no shape yet.
    """
    found: list[Prunable] = []
    seen: set[int] = set()
    for name, module in model.named_modules():
        if not isinstance(module, PRUNABLE):
            continue
        weight = module._parameters.get("weight")
        if weight is None:
            raise InvalidInput(
                f"layer '{name}': its weight is recomputed by a parametrization, which masks in "
                "place cannot reach; remove the parametrization before sparsifying"
            )
        if isinstance(weight, UninitializedParameter):
            raise InvalidInput(
                f"layer '{name}' has no weights yet: run one batch through the model first, and "
                "build the optimizer after that"
            )
        if id(weight) in seen or not weight.requires_grad or weight.numel() == 0:
            continue
        seen.add(id(weight))
        path = f"{name}.weight" if name else "weight"
        found.append(Prunable(name, path, weight, module))
    if not found:
        raise InvalidInput(
            f"{type(model).__name__} has no prunable layer: there must be a Linear or Conv layer "
            "whose weight is trained"
        )
    return found
