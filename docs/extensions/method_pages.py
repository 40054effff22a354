"""The pages of methods, written into `docs/methods/` before Sphinx looks for sources."""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from suite.cli.method_pages import write_method_pages


def write(app: Sphinx, config: Config) -> None:
    """Write the pages; those that have not changed are left as they are, and not read again."""
    write_method_pages(Path(app.srcdir) / "methods")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what runs once the configuration is read."""
    app.connect("config-inited", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
