"""Templates of pages, assets, and escaping of what is embedded in script elements."""

import base64
import hashlib
import json
import re
from functools import lru_cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from leaderboard.pages.navigation import Navigation, Section
from suite import __version__
from suite.core.shown_text import shown_json, shown_lines

CHART_SCRIPTS = ("scheme.js", "saving.js", "fitting.js")
"""Scripts of `assets/` that every page with charts loads, in this order."""


@lru_cache
def environment() -> Environment:
    """Return the environment of all templates.

    Text is escaped and has no control or invisible characters; an undefined name is an error.
    """
    return Environment(
        loader=PackageLoader("leaderboard"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def site_page(
    template: str,
    navigation: Navigation,
    section: Section,
    *,
    here: str = "",
    **content: Any,
) -> str:
    """Return a page of a site, under the bar in which its section is marked.

    `here` is the address of a page in the site's own folder; another page is one folder below.
    """
    given: dict[str, Any] = {"root": "" if here else "../", "trail": [], "version": __version__}
    given |= {"navigation": navigation, "section": section, "here": here}
    return environment().get_template(template).render(**given | content)


def _shown(value: Any) -> Any:
    """Return what a template is about to write; markup stays markup."""
    if not isinstance(value, str):
        return value
    shown = shown_lines(value)
    return value if shown is value else type(value)(shown)


def asset(name: str) -> str:
    """Return a file of `assets/`."""
    return (resources.files("leaderboard") / "assets" / name).read_text(encoding="utf-8")


def embedded_data(content: object) -> Markup:
    """Return JSON that is safe inside a script element, for any texts.

    Raises:
        ValueError: a number is not finite, which JSON cannot represent.
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(shown_json(text).replace("<", "\\u003c"))


def embedded_code(script: str) -> Markup:
    """Return one of our scripts, with any text escaped that would end its script element."""
    return Markup(re.sub(r"<(?=/script|script|!--)", r"\\x3c", script, flags=re.IGNORECASE))


def source_hash(script: str) -> str:
    """Return the source expression that allows a script in a content security policy."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
