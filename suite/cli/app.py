"""The `resonance` command: its verbs, its global options and its exit codes.

Each verb is the function of its name in the module of its name; `leaderboard`, `store` and `wandb`
have subcommands. A verb's module is imported when the verb is called, so that
`resonance --help` and `resonance list` start fast.
"""

import contextlib
import functools
import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from suite import __version__
from suite.cli.usage import misuse
from suite.core import stopping
from suite.core.console import complain, complain_at_length, hide_secrets_in_tracebacks, say
from suite.core.discovery import docstring
from suite.core.errors import Interrupted, InvalidInput, TrialFailed, first_line
from suite.core.own_version import commit
from suite.execution.distributed import world_size
from suite.experiments import registry

VERBS = (
    "run", "study", "ablate", "reproduce", "tune", "status", "compare", "claims", "doctor",
    "evaluate", "export", "submit", "list", "show", "info", "inspect", "signals", "leaderboard",
    "store", "wandb", "bench",
)  # fmt: skip
"""In the order of `--help`."""
FAILED, MISUSED = 1, 2
"""Exit codes: a trial failed or a check found an error; the command cannot be run. A command that
was stopped exits with 128 and the number of the signal: 130 after Ctrl-C."""
TYPER_STOPPED = 130
"""What typer returns if it was stopped before a verb."""
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""The class that typer raises for a wrong command line; typer does not export it."""


class _Stopped(Exception):
    """A verb was stopped; the message is what is not as usual. Typer passes it on."""


class _Verbs(TyperGroup):
    """The group of all verbs: a command is made when it is looked up, not for the group's help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": dict.fromkeys(VERBS)})

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; raise KeyboardInterrupt as an exception that keeps its message."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            usual = isinstance(error, Interrupted)  # it took a checkpoint
            raise _Stopped("" if usual else str(error)) from error

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a verb; None if there is no such verb."""
        return _load(cmd_name) if cmd_name in VERBS else None

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Return the verbs or options that a word may become, without importing any verb."""
        verbs: dict[str, Any] = {verb: TyperCommand(verb, help=_summary(verb)) for verb in VERBS}
        return TyperGroup(name=self.name, commands=verbs, params=self.params).shell_complete(
            ctx, incomplete
        )

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each verb with the first line of its docstring, read from its file."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, _summary(verb)) for verb in VERBS])


def _summary(verb: str) -> str:
    """Return the first line of a verb's docstring, read from its file."""
    text = docstring(Path(__file__).with_name(f"{_module(verb)}.py"), _module(verb))
    return text.partition("\n")[0]


@functools.cache
def _load(verb: str) -> Any:
    """Import the module of a verb, and return its command."""
    name = _module(verb)
    module = importlib.import_module(f"suite.cli.{name}")
    parent = typer.Typer(rich_markup_mode=None)
    if hasattr(module, "app"):
        parent.add_typer(module.app, name=verb)
    else:
        parent.command(verb)(getattr(module, name))
    return typer.main.get_group(parent).commands[verb]


def _module(verb: str) -> str:
    """Return the name of a verb's module and of its function: `list` would hide the builtin."""
    return "list_" if verb == "list" else verb


app = typer.Typer(
    name="resonance",
    cls=_Verbs,
    help="Benchmark neural-network sparsity: the resonance method against published baselines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(value: bool) -> None:
    if value:
        made_from = commit()
        say(f"resonance-bench {__version__}" + (f" ({made_from})" if made_from else ""))
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            "--plugin",
            envvar="RESONANCE_PLUGINS",
            metavar="FILE",
            help="Python file that declares methods or tasks of your own (repeatable).",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Apply the options that come before the verb."""
    if context.invoked_subcommand != "run" and world_size() > 1:
        raise InvalidInput(
            f"resonance {context.invoked_subcommand}: torchrun can only start `resonance run` "
            "(without torchrun, unset WORLD_SIZE)"
        )
    registry.use_plugins(plugin or [])


def main() -> None:
    """Run the command and exit with its code."""
    hide_secrets_in_tracebacks()
    try:
        sys.exit(_run())
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _run() -> int:
    """Run the command; return its exit code. Errors that a user can fix are one line."""
    try:
        code: int = app(standalone_mode=False) or 0
    except _Stopped as error:
        return _stopped(str(error))
    except KeyboardInterrupt:
        return _stopped()
    except UsageError as error:
        message = misuse(error)
        if "\n" in message:  # the whole help: no verb was given
            complain_at_length(message)
        else:
            complain(f"error: {message} (see `--help`)")
        return MISUSED
    except InvalidInput as error:
        if stopping.asked():
            return _stopped(str(error))
        complain(f"error: {error}")
        return MISUSED
    except TrialFailed as error:
        complain(f"failed: {error}")
        return FAILED
    except Exception as error:
        if not stopping.asked():
            raise
        return _stopped(first_line(error))  # an import was interrupted, or the terminal is gone
    return _stopped() if code == TYPER_STOPPED else code


def _stopped(problem: str = "") -> int:
    """Say that the command was stopped, and what went wrong then; return its exit code."""
    with contextlib.suppress(OSError):  # a terminal that was closed
        if problem:
            complain(f"while stopping: {problem}")
        complain(stopping.RESUMABLE)
    return stopping.exit_code()


if __name__ == "__main__":
    main()
