"""The main page of a leaderboard: its data, style and scripts in one file, but for Vega."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard.board_groups import BoardGroup
from leaderboard.boards import MAX_SPARSITY_DEVIATION, SPARSITY_SLACK, Board, Excluded
from leaderboard.bundles.bundle_file import Sender
from leaderboard.charts.board_charts import specifications
from leaderboard.overview import default_sparsities, overview
from leaderboard.overview_text import overview_table
from leaderboard.page_data import page_data
from leaderboard.pages.comparison_page import group_name
from leaderboard.pages.navigation import HOME, Navigation
from leaderboard.pages.templating import (
    CHART_SCRIPTS,
    asset,
    embedded_code,
    embedded_data,
    environment,
    source_hash,
)
from leaderboard.score_text import DEFAULT_ROPE, shown_metric
from leaderboard.statistics.coverage import COVERAGE_TABLE
from leaderboard.statistics.intervals import MIRRORED_SCRIPTS
from leaderboard.statistics.paired_comparisons import MIN_SEEDS
from leaderboard.terms import EQUAL_STEPS, INDEX
from suite import __version__

INDEX_SCRIPTS = (
    "search.js",
    *CHART_SCRIPTS, *MIRRORED_SCRIPTS, "pooled_scores.js", "chart_rows.js", "dom.js",
    "index_charts.js", "format.js", "model.js", "cell_table.js", "view.js", "forest.js",
    "overview.js", "overview_text.js", "overview_table.js", "controls.js", "app.js",
)  # fmt: skip
"""In load order."""


@dataclass(frozen=True)
class FurtherPage:
    """A page to link to: its title, its address within the site, and what it is about.

    `trials` are the keys of those that it alone shows.
    """

    title: str
    address: str
    about: str
    trials: frozenset[str] = frozenset()


def index_page(
    boards: Sequence[Board],
    excluded: Sequence[Excluded],
    further: Sequence[FurtherPage] = (),
    sent: Sequence[tuple[Sender, int]] = (),
    pictures: Collection[str] = (),
    groups: Sequence[BoardGroup] = (),
    navigation: Navigation | None = None,
) -> str:
    """Return the page of boards on the same terms.

    `groups` are all of the site: each has a page like this, which links to the others. Boards on
    different terms share neither tables nor charts nor corrections.

    `further` are pages of ablations, tunings and analyses to link to. `sent` are the bundles of the
    records: who sent each, and how many of its records are shown. `pictures` are the charts that
    the site has as files in ``charts/``, whose PDF is linked (`BoardGroup.prefix`).

    All text from records is escaped, and only our own scripts may run: the content security policy
    lists their digests. It allows eval, which Vega needs for its expressions, scripts of the site
    that our own ask for (Vega, the index of the search), and no other address to load from or send
    to.
    """
    terms = boards[0].terms if boards else EQUAL_STEPS
    own = BoardGroup(terms, tuple(boards), INDEX)
    shown = next((group for group in groups if group.terms == terms), own)
    scripts = [embedded_code(asset(name)) for name in INDEX_SCRIPTS]
    found = overview(boards)
    limits = {
        "min_seeds": MIN_SEEDS,
        "sparsity_tolerance": MAX_SPARSITY_DEVIATION + SPARSITY_SLACK,
        "rope": DEFAULT_ROPE / 100,
        "reference": found.reference,
        "sparsities": default_sparsities(boards),
        "terms": group_name(shown),
    }
    content = {**page_data(boards), **specifications(boards), **limits}
    for name in pictures:
        content["charts"][name]["pdf"] = f"charts/{shown.prefix}{name}.pdf"
    metrics = list({board.metric.name: board.metric for board in boards}.values())
    return (
        environment()
        .get_template("index.html")
        .render(
            groups=groups if len(groups) > 1 else [],
            shown=shown,
            heading="resonance-bench leaderboard",
            overview_table=overview_table(found, terms),
            reference=found.reference,
            metric_shown=shown_metric(metrics),
            coverage=COVERAGE_TABLE,
            excluded=excluded,
            further=further,
            sent=sent,
            counts=_counts(boards),
            min_seeds=MIN_SEEDS,
            version=__version__,
            navigation=navigation,
            section=HOME,
            here=shown.page,
            data=embedded_data(content),
            style=Markup(asset("style.css") + asset("index.css")),
            policy=_policy(scripts),
            scripts=scripts,
        )
    )


def _policy(scripts: Sequence[str]) -> str:
    allowed = " ".join(map(source_hash, scripts))
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; "
        f"style-src 'unsafe-inline'; script-src 'unsafe-eval' 'strict-dynamic' {allowed}"
    )


def _counts(boards: Sequence[Board]) -> str:
    entries = {entry for board in boards for entry, _ in board.rows}
    tasks = {board.task for board in boards}  # a task with two recipes has two boards
    sparsities = {sparsity for board in boards for sparsity in board.sparsities} or {0.0}
    trials = {run.key for board in boards for _, _, cell in board.cells() for run in cell.runs}
    counted = ((len(entries), "method"), (len(tasks), "task"), (len(trials), "finished trial"))
    words = [f"{number:,} {word}{'s' * (number != 1)}" for number, word in counted]
    low, high = f"{min(sparsities):g}", f"{max(sparsities):g}"
    return ", ".join([*words, f"sparsity {low}" if low == high else f"sparsity {low} to {high}"])
