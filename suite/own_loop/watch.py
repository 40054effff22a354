"""Writes to masked weights that did not come from their method."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput
from suite.sparsity.layers import nonzero_outside_mask
from suite.sparsity.storage.execution import Execution
from suite.sparsity.storage.masked import MaskedWeight

WAY_OUT = (
    "load the method's state as well (handle.load_state_dict), zero what was written "
    "(handle.apply_masks()), or detach the method first (handle.detach())"
)


@dataclass(frozen=True)
class _Known:
    """A weight as its method left it.

    Attributes:
        version: counts the writes in place that autograd knows of.
        pointer: where its values are; ``weight.data = …`` moves it.
    """

    weight: MaskedWeight
    version: int
    pointer: int

    @property
    def is_written(self) -> bool:
        """Whether something has been written to the weight, or put in its place."""
        parameter = self.weight.parameter
        return parameter._version != self.version or parameter.data_ptr() != self.pointer


class WeightWatch:
    """Notices writes to masked weights, whoever made them, without waiting for the device.

    `check` compares version counters and data pointers at every step; only where one has changed
    are the weights themselves looked at. Writes through ``weight.data`` change neither: `sample`
    adds the largest weight outside a mask to a number on the device, which `read` fetches.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._known: list[_Known] = []
        self._outside: Tensor | None = None
        self._sampled = (0, 0)

    def record(self) -> None:
        """Take the weights as they are now as what the method left."""
        self._known = [
            _Known(weight, weight.parameter._version, weight.parameter.data_ptr())
            for weight in self._execution.masked_weights()
        ]

    def written(self) -> list[MaskedWeight]:
        """Return the weights that something else has written to since `record`."""
        return [known.weight for known in self._known if known.is_written]

    def check(self) -> None:
        """Check the weights that were written to.

        Raises:
            InvalidInput: one is not 0 outside its mask, or its layer holds another parameter.
        """
        for known in self._known:
            check_in_place(known.weight)
        if not (written := self.written()):
            return
        if messages := nonzero_outside_mask(written):
            raise InvalidInput(
                f"weights were loaded or written that are not as sparse as the method's masks "
                f"({messages[0]}): {WAY_OUT}"
            )
        self.record()

    @torch.no_grad()
    def sample(self, step: int) -> None:
        """Note the largest |w| outside the masks before `step`, on the device."""
        weights = [w for w in self._execution.masked_weights() if w.active < w.size]
        if not weights:
            return
        parameters: list[Tensor] = [weight.parameter.detach() for weight in weights]
        outside = torch._foreach_mul(parameters, [weight.kept for weight in weights])
        torch._foreach_sub_(outside, parameters)
        norms = torch._foreach_norm(outside, torch.inf)
        device = norms[0].device
        largest = torch.stack([n.to(device, torch.float32, non_blocking=True) for n in norms]).max()
        if self._outside is None:
            self._outside, self._sampled = largest, (step, step)
        else:
            self._outside = torch.maximum(self._outside, largest)
            self._sampled = (self._sampled[0], step)

    def read(self) -> None:
        """Fetch what `sample` has noted since the last time.

        Raises:
            InvalidInput: at one of these steps there were weights outside a mask that were not 0.
        """
        if self._outside is None:
            return
        largest, (first, last) = float(self._outside), self._sampled
        # NaN comes from training that diverges, which the method's next decision reports.
        if largest == 0 or math.isnan(largest):
            self._outside = None
            return
        now = nonzero_outside_mask(self._execution.masked_weights())
        if not now:
            self._outside = None
        where = now[0] if now else f"up to |w| = {largest:.3g}, and 0 again now"
        raise InvalidInput(
            f"between steps {first} and {last} weights outside the method's masks were not 0 "
            f"({where}), written through weight.data for instance: {WAY_OUT}"
        )

    def forget(self) -> None:
        """Forget what was noted: the weights have been masked again."""
        self._outside = None
        self.record()


def check_in_place(weight: MaskedWeight) -> None:
    """Check that a layer still holds the parameter that the method masks.

    Raises:
        InvalidInput: it holds another one.
    """
    prunable = weight.prunable
    held: nn.Parameter | None = prunable.module._parameters.get(prunable.path.rpartition(".")[2])
    if held is not weight.parameter:
        raise InvalidInput(
            f"layer '{weight.name}' holds another parameter than the one that was sparsified "
            "(load_state_dict(assign=True), an assignment): build the optimizer anew, detach the "
            "method, and call sparsify(…, state=handle.state_dict())"
        )
