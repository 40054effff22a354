"""The kinds of weights that may be pruned, by name; without torch, for declarations of tasks."""

from suite.core.errors import InvalidInput

KINDS = {
    "linear": "Linear",
    "conv": "Conv1d to Conv3d",
    "conv_transpose": "ConvTranspose1d to ConvTranspose3d",
    "attention": "MultiheadAttention's projections of query, key and value",
    "recurrent": "LSTM, GRU, RNN and their cells",
    "bilinear": "Bilinear",
}
"""Name of a kind → the modules of torch.nn whose weights are of this kind."""

STANDARD_KINDS = ("linear", "conv")
"""The kinds that a task prunes if it declares none."""


def checked_kinds(given: object) -> tuple[str, ...]:
    """Return the kinds in canonical order, each once.

    Raises:
        InvalidInput: it is not a list of names of kinds, or an empty one.
    """
    if not isinstance(given, list | tuple) or not given:
        raise InvalidInput(f"prunable={given!r} is not usable: give a list of {', '.join(KINDS)}")
    for name in given:
        if not isinstance(name, str) or name not in KINDS:
            raise InvalidInput(f"prunable: {name!r} is no kind of layer: give {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in given)
