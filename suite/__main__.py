"""``python -m suite`` and ``resonance``: the command, stopped by signals from its first line on."""

import sys

from suite.core import stopping


def main() -> None:
    """Run the command and exit with its code; signals are handled before anything is imported."""
    stopping.install()
    try:
        from suite.cli.app import main as run

        stopping.begin()
        run()
    except KeyboardInterrupt:
        sys.exit(stopping.exit_code())
    finally:
        stopping.leave()


if __name__ == "__main__":
    main()
