"""How this project's docstrings are read.

A bar is an absolute value, the name of a page is a link to it, and of a shared setting its
declaration is shown.
"""

import re
from typing import Any

from sphinx.application import Sphinx

from suite.core.declarations import Hyperparameter

LITERAL = re.compile(r"(``.*?``|`.*?`)")
PAGE = re.compile(r"\bdocs/([a-z-]+)\.md\b")


def prepare(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Change a docstring's lines in place, before its sections are read."""
    if what == "data" and isinstance(thing, Hyperparameter):
        shown = "empty" if thing.default == () else f"``{thing.default}``"
        lines[:] = [
            f"``{thing.name}``: {_escaped(thing.meaning)}. {thing.allowed().capitalize()}; "
            f"default {shown}.",
            "",
        ]
    elif what == "data" and isinstance(thing, tuple):
        names = ", ".join(f"``{one.name}``" for one in thing)
        written = [] if lines and lines[0].startswith("Built-in") else lines
        lines[:] = [*written, f"{names}.", ""]
    else:
        lines[:] = [_escaped(line) for line in lines]


def _escaped(line: str) -> str:
    """Return a line in which, outside of literals, bars are bars and names of pages are links."""
    parts = LITERAL.split(line)
    parts[::2] = [PAGE.sub(r":doc:`/\1`", part.replace("|", r"\|")) for part in parts[::2]]
    return "".join(parts)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what prepares docstrings, before napoleon reads them."""
    app.connect("autodoc-process-docstring", prepare, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
