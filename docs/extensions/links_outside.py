"""Links that leave `docs/`: to files of the repository, and to the leaderboard beside the pages.

In the sources links are relative, as GitHub follows them. On the site, a file that is shown as a
page (`links_outside_pages`) is that page; any other file is where the repository's address
(`links_outside_repository`) has it, or a copy in the site if there is no address. In a page that
includes a file from outside `docs/`, links are relative to where that file is.
"""

import os
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import ReferenceRole

LOG = logging.getLogger(__name__)
LEADERBOARD = "leaderboard"
"""The folder of the site that `make site` builds the leaderboard in."""


class LeaderboardRole(ReferenceRole):
    """{leaderboard}`text <page>`: a page of the leaderboard, by its address there.

    ``sphinx-build -D links_outside_leaderboard=1`` says that one is built, as `make site` does.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the link; its words alone where no leaderboard is built beside the pages."""
        if not self.config.links_outside_leaderboard:
            return [nodes.inline("", self.title)], []
        up = "../" * self.env.docname.count("/")
        address = f"{up}{LEADERBOARD}/{self.target}"
        return [nodes.reference("", self.title, refuri=address, internal=True)], []


def resolve(app: Sphinx, doctree: nodes.document) -> None:
    """Point every link that leaves the sources to where its target is on the site."""
    sources, page = Path(app.srcdir), app.env.docname
    shown = {name: file for file, name in app.config.links_outside_pages.items()}
    included = page in shown and page != app.config.root_doc
    base = (sources.parent / shown[page] if included else sources / page).parent
    links = [*doctree.findall(addnodes.pending_xref), *doctree.findall(addnodes.download_reference)]
    for node in links:
        if node.get("reftype") != "myst":
            continue
        target = str(node["reftarget"] or "")
        if node.get("refdomain") == "doc":  # MyST has found a file; outside, it is an absolute path
            if target in app.env.found_docs:
                continue
            target = f"{target}.md#{node.get('reftargetid') or ''}"
        address, _, fragment = target.partition("#")
        file = Path(os.path.normpath(base / address))
        if address and file.exists() and file.is_relative_to(sources.parent):
            node.replace_self(_link(app, node, file, fragment))


def _link(app: Sphinx, node: nodes.Element, file: Path, fragment: str) -> nodes.Element:
    """Return what takes the place of a link to a file or folder of the repository."""
    sources = Path(app.srcdir)
    name = file.relative_to(sources.parent).as_posix()
    pages = app.config.links_outside_pages
    docname = pages.get(name, pages.get(f"{name}/README.md"))
    if docname is None and file.suffix == ".md" and file.is_relative_to(sources):
        docname = file.relative_to(sources).with_suffix("").as_posix()
    about: dict[str, Any] = {"refdoc": app.env.docname, "reftype": "myst", "refexplicit": True}
    if docname is not None:
        about |= {"refdomain": "doc", "reftarget": docname, "reftargetid": fragment or None}
        return addnodes.pending_xref("", *node.children, **about)
    if repository := app.config.links_outside_repository:
        address = f"{repository}/{'tree' if file.is_dir() else 'blob'}/main/{name}"
        address += f"#{fragment}" if fragment else ""
        return nodes.reference("", "", *node.children, refuri=address, internal=False)
    if file.is_dir():
        LOG.warning("%s is a folder: link to a file of it", name, location=node)
    path = os.path.relpath(file, (sources / app.env.docname).parent)
    about |= {"refdomain": None, "reftarget": path}
    return addnodes.download_reference("", "", *node.children, classes=["download"], **about)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the settings, the role, and what resolves the links of a page that was read."""
    app.add_config_value("links_outside_repository", "", "env", str)
    app.add_config_value("links_outside_pages", {}, "env", dict)
    app.add_config_value("links_outside_leaderboard", False, "env", bool)
    app.add_role(LEADERBOARD, LeaderboardRole())
    app.connect("doctree-read", resolve, priority=400)  # before files to copy are collected
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
