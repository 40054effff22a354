"""The bar on every page of a site: its lists, and the search.

A section without a page in a site is left out of its bar. Which there are is known before any page
is written, because pages of trials are written while records are still being read.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A section of a site: its name, and the address of its list within the site."""

    name: str
    address: str


HOME = Section("home", "index.html")
TASKS = Section("tasks", "tasks.html")
METHODS = Section("methods", "methods.html")
COMPARISON = Section("compare", "compare.html")
STUDIES = Section("studies", "studies.html")
ABLATIONS = Section("ablations", "ablations.html")
TUNINGS = Section("tunings", "tunings.html")
REPRODUCTIONS = Section("reproductions", "reproductions.html")
EVIDENCE = Section("evidence", "evidence.html")
PAPER = Section("paper", "paper.html")
ORDER = (
    HOME, TASKS, METHODS, COMPARISON, STUDIES, ABLATIONS, TUNINGS, REPRODUCTIONS, EVIDENCE, PAPER,
)  # fmt: skip
"""All sections, in the order of the bar. Lists are beside the folders of their pages, so that no
page of a folder has the name of its list."""


@dataclass(frozen=True)
class Navigation:
    """The sections of a site, in the order of the bar."""

    sections: tuple[Section, ...] = (HOME, TASKS, METHODS, COMPARISON, PAPER)

    @classmethod
    def of(
        cls, *, studies: bool, ablations: bool, tunings: bool, reproductions: bool, evidence: bool
    ) -> "Navigation":
        """Return the bar of a site that has pages of these kinds; the others it always has."""
        given = {
            STUDIES: studies, ABLATIONS: ablations, TUNINGS: tunings,
            REPRODUCTIONS: reproductions, EVIDENCE: evidence,
        }  # fmt: skip
        return cls(tuple(section for section in ORDER if given.get(section, True)))


PLAIN = Navigation()
"""The bar of a page that is made by itself: of what every site has."""
