"""What the shell completes: names of tasks, methods, studies, …; imports no torch."""

from collections.abc import Callable, Mapping
from typing import Any

import typer

Completions = list[tuple[str, str]]
"""Values and what is shown beside each."""


def completer(
    names: Callable[[], Mapping[str, str]],
) -> Callable[[typer.Context, str], Completions]:
    """Return a function that completes names; a mistake of a plug-in completes nothing."""

    def complete(ctx: typer.Context, incomplete: str) -> Completions:
        try:
            _use_plugins(ctx)
            return [(n, about) for n, about in names().items() if n.startswith(incomplete)]
        except Exception:  # the shell would show a traceback in the middle of the line
            return []

    return complete


def _use_plugins(ctx: typer.Context) -> None:
    """Know the plug-ins that the line gives, or the environment."""
    from suite.experiments import registry

    given: Any = ctx.find_root().params.get("plugin")
    registry.use_plugins(list(given or []))


def _tasks() -> dict[str, str]:
    from suite.experiments import registry

    return {task.name: task.title for task in registry.tasks()}


def _methods() -> dict[str, str]:
    from suite.experiments import registry

    return {method.name: method.title for method in registry.methods()}


def _studies() -> dict[str, str]:
    from suite.experiments.study import shipped_studies

    return dict.fromkeys(shipped_studies(), "")


def _studies_and_groups() -> dict[str, str]:
    from suite.experiments.study import shipped_groups

    return _studies() | dict.fromkeys(shipped_groups(), "")


def _tables() -> dict[str, str]:
    from leaderboard.reproduction.published_results import tables

    return dict.fromkeys(tables(), "")


def _all_names() -> dict[str, str]:
    from suite.experiments import registry

    data = {dataset.name: dataset.title for dataset in registry.datasets()}
    return _methods() | _tasks() | data | _studies_and_groups()


tasks = completer(_tasks)
methods = completer(_methods)
studies = completer(_studies)
studies_and_groups = completer(_studies_and_groups)
methods_and_studies = completer(lambda: _methods() | _studies())
tables = completer(_tables)
all_names = completer(_all_names)
