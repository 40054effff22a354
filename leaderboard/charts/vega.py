"""Vega, Vega-Lite and Vega-Embed, for pages to draw with."""

import contextlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from leaderboard.folder import write_whole

VERSION = f"vl-convert {version('vl-convert-python')}"
CACHE = Path.home() / ".cache" / "resonance-bench"


@cache
def bundle() -> str:
    """Return them as one script, which sets window.vegaEmbed.

    Making it takes seconds, so it is kept in the user's cache, by version.
    """
    path = CACHE / f"{VERSION.replace(' ', '-')}.js"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    import vl_convert

    made = vl_convert.javascript_bundle(None)  # type: ignore[arg-type]
    with contextlib.suppress(OSError):
        write_whole(path, made)
    return made


def classic_script() -> str:
    """Return the bundle for a script element with an address: no module, which file:// refuses."""
    return f"(() => {{\n{bundle()}\n}})();\n"
