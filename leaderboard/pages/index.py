"""The main page of a leaderboard: one file that holds its data, its style and its scripts."""

from collections.abc import Sequence

from markupsafe import Markup

from leaderboard import statistics
from leaderboard.charts.board import specifications
from leaderboard.charts.vega import bundle
from leaderboard.data import page_data
from leaderboard.pages.templating import (
    DRAWING,
    asset,
    embedded_code,
    embedded_data,
    environment,
    source_hash,
)
from leaderboard.statistics import ENOUGH
from leaderboard.submission import Header
from leaderboard.summary_table import summary_table
from leaderboard.tables import OFF_NOMINAL, SLACK, Board, Excluded
from suite import __version__

SCRIPTS = (
    *DRAWING, *statistics.SCRIPTS, "pooled_scores.js", "figures.js", "dom.js", "charts.js",
    "format.js", "model.js", "table.js", "view.js", "summary_table.js", "controls.js", "app.js",
)  # fmt: skip
"""In the order in which they need one another."""


def render(
    boards: Sequence[Board],
    excluded: Sequence[Excluded],
    further: Sequence[tuple[str, str, str]] = (),
    sent: Sequence[tuple[Header, int]] = (),
) -> str:
    """Return the page; `further` pages are linked to: title, address, what it is about.

    `sent` are the bundles that records came in: who sent each, and how many are shown.

    All text from records is escaped, and of the scripts in the page those that are ours may run:
    the content security policy names them by their digests. It allows eval, which Vega compiles
    its expressions with, and no address to load from or send to.
    """
    scripts = [embedded_code(asset(name)) for name in SCRIPTS]
    modules = [embedded_code(bundle())]
    limits = {"enough": ENOUGH, "off": OFF_NOMINAL + SLACK}
    content = {**page_data(boards, excluded), **specifications(boards), **limits}
    seen = summary_table(boards)
    ends = [sum(len(head[2]) for head in seen.heads[:i]) for i in range(len(seen.heads))]
    return (
        environment()
        .get_template("index.html")
        .render(
            summary_table=seen,
            firsts=set(ends),
            excluded=excluded,
            further=further,
            sent=sent,
            counts=_counts(boards),
            enough=ENOUGH,
            version=__version__,
            data=embedded_data(content),
            style=Markup(asset("style.css") + asset("index.css")),
            policy=_policy([*modules, *scripts]),
            modules=modules,
            scripts=scripts,
        )
    )


def _policy(scripts: Sequence[str]) -> str:
    allowed = " ".join(map(source_hash, scripts))
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; "
        f"style-src 'unsafe-inline'; script-src 'unsafe-eval' {allowed}"
    )


def _counts(boards: Sequence[Board]) -> str:
    entries = {entry for board in boards for entry, _ in board.rows}
    sparsities = {sparsity for board in boards for sparsity in board.sparsities} or {0.0}
    trials = {run.key for b in boards for _, cells in b.rows for c in cells if c for run in c.runs}
    counted = ((len(entries), "competitor"), (len(boards), "task"), (len(trials), "finished trial"))
    words = [f"{number:,} {word}{'s' * (number != 1)}" for number, word in counted]
    return ", ".join([*words, f"sparsity {min(sparsities):g} to {max(sparsities):g}"])
