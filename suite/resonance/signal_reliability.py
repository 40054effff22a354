"""How reliable a training's own signal is: readings of other gradients, compared at decisions."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from suite.resonance.rank_correlation import spearman
from suite.sparsity.masks import where_true

KEPT_PER_SPAN = 8
"""At most so many readings are kept over a span, however often decisions fall."""


class SignalReliability:
    """Compares the reading of a decision with the last one that shares no gradient with it.

    Args:
        span: how many steps back the gradients of a reading lie: those of a window (N gradients,
            one in `record_every` steps), and where readings are averaged over decisions, those
            after which one is forgotten.
    """

    def __init__(self, span: int) -> None:
        self.span = span
        self._kept: dict[str, dict[int, Tensor]] = {}

    def compare(self, layer: str, step: int, frequency: Tensor) -> float | None:
        """Return the rank correlation with the earlier reading of a layer, and keep this one.

        Connections that are silent (frequency 0) in one of both are left out. None without an
        earlier reading, or where the frequencies are all equal.

        Args:
            layer: its name.
            step: of the decision, ascending.
            frequency: of the same sample of connections each time, [m].
        """
        kept = self._kept.setdefault(layer, {})
        disjoint = [earlier for earlier in kept if earlier <= step - self.span]
        for earlier in disjoint[:-1]:
            del kept[earlier]
        value = None
        if disjoint:
            before = kept[disjoint[-1]].to(frequency.device)
            live = (before > 0) & (frequency > 0)
            value = spearman(where_true(before, live), where_true(frequency, live))
        if not kept or step - max(kept) >= self.span / KEPT_PER_SPAN:
            kept[step] = frequency.clone()
        return value

    def state(self) -> dict[str, Any]:
        """Return what `load` needs."""
        return {
            layer: {"steps": list(kept), "readings": torch.stack(list(kept.values()))}
            for layer, kept in self._kept.items()
            if kept
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore, as a copy, what `state` returned."""
        self._kept = {
            layer: dict(zip(kept["steps"], kept["readings"].clone(), strict=True))
            for layer, kept in state.items()
        }
