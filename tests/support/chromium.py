"""A browser for tests."""

from typing import Any

MILLISECONDS = 300_000
"""For what a page shows soon or not at all, on a machine that is busy."""


class Chromium:
    """A running Chromium of Playwright, whose pages wait for as long as a busy machine needs."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @property
    def contexts(self) -> list[Any]:
        """The contexts that are open."""
        return self._browser.contexts

    def new_context(self, **given: Any) -> Any:
        """Open a context; `given` is as for Playwright."""
        context = self._browser.new_context(**given)
        context.set_default_timeout(MILLISECONDS)
        return context

    def new_page(self, **given: Any) -> Any:
        """Open a page in a context of its own, which ends with it; `given` is as for Playwright."""
        page = self._browser.new_page(**given)
        page.set_default_timeout(MILLISECONDS)
        return page
