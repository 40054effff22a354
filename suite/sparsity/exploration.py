"""Which weights were ever active during a training: the exploration rate R_s."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Exploration:
    """Records, layer by layer, which weights were active at any time.

    Source: Liu et al. 2021, arXiv:2102.02887, §3: the in-time over-parameterization rate R_s is
    the number of weights that were ever active divided by the number of weights.

    Attributes:
        grew: whether any weight was grown, that is whether masks were dynamic at all.
    """

    def __init__(self) -> None:
        self.grew = False
        # A layer that is not listed was dense at first: all of its weights were active then.
        self._ever: dict[str, Tensor] = {}

    def begin(self, layer: str, mask: Tensor) -> None:
        """Take a layer's first mask; weights outside it were never active."""
        self._ever[layer] = mask.clone()

    def add(self, layer: str, mask: Tensor, *, grown: bool = True) -> None:
        """Add a later mask of a layer; `grown`: whether it has weights that its last one had not.

        A mask without any grown weight adds nothing to what was ever active.
        """
        if not grown:
            return
        self.grew = True
        if (ever := self._ever.get(layer)) is not None:
            # As bytes: torch's operations on booleans are several times slower on a CPU.
            ever.view(torch.uint8).bitwise_or_(mask.contiguous().view(torch.uint8))

    def rate(self, sizes: Mapping[str, int]) -> float | None:
        """Return R_s over the layers of `sizes` (numbers of weights); None if none was grown."""
        if not self.grew:
            return None
        never = sum(
            int(ever.numel() - ever.view(torch.uint8).count_nonzero())
            for name, ever in self._ever.items()
            if name in sizes
        )
        size = sum(sizes.values())
        return (size - never) / size

    def state(self) -> dict[str, Any]:
        """Return what `load` restores."""
        return {"grew": self.grew, "ever": dict(self._ever)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self.grew = bool(state["grew"])
        self._ever = {name: ever.clone() for name, ever in state["ever"].items()}
