"""`resonance list`: the names of all methods, tasks, datasets, studies, tables or trainers."""

from typing import Annotated

import typer

from suite.cli import completion
from suite.cli.options import JsonOption
from suite.core.console import print_json, print_table
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry

COLUMNS = {
    "tasks": ("name", "title", "source"),
    "methods": ("name", "family", "summary", "source"),
    "datasets": ("name", "title", "examples", "classes", "source"),
    "studies": ("name", "trials", "question"),
    "tables": ("name", "title", "study", "needs"),
    "trainers": ("name", "summary", "source"),
}
"""What is listed of each kind."""
KINDS = completion.completer(lambda: dict.fromkeys(COLUMNS, ""))


def list_(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help=f"{', '.join(COLUMNS)}.", autocompletion=KINDS),
    ],
    json: JsonOption = False,
) -> None:
    """List all methods, tasks, datasets, studies, tables or trainers."""
    if kind not in COLUMNS:
        raise InvalidInput(unknown("kind", kind, COLUMNS, see="list --help"))
    columns, rows = list(COLUMNS[kind]), _rows(kind)
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("", columns, rows)


def _rows(kind: str) -> list[list[str]]:
    match kind:
        case "datasets":
            return [
                [d.name, d.title, f"{d.train}+{d.test}", str(d.classes), d.source]
                for d in registry.datasets()
            ]
        case "studies":
            from suite.experiments.study import load_study, shipped_studies

            studies = [load_study(name) for name in shipped_studies()]
            return [[s.name, str(len(s.trials())), s.question] for s in studies]
        case "tables":
            from leaderboard.reproduction.published_results import table, tables

            shown = [table(name) for name in tables()]
            return [
                [t.name, t.title, t.study or "none: computed", t.needs or "a CPU"] for t in shown
            ]
    declared = getattr(registry, kind)()
    return [[getattr(one, column) for column in COLUMNS[kind]] for one in declared]
