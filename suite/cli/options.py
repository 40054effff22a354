"""Options that several verbs have."""

from collections.abc import Sequence
from typing import Annotated

import typer

from suite.core.errors import InvalidInput
from suite.execution.engines import EngineName

DEFAULT_STORE = "results"
StoreOption = Annotated[
    str,
    typer.Option(
        "--store", envvar="RESONANCE_STORE", help="Folder or URL (s3://…) that holds the results."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
RecipeOption = Annotated[
    list[str] | None,
    typer.Option("--recipe", metavar="NAME=VALUE", help="A field of the task's recipe."),
]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Trials run at once; as many as the cores hold.")
]
EngineOption = Annotated[EngineName, typer.Option(help="Where trials run.")]
AddressOption = Annotated[
    str | None, typer.Option(help="Of the Ray cluster, or Slurm options as name=value,….")
]
TimeoutOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="What an attempt of a trial may take.")
]
MemoryOption = Annotated[
    float | None, typer.Option(metavar="GIB", help="What an attempt of a trial may use.")
]
GpusOption = Annotated[float, typer.Option(help="Fraction of a GPU, on device cuda.")]


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
        found[name] = read_value(value.strip())
    return found


def levels(given: Sequence[str] | None, option: str) -> dict[str, list[object]]:
    """Read ``name=value,value,…``.

    Raises:
        InvalidInput: one is written otherwise, a value is empty, or a name is given twice.
    """
    found: dict[str, list[object]] = {}
    for text in given or []:
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise InvalidInput(f"{option} {text}: write it as name=value,value,…")
        if name in found:
            raise InvalidInput(f"{option} {name} is given twice: give its levels in one list")
        written = [value.strip() for value in values.split(",")] if values.strip() else []
        if "" in written:
            raise InvalidInput(f"{option} {text}: a level is empty; leave no comma without one")
        found[name] = [read_value(value) for value in written]
    return found


def read_value(text: str) -> object:
    """Return a value as it is written on the command line: true, 3, 0.1 or a text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
