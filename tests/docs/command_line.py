"""Whether a command line that is only named, not run, could be: its verb and options exist."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from suite.cli.app import UsageError, app

COMMAND: Any = typer.main.get_command(app)


def verb(words: Sequence[str]) -> tuple[list[str], Any, list[str]]:
    """Return what a line names: the words of its verb, the verb, and the words behind it.

    Raises:
        ValueError: there is no such verb, or the options before it are none.
    """
    path: list[str] = []
    here, rest = COMMAND, list(words)
    while rest and hasattr(here, "commands"):
        if rest[0].startswith("-"):
            option = found_option(here, rest[0])
            rest = rest[1 if option.is_flag else 2 :]
            continue
        if rest[0] not in here.commands:
            raise ValueError(f"there is no verb {' '.join([*path, rest[0]])!r}")
        here = here.get_command(None, rest[0])
        path.append(rest.pop(0))
    return path, here, rest


def found_option(command: Any, word: str) -> Any:
    """Return a command's option by one of its names.

    Raises:
        ValueError: it has none of that name.
    """
    for option in [*command.params, command.get_help_option(command.context_class(command))]:
        if word.partition("=")[0] in option.opts:
            return option
    raise ValueError(f"{command.name} has no option {word}")


def named(words: Sequence[str]) -> None:
    """Check a line that need not be whole (``run … --execution csr``).

    Raises:
        ValueError: its verb or one of its options does not exist.
    """
    _, command, rest = verb(words)
    for word in rest:
        if word.startswith("-"):
            found_option(command, word)


def is_whole(words: Sequence[str]) -> bool:
    """Say whether a line names all that its verb needs, and more than its verb.

    Raises:
        ValueError: an option of it does not exist, or lacks its value.
    """
    path, command, rest = verb(words)
    if not rest or "…" in rest:
        return False
    try:
        command.make_context(" ".join(path), list(rest))
    except UsageError as error:
        if type(error).__name__ == "MissingParameter":
            return False
        raise ValueError(str(error)) from None
    return True


def verbs(command: Any = COMMAND) -> Iterator[Any]:
    """Yield the command itself and every verb."""
    yield command
    for name in getattr(command, "commands", ()):
        yield from verbs(command.get_command(None, name))


def options_exist(words: Sequence[str]) -> bool:
    """Say whether some verb takes all of these options, with the values that follow them."""
    return any(_takes(command, words) for command in verbs())


def _takes(command: Any, words: Sequence[str]) -> bool:
    try:
        for word, value in zip(words, [*words[1:], ""], strict=True):
            if word.startswith("-"):
                choices = _choices(command, found_option(command, word))
                if choices and value and not value.startswith("-") and value not in choices:
                    return False
    except ValueError:
        return False
    return True


def _choices(command: Any, option: Any) -> list[str]:
    """Return the values an option may have, as its help shows them; none where any will do."""
    shown, _ = option.get_help_record(command.context_class(command))
    listed = re.search(r"<(\w+(\|\w+)+)>$", shown)
    return listed[1].split("|") if listed else []
