"""The engine of resonance-bench: sparse core, resonance method, training, studies, records."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from suite.own_loop.handle import Handle

__version__ = "0.1.0"


def sparsify(
    model: "torch.nn.Module",
    optimizer: "torch.optim.Optimizer",
    method: str,
    *,
    sparsity: float,
    steps: int,
    seed: int = 0,
    steps_per_epoch: int | None = None,
    examples: "tuple[torch.Tensor, torch.Tensor] | None" = None,
    loss: "Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None" = None,
    execution: str = "masked",
    **hyperparameters: Any,
) -> "Handle":
    """Sparsify a model in a custom training loop with any method of the suite.

    Call it once, after the optimizer is built and before training. From then on every
    ``optimizer.step()`` records, masks and updates connectivity; nothing else changes.

    Args:
        model: its Linear and Conv weights that `optimizer` trains are pruned.
        optimizer: SGD, Adam and AdamW keep pruned weights at zero; under other optimizers
            weights are masked again after every step.
        method: a name from ``resonance list methods``.
        sparsity: target fraction of zeros among the prunable weights, in [0, 1).
        steps: how many times ``optimizer.step()`` will be called; schedules are relative to it.
        seed: of the method's random numbers.
        steps_per_epoch: needed by methods that update once an epoch (SET).
        examples: training inputs and targets, [n, …] each, on the model's device: needed by
            methods that score connections before training (SNIP, GraSP, SynFlow).
        loss: what they differentiate, (outputs, targets) → scalar; cross-entropy if left out.
        execution: ``masked`` keeps zeros in place; ``csr`` stores and trains only the
            non-zero weights of Linear layers, on a CPU; ``auto`` does so where it is faster
            (docs/truly-sparse.md).
        hyperparameters: of the method, as listed by ``resonance info METHOD``.

    Returns:
        a handle: current sparsity, masks, state to save, `validated` for accuracy feedback, and
        `rounds` for methods that train more than once.

    Raises:
        suite.core.errors.InvalidInput: an argument cannot be used; the message says how to
            change it.
    """
    from torch.nn.functional import cross_entropy

    from suite.own_loop.handle import attach

    return attach(
        model,
        optimizer,
        method,
        sparsity,
        steps,
        seed,
        steps_per_epoch,
        examples,
        loss or cross_entropy,
        hyperparameters,
        execution,
    )
