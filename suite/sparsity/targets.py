"""How many weights a method has to switch off, by layer or in all, as its distribution says."""

from types import SimpleNamespace

from suite.sparsity.distribution import custom_zeros, global_zeros, layer_zeros
from suite.sparsity.layers import PrunableWeight, match_layers
from suite.sparsity.pattern import Pattern
from suite.sparsity.plan import Plan
from suite.sparsity.zeros import nonzero_outside_mask


class Targets:
    """The counts of a method, from its options, its plan and the layers that it holds.

    Attributes:
        plan, options, layers: as a `Sparsifier` has them.
        pattern: N of M, which takes the place of the distribution; None without one.
    """

    plan: Plan
    options: SimpleNamespace
    layers: list[PrunableWeight]
    pattern: Pattern | None

    @property
    def is_global(self) -> bool:
        """Whether one exact count holds for the whole network instead of one per layer."""
        return getattr(self.options, "distribution", "erk") == "global"

    @property
    def candidates(self) -> list[PrunableWeight]:
        """The layers that may be pruned: all but those kept dense."""
        dense = self._dense_names()
        return [layer for layer in self.layers if layer.name not in dense]

    def target_zeros(self) -> dict[str, int]:
        """Return how many weights of each layer are zero in the end (per-layer methods)."""
        return self.zeros_at(self.plan.sparsity)

    def zeros_at(self, sparsity: float) -> dict[str, int]:
        """Return how many weights of each layer are zero at an overall sparsity."""
        shapes = {layer.name: layer.shape for layer in self.layers}
        distribution = getattr(self.options, "distribution", "erk")
        if distribution == "custom":
            final = custom_zeros(shapes, self.plan.sparsity, self.options.layer_sparsity)
            fraction = sparsity / self.plan.sparsity if self.plan.sparsity else 1.0
            return {name: int(fraction * count) for name, count in final.items()}
        zeros = layer_zeros(
            shapes,
            sparsity,
            "uniform" if self.pattern else distribution,
            dense=self._dense_names(),
            uniform_dense=getattr(self.options, "uniform_dense", "first"),
        )
        if self.pattern is None:
            return zeros
        return {
            name: self.pattern.zeros(name, shapes[name]) if count else 0
            for name, count in zeros.items()
        }

    def target_total(self) -> int:
        """Return how many weights of the network are zero in the end."""
        if not self.is_global:
            return sum(self.target_zeros().values())
        shapes = {layer.name: layer.shape for layer in self.layers}
        return global_zeros(shapes, self.plan.sparsity, dense=self._dense_names())

    def sparsity_errors(self) -> str:
        """Return in words where a mask's count is off, or a weight outside it not 0; or nothing."""
        return "; ".join(self._miscounted() + nonzero_outside_mask(self.layers))

    def _miscounted(self) -> list[str]:
        zeros = {layer.name: layer.size - layer.active for layer in self.layers}
        if self.is_global:
            target = self.target_total()
            found = sum(zeros.values())
            return [] if found == target else [f"{found} zeros in all, not {target}"]
        targets = self.target_zeros()
        wrong = [
            f"{name}: {zeros[name]} zeros, not {target}"
            for name, target in targets.items()
            if zeros[name] != target
        ]
        if self.pattern is not None:
            wrong += [
                f"{layer.name}: not {self.pattern} everywhere"
                for layer in self.layers
                if targets[layer.name] and not self.pattern.holds(layer.mask)
            ]
        return wrong

    def _dense_names(self) -> set[str]:
        names = [layer.name for layer in self.layers]
        return match_layers(names, getattr(self.options, "dense_layers", ()))

    def _is_finished(self, layer: PrunableWeight) -> bool:
        """Return whether a layer has as few connections as it is to have in the end."""
        if not self.is_global:
            return layer.size - layer.active >= self.target_zeros()[layer.name]
        return sum(w.size - w.active for w in self.layers) >= self.target_total()
