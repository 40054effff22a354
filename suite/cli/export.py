"""`resonance export`: write a finished trial's network to a file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption, TrialArgument
from suite.core.console import print_json, say
from suite.results.store import Store


def export(
    trial: TrialArgument = "",
    to: Annotated[
        Literal["safetensors", "onnx", "compact"],
        typer.Option(help="Weights and masks, ONNX, or a smaller network without dead units."),
    ] = "safetensors",
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[
        Path | None, typer.Option(help="File to write; KEY.safetensors or similar by default.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a finished trial's network to a file, and check that it gives the same outputs.

    A compact file is read back by `suite.export.files.load_exported`.
    """
    from leaderboard.pages.inspection import find_trial
    from suite.export.files import export as write
    from suite.export.network import Format

    results = Store(store)
    record = find_trial(results, trial)
    ending = {"onnx": ".onnx", "compact": ".compact.safetensors"}.get(to, ".safetensors")
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
            }
        )
        return
    say(f"{written.path}: {after:,} parameters")
    if to == "compact":
        say(f"  {before - after:,} of {before:,} were those of dead units")
        say(f"  outputs agree to {written.error:.1g} of the largest")
