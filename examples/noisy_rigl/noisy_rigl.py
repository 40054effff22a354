"""RigL with a temperature: grows where |gradient| times random noise is largest.

An example of a method in its own package. With the entry point in pyproject.toml, the suite can
list, explain, run and tune it.
"""

import torch
from torch import Tensor

from suite.core.declarations import Hyperparameter, Method, Search
from suite.core.hyperparameters import DROP_FRACTION, LAYERWISE, UPDATE_END, UPDATE_EVERY
from suite.sparsity.drop_grow import GradientGrowth
from suite.sparsity.layers import PrunableWeight

METHOD = Method(
    "noisy_rigl",
    "an example; after Evci et al. 2020, arXiv:1911.11134",
    title="Noisy RigL",
    summary="drops the smallest weights, grows by gradient times noise",
    implementation="NoisyRigL",
    family="sparse to sparse",
    hyperparameters=(
        *LAYERWISE,
        UPDATE_EVERY,
        DROP_FRACTION,
        UPDATE_END,
        Hyperparameter(
            "temperature",
            float,
            0.5,
            "standard deviation of the logarithm of the noise; 0 is RigL",
            low=0.0,
            high=10.0,
            search=Search(low=0.0, high=2.0),
        ),
    ),
    cost="3 f_S per step, and once in ΔT f_D in place of f_S",
)


class NoisyRigL(GradientGrowth):
    """RigL whose growth scores are multiplied by exp(τ·z), z standard normal."""

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |gradient|·exp(τ·z), of the weight's shape."""
        generator = self.generator(layer, "noise", step)
        noise = torch.randn(layer.shape, generator=generator, device=layer.device)
        return super().grow_scores(layer, step) * (self.options.temperature * noise).exp()
