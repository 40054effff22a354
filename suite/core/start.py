"""Runs a module with the `suite` that this file belongs to, wherever that is installed.

``python -P …/suite/core/start.py [-u] -m MODULE ARGUMENTS``, as `own_packages.command` writes it.
A script, because Python finds a script without searching for it.
"""

import runpy
import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])


def main() -> None:
    """Run the module that the command line names as ``__main__``."""
    sys.path.insert(0, ROOT)
    import suite

    sys.path.remove(ROOT)  # only the packages are to be found there, and they are from now on
    assert suite.__file__ is not None
    words = sys.argv[1:]
    module = words.index("-m") + 1
    sys.argv = sys.argv[:1] + words[module + 1 :]
    runpy.run_module(words[module], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
