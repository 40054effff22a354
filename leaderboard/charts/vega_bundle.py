"""Vega, Vega-Lite and Vega-Embed as one script for pages."""

import contextlib
from functools import cache
from pathlib import Path

from leaderboard.charts.pictures import VERSION
from suite.core.files import atomic_write

CACHE = Path.home() / ".cache" / "resonance-bench"


@cache
def bundle() -> str:
    """Return the script, an ES module that sets window.vegaEmbed.

    Bundling takes seconds, so the result is cached in the user's home, by version.
    """
    path = CACHE / f"{VERSION.replace(' ', '-')}.js"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    import vl_convert

    script = vl_convert.javascript_bundle(None)  # type: ignore[arg-type]
    with contextlib.suppress(OSError):
        atomic_write(path, script, sync=False)
    return script


def classic_script() -> str:
    """Return the bundle as a classic script: browsers do not load modules from file://."""
    return f"(() => {{\n{bundle()}\n}})();\n"
