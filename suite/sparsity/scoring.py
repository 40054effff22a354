"""Scoring connections before training, on a copy of the model."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput
from suite.core.seeds import derive_seed
from suite.sparsity.layers import PrunableWeight

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) → scalar."""


class Examples:
    """A pool of training examples that a method may score connections with.

    Args:
        x, y: inputs and targets, [n, …] each.
        loss: what training minimises.
        seed: of the trial; it decides which examples a batch holds.
    """

    def __init__(self, x: Tensor, y: Tensor, loss: Loss, seed: int) -> None:
        if len(x) != len(y) or len(x) == 0:
            raise InvalidInput(f"examples: {len(x)} inputs, {len(y)} targets: give n > 0 of each")
        self.x, self.y, self.loss = x, y, loss
        generator = torch.Generator().manual_seed(derive_seed(seed, "scoring"))
        self._order = torch.randperm(len(x), generator=generator).to(x.device)

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Return `count` examples drawn without replacement (all, where there are fewer)."""
        chosen = self._order[:count]
        return self.x[chosen], self.y[chosen]

    def balanced(self, per_class: int, classes: int) -> tuple[Tensor, Tensor]:
        """Return up to `per_class` examples of each class.

        Raises:
            InvalidInput: there is no example of some class, or targets are not class labels.
        """
        if self.y.ndim != 1 or self.y.is_floating_point():
            raise InvalidInput("a class-balanced batch needs class labels as targets")
        labels = self.y[self._order]
        chosen = []
        for label in range(classes):
            places = (labels == label).nonzero().flatten()[:per_class]
            if len(places) == 0:
                raise InvalidInput(
                    f"a class-balanced batch needs examples of every class: there is none of "
                    f"class {label} among {len(labels)}; give more examples"
                )
            chosen.append(self._order[places])
        picked = torch.cat(chosen)
        return self.x[picked], self.y[picked]


class Probe:
    """A copy of the model to differentiate; the original is not changed.

    Its weights, buffers, gradients, modes and the random state are left as they are. Under
    data-parallel training gradients are averaged over the replicas, as DDP does for training.

    Attributes:
        model: the copy.
        weights: its prunable weights by layer name, dense, zero where inactive.
    """

    def __init__(
        self, model: nn.Module, layers: Sequence[PrunableWeight], seed: int, dtype: torch.dtype
    ) -> None:
        self.model = copy.deepcopy(model).to(dtype)
        self.seed = seed
        self.weights: dict[str, Tensor] = {
            layer.name: self.model.get_parameter(layer.path) for layer in layers
        }
        self.model.zero_grad()

    @contextmanager
    def random(self) -> Iterator[None]:
        """Let dropout draw from a separate seed; the random state is restored afterwards."""
        device = next(self.model.parameters()).device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            yield

    def gradients(self, value: Tensor, *, create_graph: bool = False) -> dict[str, Tensor]:
        """Return ∂value/∂w of every prunable weight; zero if it does not depend on w."""
        gradients = torch.autograd.grad(
            value, list(self.weights.values()), create_graph=create_graph, allow_unused=True
        )
        return {
            name: torch.zeros_like(weight) if gradient is None else gradient
            for (name, weight), gradient in zip(self.weights.items(), gradients, strict=True)
        }

    def mean_gradients(self, value: Tensor) -> dict[str, Tensor]:
        """Return ∂value/∂w, averaged over the replicas of data-parallel training."""
        return averaged(self.gradients(value))


def averaged(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean over all replicas; the tensors themselves where there is one."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return dict(tensors)
    replicas = torch.distributed.get_world_size()
    means = {}
    for name, tensor in tensors.items():
        total = tensor.detach().clone()
        torch.distributed.all_reduce(total)
        means[name] = total / replicas
    return means
