"""The pages of a task and of a method: facts, table, charts, and all trials."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from leaderboard.board_claims import BoardClaims
from leaderboard.board_columns import Column
from leaderboard.board_groups import BoardGroup, board_groups, on_other_terms, states_terms
from leaderboard.boards import Board, Entry, PlacedRecord
from leaderboard.chart_rows import ALL, CHART_ROWS
from leaderboard.charts.board_charts import form
from leaderboard.charts.theme import styles, themes
from leaderboard.page_data import page_name
from leaderboard.pages.comparison_page import comparison_address
from leaderboard.pages.navigation import METHODS, PLAIN, TASKS, Navigation
from leaderboard.pages.recipe_texts import differing_recipe, recipe_rows
from leaderboard.pages.templating import embedded_data, site_page
from leaderboard.sampling_error import sampling_error_text
from leaderboard.score_text import heading, shown_metric, value_text
from leaderboard.summary_table import SummaryTable, summary_table
from leaderboard.terms import Terms
from leaderboard.trial_facts import TrialResult
from suite.core.declarations import Hyperparameter
from suite.experiments import registry
from suite.experiments.trial_config import show
from suite.results.record import RecordedMethod, RecordedTask

SHOWN_CHARTS = ("accuracy", "cost", "score")
"""Charts of a task's page."""
EVERYWHERE = "in all cells of the leaderboard"


@dataclass(frozen=True, slots=True)
class ListedTrial:
    """A trial in a list of trials: its seed, its value of the metric, why it does not count."""

    key: str
    seed: int
    score: str
    state: str
    reason: str

    @property
    def link(self) -> Markup:
        """A link to its page, of one that counts, from a folder below the main page."""
        return Markup(
            f'<a href="../trials/{self.key}.html"><span class="soft">{self.seed}:</span> '
            f"{escape(self.score)}</a> "
        )


class RelatedPage(NamedTuple):
    """A page of the same site that is about the same: its kind (a section), title, address."""

    kind: str
    title: str
    address: str


@dataclass
class BoardView:
    """A board with its table and all its trials.

    Attributes:
        board: the board.
        summary_table: its table.
        claims: of all boards, among which its own are.
        trials: all trials of each entry and sparsity, including failed and outdated ones.
    """

    board: Board
    summary_table: SummaryTable
    claims: BoardClaims
    trials: dict[tuple[Entry, float], list[ListedTrial]] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """Address of the task's page."""
        return page_name("tasks", self.board.title)

    @property
    def heading(self) -> str:
        """What the task ranks by, with its unit."""
        return heading(self.board.metric)

    def lines(self, entries: Sequence[Entry]) -> list[tuple[Entry, float, list[ListedTrial]]]:
        """Return entry, sparsity and trials, in the order of the table."""
        return [
            (entry, sparsity, sorted(self.trials[entry, sparsity], key=lambda one: one.seed))
            for entry in entries
            for sparsity in sorted(s for e, s in self.trials if e == entry)
        ]


def board_views(group: BoardGroup, placed: Sequence[PlacedRecord[Any]]) -> list[BoardView]:
    """Return the boards of a group with their tables and trials.

    `placed` are the records of these and of any other boards.
    """
    claims = group.claims
    found = {
        (board.task, board.settings): BoardView(board, summary_table([board], claims), claims)
        for board in group.boards
    }
    for one in placed:
        if not one.on_board or (view := found.get(one.board)) is None:
            continue
        trials = view.trials.setdefault((one.entry, one.record.trial["sparsity"]), [])
        trials.append(_listed_trial(one.record, one.left_out, view.board.metric))
    return list(found.values())


def _listed_trial(record: TrialResult, left_out: str, metric: Column) -> ListedTrial:
    if record.status == "failed":
        reason = (record.error or {}).get("message", "failed")
        return ListedTrial(record.key, record.trial["seed"], "failed", "failed", reason)
    value = record.metrics.get(metric.name)
    score = "–" if value is None else value_text(metric, value)
    state = "outdated" if left_out else ""
    if left_out and left_out == Terms.of(record).left_out(record):
        state = "off-budget"
    if left_out and left_out == record.never_updated:
        state = "no-update"
    return ListedTrial(record.key, record.trial["seed"], score, state, left_out)


