"""Links of the pages in Markdown, as GitHub and editors follow them; each page has one title."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.docs.collector import PAGES, ROOT

ALL = [*PAGES, "SECURITY.md", "CHANGELOG.md"]
INCLUDED = re.compile(r"```\{include\} \S+\n```\n")
"""A page of the site that shows a file from elsewhere."""
WRITTEN_WITH_THE_SITE = ROOT / "docs" / "methods"
"""Pages that only the site has: its start page and its reference lead there."""


def tokens(page: str) -> list[Token]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return MarkdownIt("commonmark").enable("table").parse(text)


def inline(page: str) -> Iterator[tuple[str, Token]]:
    """Yield the type of the block that each inline token is in, and the token."""
    before = ""
    for token in tokens(page):
        if token.type == "inline":
            yield before, token
        before = token.tag


def links(page: str) -> list[str]:
    """Return what a page links to and shows, in its order."""
    found = []
    for _, token in inline(page):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target is not None:
                found.append(str(target))
    return found


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    found: set[str] = set()
    for tag, token in inline(page):
        if re.fullmatch("h[1-6]", tag):
            text = "".join(
                child.content
                for child in token.children or ()
                if child.type in ("text", "code_inline")
            )
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            number = 1
            while (name := slug if number == 1 else f"{slug}-{number - 1}") in found:
                number += 1
            found.add(name)
    return found


def dead(page: str, target: str) -> str:
    """Return what is wrong with a link of a page; empty if nothing is."""
    parts = urlsplit(target)
    if parts.scheme:
        usual = parts.scheme in ("http", "https", "mailto") and re.fullmatch(r"\S+", target)
        return "" if usual and (parts.netloc or parts.scheme == "mailto") else "not well formed"
    file = (ROOT / page).parent / unquote(parts.path) if parts.path else ROOT / page
    of_the_site = page == "docs/index.md" or page.startswith("docs/api/")
    if of_the_site and WRITTEN_WITH_THE_SITE in file.resolve().parents:
        return ""
    if not file.exists():
        return "no such file"
    if parts.fragment and file.suffix == ".md":
        name = str(file.resolve().relative_to(ROOT))
        return "" if parts.fragment in anchors(name) else "no such heading"
    return ""


@pytest.mark.parametrize("page", ALL)
def test_every_link_of_a_page_leads_somewhere(page):
    assert {target: why for target in links(page) if (why := dead(page, target))} == {}


@pytest.mark.parametrize("page", ALL)
def test_a_page_has_one_title_at_its_top(page):
    if INCLUDED.fullmatch((ROOT / page).read_text(encoding="utf-8")):
        return  # that of the file which it shows
    levels = [token.tag for token in tokens(page) if token.type == "heading_open"]
    assert levels[0] == "h1"
    assert levels.count("h1") == 1


def test_a_dead_link_is_noticed():
    assert dead("README.md", "docs/nowhere.md") == "no such file"
    assert dead("README.md", "docs/faq.md#nothing") == "no such heading"
    assert dead("docs/faq.md", "protocol.md#statistics") == ""
    assert dead("docs/faq.md", "../README.md#quick-start") == ""
    assert dead("docs/faq.md", "https://a b/") == "not well formed"
    assert dead("docs/faq.md", "https:///path") == "not well formed"


def test_the_readme_can_be_read_in_one_sitting():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_the_example_of_the_readme_is_that_of_the_page_about_methods():
    def example(page: str) -> str:
        text = (ROOT / page).read_text(encoding="utf-8")
        (found,) = re.findall(r"```python\n(\"\"\"RigL that drops.*?)```", text, re.DOTALL)
        return found

    assert example("README.md") == example("docs/own-method.md")


def test_examples_of_links_are_found():
    assert "docs/results.md" in links("README.md")
    assert Path("docs/figures/leaderboard.png").name in " ".join(links("README.md"))
