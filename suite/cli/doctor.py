"""`resonance doctor`: check what this machine has, and say what to do about what is missing."""

from dataclasses import asdict
from typing import Annotated

import typer

from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from suite.core.console import print_json, print_table, say


def doctor(
    store: StoreOption = DEFAULT_STORE,
    offline: Annotated[bool, typer.Option("--offline", help="Open no connections.")] = False,
    json: JsonOption = False,
) -> None:
    """Check Python, torch, devices, data, the store, W&B, Ray and Slurm."""
    from suite.cli.health_checks import examine

    checks = list(examine(store, network=not offline))
    broken = [finding for finding in checks if finding.state == "broken"]
    if json:
        print_json([asdict(finding) for finding in checks])
    else:
        columns = ["", "what", "found", "what to do"]
        print_table("", columns, [[f.state, f.what, f.found, f.remedy] for f in checks])
        missing = sum(finding.state == "missing" for finding in checks)
        say(f"{len(broken)} broken, {missing} missing that not every study needs")
    if broken:
        raise typer.Exit(1)
