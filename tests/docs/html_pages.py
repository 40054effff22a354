"""What a built page links to, loads and can be linked to."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

LOADED = {"img": "src", "script": "src", "source": "src", "iframe": "src", "video": "src"}
"""Elements for which a browser asks by itself, and where they say what for."""
LOADED_RELATIONS = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "manifest"}


@dataclass
class Html:
    """One page of a site.

    Attributes:
        anchors: what a fragment may name.
        links: what a reader can follow.
        loaded: what the browser fetches with the page.
    """

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Html()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.page.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        elif tag == "link" and set(given.get("rel", "").split()) & LOADED_RELATIONS:
            self.page.loaded.append(given["href"])
        elif tag in LOADED and given.get(LOADED[tag]):
            self.page.loaded.append(given[LOADED[tag]])


def read(path: Path) -> Html:
    """Return what a file of HTML holds."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page