def task_page(
    one: BoardView,
    views: Sequence[BoardView] = (),
    related: Sequence[RelatedPage] = (),
    navigation: Navigation = PLAIN,
) -> str:
    """Return the page of a board's task.

    Of the `views` of a site, those of the same task on other terms are shown with it. `related` are
    the pages of studies and reproductions with this task.
    """
    board = one.board
    name = board.task
    known = registry.tasks()
    return site_page(
        "task.html",
        navigation,
        TASKS,
        title=f"{board.title} · leaderboard",
        heading=board.title,
        lead=known[name].title if name in known else _not_installed("task", board.about),
        task_facts=_task_facts(name, board.about),
        recipe=recipe_rows(board),
        differs=differing_recipe(board),
        related=related,
        one=one,
        beside=_beside(one, views),
        metric=shown_metric([board.metric]),
        signs=_signs(_beside(one, views) or [one]),
        sampling_error=sampling_error_text(board),
        summary_table=one.summary_table,
        lines=one.lines([entry for entry, _ in board.rows]),
        figures=_figures(board),
    )


def _beside(one: BoardView, views: Sequence[BoardView]) -> list[BoardView]:
    """Return a view among those that differ in their terms alone; empty without another."""
    same = on_other_terms(one.board, [view.board for view in views])
    return [view for board in same for view in views if view.board is board] if same[1:] else []


def _signs(views: Sequence[BoardView]) -> str:
    """Return what the signs in some tables mean; boards on the same terms are one family."""
    counted = {view.board.terms: view.claims for view in views if view.claims.comparisons}
    if not counted:
        return ""
    (terms, claims), *others = counted.items()
    several = len({view.board.terms for view in views}) > 1
    said = claims.sentences(f"{EVERYWHERE} {terms.words}" if several else EVERYWHERE)
    own = [f"{other.heading}: over {found.comparisons:,} of its own." for other, found in others]
    return " ".join([said, *own])


def method_page(
    method: str,
    boards: Sequence[BoardView],
    related: Sequence[RelatedPage] = (),
    navigation: Navigation = PLAIN,
) -> str:
    """Return the page of a method; `related` are those of its tunings, studies, reproductions."""
    known = registry.methods()
    declared = known[method] if method in known else None  # noqa: SIM401 - a registry has no get
    entries = list(
        dict.fromkeys(e for one in boards for e, _ in one.board.rows if e.method == method)
    )
    about = next((entry.about for entry in entries if entry.about is not None), None)
    heading = declared.title if declared else about.title if about is not None else method
    tables = [(one, _rows(one.summary_table, method)) for one in boards]
    metrics = list(
        {one.board.metric.name: one.board.metric for one, rows in tables if rows}.values()
    )
    own = {entry.label for entry in entries}
    return site_page(
        "method.html",
        navigation,
        METHODS,
        title=f"{heading} · leaderboard",
        heading=heading,
        lead=declared.summary if declared else _not_installed("method", about),
        method_facts=_method_facts(declared, method, about),
        settings=[_setting(p) for p in declared.hyperparameters] if declared else [],
        tables=[(one, rows) for one, rows in tables if rows],
        lines=[(one, one.lines(entries)) for one, rows in tables if rows],
        several=len(entries) > 1,
        on_terms=len({one.board.terms for one, rows in tables if rows}) > 1,
        mixed=len(metrics) > 1,
        metric=shown_metric(metrics),
        signs=_signs([one for one, rows in tables if rows]),
        recipes={one.page: differing_recipe(one.board) for one, _ in tables},
        rivals=_rivals(boards, entries),
        related=related,
        figures=_among_others([one.board for one, rows in tables if rows], own),
    )


def _rows(table: SummaryTable, method: str) -> list[Any]:
    """Return the rows of the dense network, then those of the method, its defaults first."""
    own = [row for row in table.rows if row.entry.method == method]
    own.sort(key=lambda row: (row.entry.tuned, row.entry.settings))
    return [row for row in table.rows if row.entry.dense and row not in own] + own if own else []


