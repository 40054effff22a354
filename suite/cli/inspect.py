"""`resonance inspect`: a page about one trial, with charts of what happened while it trained."""

from pathlib import Path
from typing import Annotated

import typer

from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption, TrialArgument
from suite.core.console import complain, print_json, say
from suite.results.store import Store


def inspect(
    trial: TrialArgument = "",
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; site/trials/KEY by default.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a page about one trial, with pictures of what happened while it trained."""
    from leaderboard.pages.inspection import find_trial
    from leaderboard.pages.inspection import inspect as write_page

    results = Store(store)
    folder = out or Path("site") / "trials" / find_trial(results, trial).key
    written = write_page(results, trial, folder)
    for one in written.damaged:
        complain(f"left out: {one.reason}")
    if json:
        pictures = [str(path) for path in written.pictures]
        print_json({"page": str(written.page), "pictures": pictures})
        return
    say(f"Page: {written.page}")
    say(f"Pictures: {', '.join(path.name for path in written.pictures)}")
