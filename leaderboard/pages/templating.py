"""How pages are made: templates with escaped text, and what may stand inside their elements."""

import base64
import hashlib
import json
import re
from functools import lru_cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

DRAWING = ("scheme.js", "pdf.js", "saving.js")
"""Scripts of `assets/` that every page with charts has, in the order in which they are needed."""


@lru_cache
def environment() -> Environment:
    """Return the environment of all templates: text is escaped, an unknown name is an error."""
    return Environment(
        loader=PackageLoader("leaderboard"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip


def asset(name: str) -> str:
    """Return a file of `assets/`."""
    return (resources.files("leaderboard") / "assets" / name).read_text(encoding="utf-8")


def embedded_data(content: object) -> Markup:
    """Return JSON that can stand in a script element, whatever texts it holds.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def embedded_code(script: str) -> Markup:
    """Return our own code, kept from ending its script element by a text it holds."""
    return Markup(re.sub(r"<(?=/script|script|!--)", r"\\x3c", script, flags=re.IGNORECASE))


def source_hash(script: str) -> str:
    """Return what a content security policy calls a script that may run."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
