"""Configuration of Sphinx, which builds the documentation site from this folder: `make site`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE / "extensions")]

from suite import __version__  # noqa: E402 - found by the line above
from suite.core.repository import BRANCH, repository  # noqa: E402

REPOSITORY = repository()

project = "resonance-bench"
author = "The resonance-bench authors"
release = version = __version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docstrings",
    "math_as_mathml",
    "method_pages",
    "links_outside",
]
exclude_patterns = ["extensions", "_static"]
nitpicky = True

# ---- pages in Markdown

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
links_outside_repository = REPOSITORY.url if REPOSITORY else ""
links_outside_pages = {
    "README.md": "index",
    "SECURITY.md": "project/security-policy",
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changelog",
    "examples/README.md": "project/examples",
}

# ---- reference from docstrings

default_role = "py:obj"  # `name` in a docstring is a link where something has that name
autodoc_default_options = {"member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_mock_imports = ["lightning", "transformers"]  # frameworks whose callbacks are documented
autodoc_use_legacy_class_based = False
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
nitpick_ignore_regex = [
    ("py:obj", ".*"),  # text in backticks that is no name
    ("py:(class|data|attr|exc|func|meth)", r".*"),
]

# ---- HTML

html_theme = "furo"
html_title = "resonance-bench"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["accessibility.js"]
html_copy_source = html_show_sourcelink = html_show_copyright = False
html_last_updated_fmt = None
html_theme_options = {"navigation_with_keys": False}
if REPOSITORY:
    html_theme_options |= {
        "source_repository": REPOSITORY.url,
        "source_branch": BRANCH,
        "source_directory": "docs/",
    }
