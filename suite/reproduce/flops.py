"""Inference FLOPs at published sparsities, computed from a network's shapes alone."""

import math
from collections.abc import Collection

from suite.sparsity.distribution import layer_zeros
from suite.training.network import network_of


def inference_ratio(
    task: str,
    sparsity: float,
    distribution: str,
    dense: Collection[str] = (),
    compensate: bool = True,
) -> float:
    """Return the forward operations at a sparsity, as a multiple of the dense network's.

    Reads no data and allocates no weights. `dense` and `compensate` as in `layer_zeros`.

    Raises:
        InvalidInput: there is no such task, or the dense layers alone hold too many weights.
    """
    network = network_of(task, device="meta")
    shapes, forward = network.shapes, network.forward
    zeros = layer_zeros(shapes, sparsity, distribution, dense=dense, compensate=compensate)
    densities = {name: 1 - zeros[name] / math.prod(shape) for name, shape in shapes.items()}
    return forward.at(densities) / forward.dense
