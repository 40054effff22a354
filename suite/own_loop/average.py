"""An average of a sparse model's weights over the steps of its training (EMA or SWA)."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn

from suite.core.errors import InvalidInput
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.modules import unwrap


class Average:
    """The average of a model's weights over its training, as sparse as the model is now.

    An ordinary average keeps every connection that was ever active; this one follows the masks:

    - A weight that is pruned is 0 in the average at once.
    - The average of a newly grown weight starts at 0, as the weight itself does; the steps before
      count as 0, also where it was active once before. (One that an update drops and regrows at
      once keeps its average.)

    Everything else is averaged as by `torch.optim.swa_utils.AveragedModel`: the first update copies
    the weights; in the dtype and on the devices of the model.

    Buffers are not averaged: they are the model's latest. The statistics of BatchNorm layers are
    therefore those of the model's weights, not of the averaged ones. After the last update,
    ``torch.optim.swa_utils.update_bn(loader, average.model)`` computes the right ones.

    Args:
        model: that is being trained.
        layers: its prunable weights.
        decay: of an exponential moving average (EMA), in [0, 1); None for equal weights of all
            updates (SWA, Izmailov et al. 2018, arXiv:1803.05407).

    Attributes:
        updates: how many updates were averaged.

    Raises:
        InvalidInput: `decay` is not such a number.
    """

    def __init__(
        self, model: nn.Module, layers: Sequence[PrunableWeight], decay: float | None = 0.999
    ) -> None:
        if not _is_decay(decay):
            raise InvalidInput(
                f"decay={decay!r} is not usable: give a number in [0, 1), or None for equal weights"
            )
        self.decay = None if decay is None else float(decay)
        self.updates = 0
        self._source = unwrap(model)
        self._layers = list(layers)
        self._average = (
            get_swa_multi_avg_fn() if self.decay is None else get_ema_multi_avg_fn(self.decay)
        )
        # Sparse (CSR) layers are copied as ordinary ones.
        self._model = copy.deepcopy(self._source).eval().requires_grad_(False)
        self._model.zero_grad(set_to_none=True)
        self._weights: list[Tensor] = [
            self._model.get_parameter(layer.path) for layer in self._layers
        ]
        # Multiplying by boolean masks would convert them every time.
        self._multipliers = [torch.ones_like(weight) for weight in self._weights]
        self._masks: list[Tensor | None] = [None] * len(self._layers)
        self._averaged, self._copied = self._other_places()
        self._swapped = False
        self._follow_masks()

    @property
    def model(self) -> nn.Module:
        """The averaged model: dense, in evaluation mode, its parameters without gradients.

        Weights outside the current masks are exactly 0. The same object at every access; the next
        update changes it in place.
        """
        self._follow_masks()
        return self._model

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's current weights into the average; call it after each optimizer step.

        Raises:
            InvalidInput: inside `applied`, where the model holds the average itself.
        """
        self._require_own_weights("update()")
        averaged = self._weights + [place.averaged for place in self._averaged]
        latest = [layer.values for layer in self._layers]
        latest += [place.latest for place in self._averaged]
        if self.updates == 0:
            torch._foreach_copy_(averaged, latest)
        else:
            self._average(averaged, latest, self.updates)
        if self._copied:
            torch._foreach_copy_(
                [place.averaged for place in self._copied],
                [place.latest for place in self._copied],
            )
        self._follow_masks()
        # Also under unchanged masks: what was written into the model may not have been as sparse.
        torch._foreach_mul_(self._weights, self._multipliers)
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model hold the average, weights and buffers, within a ``with`` block.

        For evaluation. Afterwards the model is what it was before, bit for bit, whatever was
        written to its parameters and buffers meanwhile.

        Raises:
            InvalidInput: a layer is stored sparse (CSR), or the model holds the average already.
        """
        self._require_own_weights("applied()")
        own = [self._source.get_parameter(layer.path) for layer in self._layers]
        for layer, parameter in zip(self._layers, own, strict=True):
            if parameter.shape != layer.shape:
                raise InvalidInput(
                    f"layer '{layer.name}' is stored sparse (execution=csr), where an average "
                    "cannot be put in place: evaluate average.model instead"
                )
        self._follow_masks()
        places = self._averaged + self._copied
        averaged = self._weights + [place.averaged for place in places]
        latest = [parameter.detach() for parameter in own] + [place.latest for place in places]
        before = [value.clone() for value in latest]
        self._swapped = True
        try:
            torch._foreach_copy_(latest, averaged)
            yield
        finally:
            torch._foreach_copy_(latest, before)
            self._swapped = False

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to resume; as with torch's own, tensors are the live ones."""
        self._follow_masks()
        tensors = {name: value.detach() for name, value in _tensors(self._model).items()}
        return {"decay": self.decay, "updates": self.updates, "tensors": tensors}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`, after the method's state: the masks must be those it had.

        Raises:
            InvalidInput: it is of another decay, model or masks; nothing is changed.
        """
        if not isinstance(state, Mapping):
            raise InvalidInput(
                f"the state of an average is no {type(state).__name__}: give what "
                "average.state_dict() returned"
            )
        if not {"decay", "updates", "tensors"} <= state.keys():
            raise InvalidInput(
                f"a state with {', '.join(map(str, state)) or 'nothing'} is not that of an "
                "average: give what average.state_dict() returned"
            )
        if state["decay"] != self.decay:
            raise InvalidInput(
                f"the saved average has decay={state['decay']}, this one {self.decay}: resume "
                f"with decay={state['decay']}"
            )
        own, saved = _tensors(self._model), state["tensors"]
        for name in {**own, **saved}:
            if name not in saved or name not in own or saved[name].shape != own[name].shape:
                raise InvalidInput(
                    f"the saved average is of another model: '{name}' differs; build the model "
                    "that it was saved with"
                )
        for layer, weight in zip(self._layers, self._weights, strict=True):
            name = next(name for name, value in own.items() if value is weight)  # of a shared one
            if bool(((saved[name].to(layer.device) != 0) & ~layer.mask).any()):
                raise InvalidInput(
                    f"the saved average has weights outside the mask of layer '{layer.name}': load "
                    "the method's state first"
                )
        for name, value in own.items():
            value.copy_(saved[name])
        self.updates = state["updates"]

    def _require_own_weights(self, called: str) -> None:
        if self._swapped:
            raise InvalidInput(
                f"{called} inside applied(): the model holds its average there, leave the block "
                "before training on"
            )

    def _other_places(self) -> tuple[list["_Place"], list["_Place"]]:
        """Return where tensors are that are averaged without a mask, and those only copied."""
        held = {id(weight) for weight in self._weights}
        averaged: list[_Place] = []
        copied: list[_Place] = []
        for name, value in _tensors(self._model).items():
            path, _, own = name.rpartition(".")
            place = _Place(self._model.get_submodule(path), self._source.get_submodule(path), own)
            real = isinstance(value, nn.Parameter) and (
                value.is_floating_point() or value.is_complex()
            )
            if id(value) not in held:
                (averaged if real else copied).append(place)
        return averaged, copied

    @torch.no_grad()
    def _follow_masks(self) -> None:
        """Zero what was pruned since the last call."""
        for index, layer in enumerate(self._layers):
            mask = layer.mask
            if mask is not self._masks[index]:  # a sparse layer's is a new tensor at each access
                self._masks[index] = mask
                self._multipliers[index].copy_(mask)
                self._weights[index].mul_(self._multipliers[index])


def _is_decay(value: Any) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return value is None or (number and 0 <= float(value) < 1)


@dataclass(frozen=True)
class _Place:
    """A tensor's place in the averaged model and in the one that trains.

    Not the tensor: another one may take its place.
    """

    in_average: nn.Module
    in_model: nn.Module
    name: str

    @property
    def averaged(self) -> Tensor:
        return _tensor(self.in_average, self.name)

    @property
    def latest(self) -> Tensor:
        return _tensor(self.in_model, self.name)


def _tensor(module: nn.Module, name: str) -> Tensor:
    value: Tensor = getattr(module, name)
    return value.detach()


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers by name, shared ones once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