def chart_data_script(boards: Sequence[Board]) -> str:
    """Return the script that holds the specifications of the charts of tasks and methods."""
    looks = styles([entry for board in boards for entry, _ in board.rows])
    content = {"charts": {name: form(name, looks) for name in SHOWN_CHARTS}, "themes": themes()}
    return f"window.resonanceBoardCharts = {embedded_data(content)};\n"


def _figures(board: Board) -> Markup:
    """Return a board's figures, for `assets/task_charts.js`; empty without rows."""
    rows = {name: CHART_ROWS[name]([board], ALL) for name in SHOWN_CHARTS}
    found = [
        {"name": name, "chart": name, "where": "", "rows": chart}
        for name, chart in rows.items()
        if any(row["sparsity"] is not None for row in chart)
    ]
    return embedded_data(found) if found else Markup("")


def _among_others(boards: Sequence[Board], own: set[str]) -> Markup:
    """Return the figures of a method; other methods have no family and are drawn grey.

    Boards on different terms have figures of their own.
    """
    groups, found = board_groups(boards), []
    for group, name in itertools.product(groups, ("accuracy", "score")):
        rows = CHART_ROWS[name](group.boards, ALL)
        if any(row["entry"] in own and row["sparsity"] is not None for row in rows):
            shown = own | {row["entry"] for row in rows if row["sparsity"] is None}
            rows = [row if row["entry"] in shown else row | {"family": None} for row in rows]
            where = f", {group.terms.words}" if states_terms(groups) else ""
            found.append(
                {"name": f"{group.prefix}{name}", "chart": name, "where": where, "rows": rows}
            )
    return embedded_data(found) if found else Markup("")


def _task_facts(name: str, about: RecordedTask | None) -> list[tuple[str, str]]:
    if name not in registry.tasks():
        if about is None:
            return []
        return [("ranked by", about.metric.replace("_", " ")), ("source", about.source)]
    task = registry.tasks()[name]
    dataset = registry.datasets()[task.dataset]
    facts = [
        ("dataset", f"{dataset.title} ({dataset.name})"),
        ("examples", f"{dataset.train:,} for training, {dataset.test:,} for test"),
        ("input", "×".join(map(str, dataset.shape))),
        ("targets" if dataset.regression else "classes", str(dataset.classes)),
        ("model", task.model),
        ("model's options", ", ".join(f"{n}={v}" for n, v in task.model_options.items())),
        ("ranked by", task.metric.replace("_", " ")),
        ("source", task.source),
        ("source of the data", dataset.source),
        ("licence of the data", dataset.licence or "not stated"),
        ("revision", f"{task.revision}, of the data {dataset.revision}"),
    ]
    return [(title, text) for title, text in facts if text]


def _not_installed(kind: str, about: RecordedMethod | RecordedTask | None) -> str:
    here = f"This {kind} is not installed here"
    return (
        f"{about.title}. {here}: what is shown is from its records."
        if about is not None
        else f"{here}."
    )


def _method_facts(method: Any, name: str, about: RecordedMethod | None) -> list[tuple[str, str]]:
    if method is None:
        if about is None:
            return []
        return [("name", name), ("family", about.family), ("source", about.source)]
    facts = [
        ("name", method.name),
        ("family", method.family),
        ("source", method.source),
        ("cost of training", method.cost),
        ("revision", str(method.revision)),
        (
            "control",
            "a claim for the method that it controls for must hold against it"
            if method.control
            else "",
        ),
    ]
    return [(title, text) for title, text in facts if text]


def _setting(setting: Hyperparameter) -> tuple[str, str, str, str, str]:
    meaning = setting.meaning + (f" ({setting.unit})" if setting.unit else "")
    return setting.name, show(setting.default), setting.allowed(), meaning, setting.source


def _rivals(boards: Sequence[BoardView], own: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return label and address of the comparisons of a method's first entry with all others."""
    others = dict.fromkeys(
        entry
        for one in boards
        if any(entry == own[0] for entry, _ in one.board.rows)
        for entry, _ in one.board.rows
        if own and entry != own[0]
    )
    return [(other.label, comparison_address(own[0].label, other.label)) for other in others]
