"""Every link of a site leads somewhere: to a file of it, and to a place on that page."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from leaderboard.pages.navigation import ORDER
from tests.leaderboard.whole_site import build_whole


class Page(HTMLParser):
    """The addresses that a page names, the places on it, and what marks where it is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.places: list[str] = []
        self.current: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.addresses += [given[name] for name in ("href", "src") if name in given]
        self.places += [given[name] for name in ("id", "name") if name in given]
        if "aria-current" in given:
            self.current.append((given["href"], given["aria-current"]))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return build_whole(tmp_path_factory.mktemp("whole"))


def pages(site: Path) -> Iterator[tuple[Path, Page]]:
    for path in sorted(site.rglob("*.html")):
        yield path, Page(path.read_text(encoding="utf-8"))


def test_there_is_every_kind_of_page(site):
    folders = {path.parent.name for path in site.rglob("*.html") if path.parent != site}
    kinds = ("tasks", "methods", "studies", "ablations", "tunings", "reproductions", "trials")
    assert folders == set(kinds)
    assert {f"{kind}.html" for kind in kinds[:-1]} <= {path.name for path in site.glob("*.html")}


def test_no_link_of_any_page_is_dead(site):
    known = dict(pages(site))
    dead = []
    for path, page in known.items():
        for address in page.addresses:
            file, _, place = address.partition("#")
            target = (path.parent / unquote(file)).resolve() if file else path
            inside = target.is_relative_to(site.resolve())
            if ":" in file or not inside or not target.is_file():
                dead.append((path.name, address))
            elif target.name == "compare.html":  # its address holds a choice, not a place
                continue
            elif place and unquote(place) not in known[target].places:
                dead.append((path.name, address))
    assert dead == []


def test_places_of_a_page_are_named_once(site):
    for path, page in pages(site):
        assert len(page.places) == len(set(page.places)), path


def test_every_page_has_the_bar_with_where_it_is(site):
    present = [one for one in ORDER if (site / one.address).is_file()]
    assert [one.name for one in ORDER if one not in present] == ["evidence"]
    for path, page in pages(site):
        root = "" if path.parent == site else "../"
        listed = [root + one.address for one in present]
        assert [one for one in page.addresses if one in listed][: len(listed)] == listed, path
        marked = [one for one in page.current if one[0] in listed]
        # The main page also marks its terms of comparison.
        here, *_ = marked if path.name != "signals.html" else [("", "")]
        assert here[1] == ("page" if (path.parent / here[0]).resolve() == path else "true"), path


def test_the_section_of_a_page_is_that_of_its_folder(site):
    found = {(path.parent.name, *page.current[0]) for path, page in pages(site)
             if path.parent != site}  # fmt: skip
    assert found == {
        (folder, f"../{'tasks' if folder == 'trials' else folder}.html", "true")
        for folder in ("tasks", "methods", "studies", "ablations", "tunings", "reproductions",
                       "trials")
    }  # fmt: skip
