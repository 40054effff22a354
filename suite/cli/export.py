"""`resonance export`: write a finished trial's network to a file."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption, TrialArgument
from suite.core.console import print_json, say
from suite.results.store import Store


def export(
    trial: TrialArgument = "",
    to: Annotated[
        Literal["safetensors", "onnx", "compact", "condensed", "semi_structured"],
        typer.Option(
            help="Weights and masks; ONNX; a smaller network without dead units; Linear weights as "
            "values and indices; or 2:4 weights in PyTorch's format."
        ),
    ] = "safetensors",
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[
        Path | None, typer.Option(help="File to write; KEY.safetensors or similar by default.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a finished trial's network to a file, and check that it gives the same outputs.

    All but ONNX are read back by `suite.export.files.load_exported`. A layer for which values and
    indices would not be smaller, or which is not 2:4, stays dense; the command lists all layers.
    """
    from leaderboard.pages.inspection import find_trial
    from suite.export.files import export as write
    from suite.export.network import Format

    results = Store(store)
    record = find_trial(results, trial)
    endings = {"safetensors": ".safetensors", "onnx": ".onnx"}
    ending = endings.get(to, f".{to}.safetensors")
    written = write(results, record, Format(to), out or Path(f"{record.key}{ending}"))
    before, after = written.parameters
    if json:
        print_json(
            {
                "key": record.key,
                "path": str(written.path),
                "parameters": after,
                "parameters_before": before,
                "error": written.error,
                "layers": [asdict(layer) for layer in written.layers],
            }
        )
        return
    say(f"{written.path}: {after:,} parameters")
    for layer in written.layers:
        say(f"  {layer.name or 'the layer'}: {layer.storage}, {layer.detail}")
    if to == "compact":
        say(f"  {before - after:,} of {before:,} were those of dead units")
    if to in ("compact", "condensed"):
        say(f"  outputs agree to {written.error:.1g} of the largest")
