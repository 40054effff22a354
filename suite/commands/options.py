"""Options that several verbs have."""

from typing import Annotated

import typer

DEFAULT_STORE = "results"
StoreOption = Annotated[
    str,
    typer.Option(
        "--store", envvar="RESONANCE_STORE", help="Folder or URL (s3://…) that holds the results."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
