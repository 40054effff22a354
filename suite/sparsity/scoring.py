"""Scoring connections before training, on a copy of the model."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from suite.core.errors import InvalidInput, TrialFailed, first_line
from suite.core.seeds import derive_seed
from suite.sparsity.inputs import Tensors, describe, map_tensors, tensors_of
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.modules import call

Loss = Callable[[Any, Any], Tensor]
"""(outputs, targets) → scalar. The outputs are those of the model, as it returns them."""


class Examples:
    """A pool of training examples that a method may score connections with.

    Args:
        x: inputs [n, …]: a tensor, a sequence of them (the model's positional arguments) or a
            mapping (its keyword arguments).
        y: targets [n, …]: a tensor, or several, which only `loss` can interpret; None where the
            model computes its loss from its inputs.
        loss: what training minimises.
        seed: of the trial; it decides which examples a batch holds.
        device: where batches are needed; that of the inputs if left out.
        loss_takes_logits: `loss` accepts a tensor of logits, whatever the model returns.
        real_targets: the targets are real numbers to predict, without classes.

    Raises:
        InvalidInput: tensors of different lengths, or of none.
    """

    def __init__(
        self,
        x: Tensors,
        y: Tensors | None,
        loss: Loss,
        seed: int,
        *,
        device: torch.device | None = None,
        loss_takes_logits: bool = False,
        real_targets: bool = False,
    ) -> None:
        lengths = [len(t) if t.ndim else 0 for t in (*tensors_of(x), *tensors_of(y))]
        if not tensors_of(x) or min(lengths) == 0 or len(set(lengths)) > 1:
            raise InvalidInput(
                f"examples: inputs {describe(x)}, targets {describe(y)}: the first dimension of "
                "each must be the number of examples, the same for all and above 0"
            )
        self.x, self.y, self.loss = x, y, loss
        self.loss_takes_logits = loss_takes_logits
        self.real_targets = real_targets
        self._device = device or tensors_of(x)[0].device
        generator = torch.Generator().manual_seed(derive_seed(seed, "scoring"))
        self._order = torch.randperm(lengths[0], generator=generator)

    def __len__(self) -> int:
        return len(self._order)

    def first(self, count: int) -> Tensors:
        """Return the inputs of the first `count` examples, as they were given; a copy."""
        return map_tensors(lambda tensor: tensor[:count].clone().to(self._device), self.x)

    def first_nonfinite(self) -> int | None:
        """Return the index of the first example with NaN or infinity; None if there is none."""
        found = [
            ~tensor.isfinite().reshape(len(tensor), -1).all(1).cpu()
            for tensor in (*tensors_of(self.x), *tensors_of(self.y))
        ]
        places = torch.stack(found).any(0).nonzero().flatten()
        return int(places[0]) if len(places) else None

    def batch(self, count: int) -> tuple[Tensors, Tensors | None]:
        """Return `count` examples drawn without replacement (all, where there are fewer)."""
        return self._pick(self._order[:count])

    def balanced(self, per_class: int, classes: int) -> tuple[Tensors, Tensors | None]:
        """Return up to `per_class` examples of each class.

        Raises:
            InvalidInput: there is no example of some class, or targets are not class labels.
        """
        if not isinstance(self.y, Tensor) or self.y.ndim != 1 or self.y.is_floating_point():
            raise InvalidInput("a class-balanced batch needs class labels as targets")
        labels = self.y.cpu()[self._order]
        chosen = []
        for label in range(classes):
            places = (labels == label).nonzero().flatten()[:per_class]
            if len(places) == 0:
                raise InvalidInput(
                    f"a class-balanced batch needs examples of every class: there is none of "
                    f"class {label} among {len(labels)}; give more examples"
                )
            chosen.append(self._order[places])
        return self._pick(torch.cat(chosen))

    def loss_of(self, outputs: Any, targets: Tensors | None) -> Tensor:
        """Return the loss, a scalar.

        Raises:
            InvalidInput: it cannot be computed, is no scalar, or depends on no weight.
        """
        with _refusing(f"the loss of outputs {describe(outputs)} and targets {describe(targets)}"):
            value = self.loss(outputs, targets)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise InvalidInput(
                f"loss= must return one number as a tensor (reduction='mean'), not "
                f"{describe(value)}"
            )
        if not value.requires_grad:
            raise InvalidInput(
                "the loss does not depend on the weights by differentiable operations: scoring "
                "needs its gradient"
            )
        return value

    def _pick(self, chosen: Tensor) -> tuple[Tensors, Tensors | None]:
        def pick(tensor: Tensor) -> Tensor:
            return tensor[chosen.to(tensor.device)].to(self._device)

        return map_tensors(pick, self.x), None if self.y is None else map_tensors(pick, self.y)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Turn the errors of a model or a loss that is given what it cannot take into one line."""
    try:
        yield
    except (InvalidInput, TrialFailed, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidInput(f"{what} cannot be computed: {first_line(error)}") from error


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

    def outputs(self, inputs: Tensors) -> Any:
        """Return the copy's outputs, as it returns them.

        Raises:
            InvalidInput: it does not take these inputs.
        """
        with _refusing(f"the model's outputs for examples {describe(inputs)}"):
            return call(self.model, inputs)

    @contextmanager
    def recurrent(self) -> Iterator[None]:
        """Let recurrent layers be differentiated in evaluation mode, and twice.

        The fused kernels of cuDNN and oneDNN cannot be. Other models are not affected.
        """
        backends: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.mkldnn)
        if not any(isinstance(module, nn.RNNBase) for module in self.model.modules()):
            backends = ()
        enabled = [backend.enabled for backend in backends]
        try:
            for backend in backends:
                backend.enabled = False
            yield
        finally:
            for backend, was in zip(backends, enabled, strict=True):
                backend.enabled = was

    @contextmanager
    def twice_differentiable(self) -> Iterator[None]:
        """Let attention and recurrent layers be differentiated twice: fused kernels cannot be."""
        with self.recurrent(), sdpa_kernel(SDPBackend.MATH):
            yield

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
