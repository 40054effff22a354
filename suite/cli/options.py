"""Options that any verb may have, and how ``name=value`` options are read.

This module imports little, so that a verb that only looks something up starts fast. The options of
verbs that run trials are in `suite.cli.run_options`.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from suite.cli import completion
from suite.core.errors import InvalidInput

DEFAULT_STORE = "results"
StoreOption = Annotated[
    str,
    typer.Option(
        "--store", envvar="RESONANCE_STORE", help="Folder or URL (s3://…) that holds the results."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
TrialArgument = Annotated[
    str,
    typer.Argument(
        metavar="TRIAL",
        show_default=False,
        help="A trial's key, or its first characters (`resonance list trials` lists them).",
    ),
]
"""With "" as its default: what is missing is answered by `find_record`."""
StudyOption = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME|FILE",
        help="Only the trials of this study, group of studies, ablation or tuning "
        "(`resonance list studies`).",
        autocompletion=completion.studies_and_groups,
    ),
]
AblationsOption = Annotated[
    bool,
    typer.Option(
        "--include-ablations",
        help="Also the trials that belong to ablations or tunings only.",
    ),
]
TaskOptions = Annotated[
    list[str] | None,
    typer.Option("--task", help="A task (repeatable).", autocompletion=completion.tasks),
]


def settings(given: Sequence[str] | None, option: str) -> dict[str, object]:
    """Parse ``name=value`` pairs.

    Raises:
        InvalidInput: one has another form, or a name is given twice.
    """
    pairs = _pairs(given, option, "name=value", "give it once")
    return {name: read_value(value) for name, value in pairs.items()}


def levels(given: Sequence[str] | None, option: str) -> dict[str, list[object]]:
    """Parse ``name=value,value,…``.

    Raises:
        InvalidInput: one has another form, a value is empty, or a name is given twice.
    """
    parsed: dict[str, list[object]] = {}
    pairs = _pairs(given, option, "name=value,value,…", "give its levels in one list")
    for name, values in pairs.items():
        written = [value.strip() for value in values.split(",")] if values else []
        if "" in written:
            raise InvalidInput(f"{option} {name}={values}: a level is empty; remove a comma")
        parsed[name] = [read_value(value) for value in written]
    return parsed


def _pairs(given: Sequence[str] | None, option: str, form: str, remedy: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise InvalidInput(f"{option} {text}: write it as {form}")
        if name in pairs:
            raise InvalidInput(f"{option} {name} is given twice: {remedy}")
        pairs[name] = value.strip()
    return pairs


def read_value(text: str) -> object:
    """Parse a value of the command line: true, 3, 0.1 or a string."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


SignersOption = Annotated[
    Path | None,
    typer.Option(
        "--signers",
        help="File of allowed signers, as ssh-keygen reads it; the project's own if left out.",
    ),
]
SignOption = Annotated[
    Path | None,
    typer.Option(
        "--sign",
        metavar="KEY",
        help="SSH key to sign the file with; FILE.sig is written beside it.",
    ),
]
