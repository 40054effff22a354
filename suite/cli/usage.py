"""What is wrong with a command line, in one line, from typer's errors."""

import re
from typing import Any

from suite.experiments.trial_config import allowed

EXTRA = re.compile(r"unexpected extra arguments?(?:\(s\))? \((.*)\)$")


def misuse(error: Any) -> str:
    """Return the one line for typer's usage error: the value, what is allowed, what to give."""
    message = str(error.format_message())
    message = message.replace(": Value error, ", ": ", 1)  # pydantic's, before the reason
    if message.startswith("No such option: --plugin"):
        return "--plugin comes before the verb: resonance --plugin FILE VERB …"
    if extra := EXTRA.search(message):
        return f"'{extra[1]}' is too much: the command is `{_usage(error)}`"
    if message.startswith("Missing argument "):
        missing = message.removeprefix("Missing argument ").strip(".'")
        return f"{missing} is missing: the command is `{_usage(error)}`"
    problems: list[Any] = getattr(error.__cause__, "errors", list)()
    if problems and str(problems[0]["type"]).endswith("_parsing"):
        given = problems[0]["input"]
        return f"{error.param.opts[0]} {given:.80}: {allowed(problems[0])}{_as_fraction(given)}"
    return message


def _usage(error: Any) -> str:
    """Return how the verb is called, without its options."""
    words = error.ctx.command.get_usage(error.ctx).removeprefix("Usage: ")
    words = re.sub(r"[{}]", "", words.replace("[OPTIONS] ", ""))
    return words.replace("[[", "[").replace("]]", "]").strip()


def _as_fraction(given: str) -> str:
    """Return what a percentage is as a fraction; empty for other texts."""
    number = re.fullmatch(r"(\d{1,3}(?:\.\d{1,10})?) ?%", given)
    return f"; {given} is {float(number[1]) / 100:g}" if number else ""
