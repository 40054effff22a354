"""The engine of resonance-bench: sparse core, resonance method, training, studies, records."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from suite.core import own_packages

if TYPE_CHECKING:
    import torch

    from suite.api import (
        InvalidInput,
        Record,
        Store,
        Study,
        StudyResult,
        Trial,
        TrialFailed,
        compare,
        load_results,
        run,
        run_study,
    )
    from suite.own_loop.handle import Handle

    __version__: str

__all__ = [
    "InvalidInput",
    "Record",
    "Store",
    "Study",
    "StudyResult",
    "Trial",
    "TrialFailed",
    "compare",
    "load_results",
    "run",
    "run_study",
    "sparsify",
]

own_packages.install()

if not TYPE_CHECKING:  # a type checker sees the names above, and no others

    def __getattr__(name: str) -> Any:
        """Import what is asked for when it is first used.

        The functions of `suite.api` need more modules; and the command imports this file before
        it can handle signals, so that it must be quick.
        """
        if name == "__version__":
            from suite.core import own_version

            return own_version.version()
        if name not in __all__:
            raise AttributeError(f"module 'suite' has no attribute '{name}'")
        from suite import api

        return getattr(api, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, "__version__"})


def sparsify(
    model: "torch.nn.Module",
    optimizer: "torch.optim.Optimizer | Sequence[torch.optim.Optimizer]",
    method: str,
    *,
    sparsity: float | None = None,
    steps: int,
    seed: int = 0,
    steps_per_epoch: int | None = None,
    examples: Any = None,
    loss: "Callable[..., torch.Tensor] | None" = None,
    execution: str = "masked",
    masks: Any = None,
    state: Mapping[str, Any] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    **hyperparameters: Any,
) -> "Handle":
    """Sparsify a model in a custom training loop with any method of the suite.

    Call it once, after the optimizer is built and before training. From then on every
    ``optimizer.step()`` records, masks and updates connectivity; nothing else changes. A call that
    fails leaves model and optimizer as they were. See docs/own-loop.md.

    Args:
        model: its weights that `optimizer` trains are pruned: of Linear, Conv, ConvTranspose,
            Bilinear and recurrent layers, and attention's projections. Those that stay dense are
            named in a warning.
        optimizer: the one that trains the model, or a list of several. SGD, Adam and AdamW keep
            pruned weights at zero; under others weights and state are masked again after every
            step; those under which no masks can be kept are refused.
        method: a name from ``resonance list methods``.
        sparsity: target fraction of zeros among the prunable weights, in [0, 1); that of `masks`
            or `state` if left out.
        steps: how many times ``optimizer.step()`` will be called; schedules are relative to it.
        seed: of the method's random numbers.
        steps_per_epoch: needed by methods that update once an epoch (SET).
        examples: needed by methods that score connections before training (SNIP, GraSP, SynFlow)
            or prune by activations after it (Wanda, SparseGPT): a pair (inputs, targets) of
            tensors [n, …], a dict batch with ``labels``, or a DataLoader or list of such batches.
        loss: what they differentiate, (outputs, targets) → scalar; if left out, the model's own
            loss for a dict batch, otherwise cross-entropy.
        execution: ``masked`` keeps zeros in place; ``csr`` stores and trains only the
            non-zero weights of Linear layers, on a CPU; ``auto`` does so where it is faster
            (docs/truly-sparse.md).
        masks: to start from in place of the method's own: by layer name, ``"nonzero"`` (the zeros
            that the weights have), or the path of an exported network or of a trial's.
        state: a handle's `state_dict` to resume from. Model and optimizers may be restored before
            this call or after it.
        include: globs of further weights to prune, by parameter, module or class name
            (``"Embedding"``).
        exclude: globs of weights to leave alone.
        hyperparameters: of the method, as listed by ``resonance info METHOD``.

    Returns:
        a handle: current sparsity, masks, FLOPs, curves, export, state to save, `validated` for
        accuracy feedback, `use` for another optimizer, `extend`, `average`, and `rounds` for
        methods that train more than once.

    Raises:
        suite.core.errors.InvalidInput: an argument cannot be used; the message says how to
            change it.
    """
    from suite.own_loop.attach import attach

    return attach(
        model,
        optimizer,
        method,
        sparsity,
        steps,
        seed,
        steps_per_epoch,
        examples,
        loss,
        execution,
        masks,
        state,
        include,
        exclude,
        hyperparameters,
    )
