"""The documentation as a site: built without a warning, whole, and usable by everyone."""

import ast
import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import suite
from leaderboard.page_data import page_name
from leaderboard.shipped_boards import shipped_boards
from suite import api
from suite.experiments import registry
from tests.conftest import require
from tests.docs import html_pages
from tests.docs.collector import ROOT, collect
from tests.support.built_once import built_once

pytestmark = pytest.mark.slow
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1400, "height": 900}
OURS = ("suite", "baselines", "tasks", "leaderboard")
SEEN = ["index.html", "own-method.html", "methods/rigl.html", "api/methods.html", "results.html"]
"""A page of each kind, which is opened in a browser."""


def sphinx(
    source: Path, out: Path, *, leaderboard: bool = True, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Build with warnings as errors, in a process of its own, as if beside a leaderboard."""
    given = {n: v for n, v in os.environ.items() if n != "GITHUB_REPOSITORY"} | environment
    words = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    words += ["-D", f"links_outside_leaderboard={int(leaderboard)}"]
    return subprocess.run(
        [*words, "-d", str(out.parent / f"{out.name}-doctrees"), str(source), str(out)],
        capture_output=True,
        text=True,
        env=given,
        check=False,
    )


def needs_sphinx() -> None:
    present = all(map(find_spec, ("sphinx", "myst_parser", "furo", "latex2mathml")))
    require("sphinx", present, "pip install 'resonance-bench[docs]'")


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """Return the folder of the built documentation; a warning fails every test."""
    needs_sphinx()

    def build(place: Path) -> None:
        done = sphinx(ROOT / "docs", place / "site")
        assert (done.returncode, done.stderr) == (0, "")

    return built_once(tmp_path_factory, "documentation", build) / "site"


@functools.cache
def page(path: Path) -> html_pages.Html:
    return html_pages.read(path)


def pages(site: Path) -> list[Path]:
    return sorted(path for path in site.rglob("*.html") if "_downloads" not in path.parts)


# ---------------------------------------------------------------- links


def on_the_leaderboard() -> set[str]:
    """Return the addresses that the leaderboard of the shipped results has, as far as linked to."""
    methods = {entry.method for board in shipped_boards()[0] for entry, _ in board.rows}
    return {"index.html"} | {page_name("methods", method) for method in methods}


def wrong(site: Path, path: Path, target: str, leaderboard: set[str]) -> str:
    """Return what is wrong with a link of a page; empty if nothing is."""
    parts = urlsplit(target)
    if parts.scheme:
        return "" if parts.scheme in ("http", "https") and "." in parts.netloc else "malformed"
    file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if file.is_relative_to(site / "leaderboard"):
        known = str(file.relative_to(site / "leaderboard")) in leaderboard
        return "" if known else "no such page of the leaderboard"
    if not file.is_file():
        return "no such file"
    known = not parts.fragment or unquote(parts.fragment) in page(file).anchors
    return "" if known else "no such anchor"


def test_every_link_and_picture_of_the_site_leads_somewhere(site):
    leaderboard, found = on_the_leaderboard(), {}
    for path in pages(site):
        for target in [*page(path).links, *page(path).loaded]:
            if why := wrong(site, path, target, leaderboard):
                found[f"{path.relative_to(site)}: {target}"] = why
    assert found == {}
    start = site / "index.html"
    assert wrong(site, start, "nowhere.html", leaderboard) == "no such file"
    assert wrong(site, start, "glossary.html#nothing", leaderboard) == "no such anchor"
    assert (
        wrong(site, start, "leaderboard/x.html", leaderboard) == "no such page of the leaderboard"
    )


def test_nothing_is_loaded_from_elsewhere(site):
    for path in pages(site):
        assert [one for one in page(path).loaded if urlsplit(one).netloc] == [], path.name


def test_the_start_page_leads_to_the_leaderboard_and_every_page_is_in_the_contents(site):
    links = page(site / "index.html").links
    assert "leaderboard/index.html" in links
    linked = {(site / urlsplit(link).path).resolve() for link in links if link}
    linked |= {
        (site / "methods" / urlsplit(link).path).resolve()
        for link in page(site / "methods" / "index.html").links
    }
    linked |= {
        (site / "api" / urlsplit(link).path).resolve()
        for link in page(site / "api" / "index.html").links
    }
    theirs = {"genindex.html", "py-modindex.html", "search.html"}
    assert [p for p in pages(site) if p not in linked and p.name not in theirs] == []


# ---------------------------------------------------------------- reference


def inventory(site: Path) -> set[str]:
    """Return every Python name that the reference describes."""
    from sphinx.util.inventory import InventoryFile

    content = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    kinds = content.data if hasattr(content, "data") else content
    return {name for kind, names in kinds.items() if kind.startswith("py:") for name in names}


def imported() -> set[str]:
    """Return what the pages import from the project, by its full name."""
    found = set()
    for piece in collect():
        if piece.kind != "python":
            continue
        for node in ast.walk(ast.parse(piece.text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if not name.startswith("baselines.")}  # their own pages


def listed(heading: str) -> set[str]:
    """Return what the tables of a section of the page about methods list, without `self`."""
    text = (ROOT / "docs" / "own-method.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    spans = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]
    return {span.removeprefix("self.").partition("(")[0] for span in spans}


def test_every_name_that_is_public_is_in_the_reference(site):
    described = inventory(site)
    public = {f"suite.{name}" for name in (*suite.__all__, *api.__all__)} | imported()
    base = "suite.sparsity.sparsifier.Sparsifier"
    attributes = {"rounds", "rewind_step", "only_masked", "adjusts_weights_at_end"}
    for heading in ("What a method overrides", "What it may use"):
        names = {name.partition(".")[0] for name in listed(heading)}
        assert len(names) > 10
        names -= {"__init__", "optimizers", *attributes}  # described with the class
        public |= {f"{base}.{name}" for name in names if name != "growth_candidates"}
    assert sorted(public - described) == []


@pytest.mark.parametrize("module", ["suite.api", "suite.sparsity.masks", "suite.sparsity.pruning"])
def test_every_public_function_of_a_module_is_in_the_reference(site, module):
    path = ROOT / f"{module.replace('.', '/')}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }
    if module == "suite.api":  # what it exports is public, as names of `suite`
        names, module = names & set(api.__all__), "suite"
    assert names
    assert sorted({f"{module}.{name}" for name in names} - inventory(site)) == []


def test_every_method_has_a_page_with_its_equation_and_its_results(site):
    shown = {entry.method for board in shipped_boards()[0] for entry, _ in board.rows}
    for method in registry.methods():
        text = (site / "methods" / f"{method.name}.html").read_text(encoding="utf-8")
        assert ("<math" in text) == (method.name != "dense"), method.name
        assert ("No records of it are shipped" in text) == (method.name not in shown), method.name


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    """Return the address of the site on a server of this process."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("scheme", "viewport"), [("light", DESK), ("dark", PHONE)])
@pytest.mark.parametrize("name", SEEN)
def test_a_page_has_no_fault_of_accessibility_and_does_not_scroll_sideways(
    chromium, address, name, scheme, viewport
):
    from axe_playwright_python.sync_playwright import Axe

    context = chromium.new_context(color_scheme=scheme, viewport=viewport)
    opened, elsewhere = context.new_page(), []
    opened.on(
        "request",
        lambda request: (
            None if request.url.startswith((address, "data:")) else elsewhere.append(request.url)
        ),
    )
    opened.goto(address + name)
    opened.wait_for_load_state("load")
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    faults = [
        (fault["id"], fault["impact"], [node["html"][:200] for node in fault["nodes"]][:3])
        for fault in Axe().run(opened).response["violations"]
    ]
    assert faults == []
    assert elsewhere == []


# ---------------------------------------------------------------- extensions


CONF = """
import sys
sys.path.insert(0, {extensions!r})
extensions = ["myst_parser", "math_as_mathml", "links_outside"]
myst_enable_extensions = ["dollarmath"]
links_outside_repository = {repository!r}
links_outside_pages = {{"POLICY.md": "policy"}}
"""


@pytest.fixture
def small(tmp_path):
    """Return the function that builds a small documentation, and gives its start page."""
    needs_sphinx()

    def build(text: str, repository: str = "", *, leaderboard: bool = True) -> tuple[str, str]:
        source = tmp_path / "docs"
        source.mkdir()
        extensions = str(ROOT / "docs" / "extensions")
        conf = CONF.format(extensions=extensions, repository=repository)
        (source / "conf.py").write_text(conf)
        (source / "index.md").write_text(f"# Start\n\n{text}\n\n```{{toctree}}\npolicy\n```\n")
        (source / "policy.md").write_text("```{include} ../POLICY.md\n```\n")
        (tmp_path / "POLICY.md").write_text("# Policy\n\n[start](docs/index.md) [code](code.py)\n")
        (tmp_path / "code.py").write_text("x = 1\n")
        done = sphinx(source, tmp_path / "out", leaderboard=leaderboard)
        index = tmp_path / "out" / "index.html"
        return index.read_text() if index.exists() else "", done.stderr

    return build


def test_links_that_leave_the_docs_lead_to_pages_copies_or_the_repository(small, tmp_path):
    page, said = small(
        "[policy](../POLICY.md) [code](../code.py) {leaderboard}`board <index.html>`"
    )
    assert said == ""
    assert 'href="policy.html"' in page
    assert re.search(r'href="_downloads/\w+/code\.py"', page)
    assert 'href="leaderboard/index.html"' in page
    policy = (tmp_path / "out" / "policy.html").read_text()
    assert re.search(r'href="index\.html"[^>]*><span[^>]*>start<', policy)
    assert re.search(r'href="_downloads/\w+/code\.py"', policy)


def test_without_a_leaderboard_beside_the_pages_there_is_no_link_to_it(small):
    page, said = small("{leaderboard}`the board <index.html>`", leaderboard=False)
    assert said == ""
    assert "<span>the board</span>" in page
    assert "leaderboard/index.html" not in page


def test_with_an_address_of_the_repository_files_are_there(small):
    page, said = small("[code](../code.py)", "https://example.org/a/b")
    assert said == ""
    assert 'href="https://example.org/a/b/blob/main/code.py"' in page
    assert "_downloads" not in page


@pytest.mark.parametrize(
    "text", ["[x](../nowhere.py)", "[x](nowhere.md)", r"$\nosuch{a}$", r"$\left( a$"]
)
def test_a_link_or_formula_that_does_not_work_stops_the_build(small, text):
    _, said = small(text)
    assert "WARNING" in said
