"""The command, with a line of progress every tenth of a second in a log."""

from suite.cli import app
from suite.execution import progress


def main() -> None:
    """Run the command."""
    progress.LINE_SECONDS = 0.1
    app.main()
