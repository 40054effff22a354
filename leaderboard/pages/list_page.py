"""The list of a section of the site: a row for each of its pages."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from leaderboard.pages.navigation import PLAIN, Navigation, Section
from leaderboard.pages.templating import site_page


@dataclass(frozen=True)
class ListedPage:
    """A row: title and address of a page, what the list says of it, and words for the search."""

    title: str
    address: str
    facts: tuple[str, ...]
    words: str = ""


@dataclass(frozen=True)
class PageList:
    """A list of pages.

    Attributes:
        section: which.
        lead: what the pages are.
        columns: headings of `ListedPage.facts`; the title's is the singular of the section.
        pages: in the order of the list.
        wordy: columns of running text, not of figures.
        more: titles, addresses and descriptions of pages that belong to it and are no rows.
    """

    section: Section
    lead: str
    columns: tuple[str, ...]
    pages: Sequence[ListedPage]
    wordy: Collection[str] = ()
    more: Sequence[tuple[str, str, str]] = ()


def list_page(listed: PageList, navigation: Navigation = PLAIN) -> str:
    """Return the page, in the folder of the main page; all text is escaped."""
    section = listed.section
    heading = section.name.capitalize()
    one = {"studies": "study"}.get(section.name, section.name.removesuffix("s"))
    return site_page(
        "list.html",
        navigation,
        section,
        here=section.address,
        title=f"{heading} · leaderboard",
        heading=heading,
        listed=listed,
        columns=[one, *listed.columns],
    )
