"""Writes to masked weights that did not come from their method."""

import math
from collections.abc import Mapping

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


_Known = tuple[MaskedWeight, nn.Parameter, int, int, Mapping[str, nn.Parameter | None], str]
"""A weight as its method left it: its parameter, the parameter's version (which counts the writes
in place that autograd knows of) and data pointer (which ``weight.data = …`` moves), and its place
in its module. Plain tuples, because one is made for every weight in every step."""


class WeightWatch:
    """Notices writes to masked weights, whoever made them, without waiting for the device.

    `check` compares version counters and data pointers at every step; only where one has changed
    are the weights themselves looked at. Writes through ``weight.data`` change neither: `sample`
    adds the squares of the weights outside the masks to a number on the device, which `read`
    fetches.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._known: list[_Known] = []
        self._outside: Tensor | None = None
        self._sampled = (0, 0)

    def record(self) -> None:
        """Take the weights as they are now as what the method left."""
        known: list[_Known] = []
        for weight in self._execution.masked_weights():
            parameter, prunable = weight.parameter, weight.prunable
            holder = prunable.module._parameters
            version, pointer = parameter._version, parameter.data_ptr()
            known.append((weight, parameter, version, pointer, holder, prunable.leaf))
        self._known = known

    def written(self) -> list[MaskedWeight]:
        """Return the weights that something else has written to since `record`."""
        return [
            weight
            for weight, parameter, version, pointer, _, _ in self._known
            if parameter._version != version or parameter.data_ptr() != pointer
        ]

    def check(self) -> None:
        """Check the weights that were written to.

        Raises:
            InvalidInput: one is not 0 outside its mask or was converted to another dtype or
                device, or its layer holds another parameter.
        """
        for weight, parameter, _, _, holder, leaf in self._known:
            if holder.get(leaf) is not parameter:
                raise _replaced(weight)
        if not (written := self.written()):
            return
        for weight in written:
            _check_not_converted(weight)
        if messages := nonzero_outside_mask(written):
            raise InvalidInput(
                f"weights were loaded or written that are not as sparse as the method's masks "
                f"({messages[0]}): {WAY_OUT}"
            )
        self.record()

    @torch.no_grad()
    def sample(self, step: int) -> None:
        """Add up the squares of the weights outside the masks before `step`, on the device."""
        weights = [w for w in self._execution.masked_weights() if w.active < w.size]
        if not weights:
            return
        parameters: list[Tensor] = [weight.parameter.detach() for weight in weights]
        kept = [weight.kept for weight in weights]
        outside = torch._foreach_addcmul(parameters, parameters, kept, value=-1)
        squares = [torch.dot(part.flatten(), part.flatten()) for part in outside]
        device = squares[0].device
        total = torch.stack([s.to(device, torch.float32, non_blocking=True) for s in squares]).sum()
        if self._outside is None:
            self._outside, self._sampled = total, (step, step)
        else:
            self._outside = self._outside + total
            self._sampled = (self._sampled[0], step)

    def read(self) -> None:
        """Fetch what `sample` has noted since the last time.

        Raises:
            InvalidInput: at one of these steps there were weights outside a mask that were not 0.
        """
        if self._outside is None:
            return
        squares, (first, last) = float(self._outside), self._sampled
        # NaN comes from training that diverges, which the method's next decision reports.
        if squares == 0 or math.isnan(squares):
            self._outside = None
            return
        now = nonzero_outside_mask(self._execution.masked_weights())
        if not now:
            self._outside = None
        where = now[0] if now else "they are 0 again now"
        raise InvalidInput(
            f"between steps {first} and {last} weights outside the method's masks were not 0 "
            f"({where}), written through weight.data or weight.grad.data for instance: {WAY_OUT}"
        )

    def forget(self) -> None:
        """Forget what was noted: the weights have been masked again."""
        self._outside = None
        self.record()


def _replaced(weight: MaskedWeight) -> InvalidInput:
    return InvalidInput(
        f"layer '{weight.name}' holds another parameter than the one that was sparsified "
        "(load_state_dict(assign=True), an assignment): build the optimizer anew, detach the "
        "method, and call sparsify(…, state=handle.state_dict())"
    )


def _check_not_converted(weight: MaskedWeight) -> None:
    now, then = weight.parameter, weight.multiplier
    if now.dtype != then.dtype or now.device != then.device:
        raise InvalidInput(
            f"layer '{weight.name}' was {then.dtype} on {then.device} when it was sparsified and "
            f"is {now.dtype} on {now.device} now: move and convert the model before sparsify, or "
            "detach the method, and call sparsify(…, state=handle.state_dict())"
        )
