"""Random masks that are the same on every device, for comparing devices.

A method draws on the device of its weights, and generators of a CPU and of a GPU give other numbers
from one seed. Under `SameDraws` both draw on the CPU.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class SameDraws(TorchFunctionMode):
    """While active, what a generator of another device draws comes from one of the CPU.

    The CPU's has the seed that the other was given. Draws without a generator are left alone.
    """

    def __init__(self) -> None:
        super().__init__()
        # Each with the generator that it stands for, so that no other gets its id meanwhile.
        self._twins: dict[int, tuple[Any, torch.Generator]] = {}

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch; one that draws is called on the CPU instead."""
        given = dict(kwargs or {})
        generator = given.get("generator")
        if generator is None or generator.device.type == "cpu":
            return function(*args, **given)
        given["generator"] = self._twin(generator)
        if args and isinstance(args[0], Tensor):  # fills a tensor in place
            drawn = torch.empty(args[0].shape, dtype=args[0].dtype)
            return args[0].copy_(function(drawn, *args[1:], **given))
        device = given.pop("device", generator.device)
        return function(*args, **given).to(device)

    def _twin(self, generator: Any) -> torch.Generator:
        if id(generator) not in self._twins:
            twin = torch.Generator().manual_seed(generator.initial_seed())
            self._twins[id(generator)] = generator, twin
        return self._twins[id(generator)][1]
