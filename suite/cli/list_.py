"""`resonance list`: the names of all methods, tasks, datasets, studies, tables or trainers."""

from typing import Annotated

import typer

from suite.cli.options import JsonOption
from suite.core.console import print_json, print_table
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry

KINDS = ("tasks", "methods", "datasets", "studies", "tables", "trainers")


def list_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"{', '.join(KINDS)}.")],
    json: JsonOption = False,
) -> None:
    """List all methods, tasks, datasets, studies, tables or trainers."""
    columns, rows = listing(kind)
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("", columns, rows)


def listing(kind: str) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of one of `KINDS`.

    Raises:
        InvalidInput: there is no such kind.
    """
    match kind:
        case "methods":
            rows = [[m.name, m.family, m.summary, m.source] for m in registry.methods()]
            return ["name", "family", "summary", "source"], rows
        case "tasks":
            rows = [[t.name, t.title, t.source] for t in registry.tasks()]
            return ["name", "title", "source"], rows
        case "datasets":
            rows = [
                [d.name, d.title, f"{d.train}+{d.test}", str(d.classes), d.source]
                for d in registry.datasets()
            ]
            return ["name", "title", "examples", "classes", "source"], rows
        case "studies":
            from suite.experiments.study import load_study, shipped_studies

            studies = [load_study(name) for name in shipped_studies()]
            rows = [[s.name, str(len(s.trials())), s.question] for s in studies]
            return ["name", "trials", "question"], rows
        case "tables":
            from leaderboard.reproduction.published_results import table, tables

            found = [table(name) for name in tables()]
            rows = [
                [t.name, t.title, t.study or "none: computed", t.needs or "a CPU"] for t in found
            ]
            return ["name", "title", "study", "needs"], rows
        case "trainers":
            rows = [[t.name, t.summary, t.source] for t in registry.trainers()]
            return ["name", "summary", "source"], rows
    raise InvalidInput(unknown("kind", kind, KINDS, see="list --help"))
