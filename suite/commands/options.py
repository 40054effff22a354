"""Options that several verbs have."""

from collections.abc import Sequence
from typing import Annotated

import typer

from suite.errors import InvalidInput

DEFAULT_STORE = "results"
StoreOption = Annotated[
    str,
    typer.Option(
        "--store", envvar="RESONANCE_STORE", help="Folder or URL (s3://…) that holds the results."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data for programs.")]


def settings(given: Sequence[str] | None, option: str) -> dict[str, object]:
    """Read ``name=value`` pairs.

    Raises:
        InvalidInput: one is written otherwise, or given twice.
    """
    found: dict[str, object] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise InvalidInput(f"{option} {text}: write it as name=value")
        if name in found:
            raise InvalidInput(f"{option} {name} is given twice: give it once")
        found[name] = _value(value.strip())
    return found


def _value(text: str) -> object:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
