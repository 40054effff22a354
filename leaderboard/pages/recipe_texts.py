"""The recipe that the trials of a board were run with, beside the one that its task declares."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from leaderboard.boards import DEFAULT_OPTIONS, Board
from suite.experiments import registry
from suite.experiments.trial_config import show

SETTING = re.compile(r", (?=\w+=)")
"""What separates the settings of a board; the values of a list are separated by commas as well."""


@dataclass(frozen=True)
class RecipeRow:
    """A field of a recipe: its name, the value that was run, and the declared one if it differs."""

    name: str
    run: str
    declared: str = ""


def recipe_rows(board: Board) -> list[RecipeRow]:
    """Return the recipe that a board's trials were run with; what differs comes first.

    Empty for a task that is not installed, of which only the differences are known.
    """
    if board.task not in registry.tasks():
        return []
    differs = _differing(board)
    own = _declared(board)
    rows = [
        RecipeRow(_words(name), differs.get(name, value), _said(value) if name in differs else "")
        for name, value in own.items()
    ]
    return sorted(rows, key=lambda row: not row.declared)  # stable: else in the order declared


def differing_recipe(board: Board) -> str:
    """Return what of a board's recipe differs from the declared one, in words; empty if nothing.

    Options of its trials beside the recipe (threads, execution, …) are among it.
    """
    usual = {name: show(value) for name, value in DEFAULT_OPTIONS.items()} | _declared(board)
    return ", ".join(
        f"{_words(name)} {value}" + (f" (declared: {_said(usual[name])})" if name in usual else "")
        for name, value in _differing(board).items()
    )


def _differing(board: Board) -> Mapping[str, str]:
    """Return the settings of a board by name: what its trials change."""
    return dict(one.split("=", 1) for one in SETTING.split(board.settings) if "=" in one)


def _declared(board: Board) -> dict[str, str]:
    """Return the recipe that a board's task declares, as text; empty if it is not installed."""
    if board.task not in registry.tasks():
        return {}
    return {one.name: show(one.default) for one in registry.tasks()[board.task].hyperparameters}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _said(value: str) -> str:
    return value or "none"
