"""The command, with more time to stop than the slowest machine needs."""

from suite.__main__ import main as begin
from suite.core import stopping


def main() -> None:
    """Run the command; trials may take as long as they need for a checkpoint."""
    stopping.GRACE_SECONDS = 1000.0
    lasting()


def lasting() -> None:
    """Run the command; what is left to do after `GRACE_SECONDS` may take as long as it needs."""
    stopping.LIMIT_SECONDS = stopping.ALARM_SECONDS = 2000.0
    stopping.LAST_SECONDS = 1000.0
    begin()
