"""``python -m suite``: the `resonance` command."""

from suite.cli.app import main

main()
