"""The page of a published table beside what reproduces it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.pages.navigation import PLAIN, REPRODUCTIONS, Navigation
from leaderboard.pages.reproduction_tables import cells, columns, rule
from leaderboard.pages.templating import site_page
from leaderboard.reproduction.published_results import PublishedTable
from leaderboard.reproduction.published_vs_reproduced import (
    ShippedTrials,
    TableLine,
    Trials,
    table_lines,
)
from leaderboard.trial_facts import TrialResult
from suite.core.errors import InvalidInput
from suite.results.store import Store

NOT_RUN = "not run"
COMPUTED = "computed by its command"
WORDY = ("deviations", "within?")
DEVIATIONS, SOURCE = "deviations", "source"


class SiteTrials:
    """The trials of a site by key; those that it lacks are the package's own, if it has them."""

    def __init__(self, records: Mapping[str, TrialResult], store: Store | None) -> None:
        self._records, self._store, self._shipped = records, store, ShippedTrials()

    def read(self, key: str) -> TrialResult | None:
        """Return what is known of a trial; None if there is no record."""
        return self._records.get(key) or self._shipped.read(key)

    @property
    def shipped_tasks(self) -> set[str]:
        """The names of the tasks of the package's own trials."""
        return self._shipped.tasks

    def load(self, key: str, name: str) -> bytes:
        """Return a file of a trial.

        Raises:
            InvalidInput: there is none.
        """
        if self._store is None or key not in self._records:
            return self._shipped.load(key, name)
        return self._store.load(key, name)


@dataclass(frozen=True)
class ShownReproduction:
    """A published table with its lines.

    Attributes:
        table: which.
        lines: published, and reproduced where there are trials.
        methods: of each line, the name of the method whose trials reproduce it; empty without any.
        tasks: the names of the tasks of its study.
        problem: why nothing reproduced is shown; empty if nothing is wrong.
    """

    table: PublishedTable
    lines: Sequence[TableLine]
    methods: Sequence[str]
    tasks: Sequence[str]
    problem: str = ""

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"reproductions/{self.table.name}.html"

    @property
    def reproduced(self) -> int:
        """How many lines have a reproduced value."""
        return sum(line.mean is not None for line in self.lines)

    @property
    def computed(self) -> bool:
        """Whether lines are computed by the command, without trials."""
        return any(rows.computed is not None for rows, _ in self.table.lines())

    @property
    def state(self) -> str:
        """How many lines are reproduced, in words."""
        if self.reproduced:
            return f"{self.reproduced} of {len(self.lines)}"
        return COMPUTED if self.computed else NOT_RUN

    @property
    def verdict(self) -> str:
        """How many of them are within what counts as the same, in words; empty if undecided."""
        decided = [line.within for line in self.lines if line.within is not None]
        return f"{sum(decided)} of {len(decided)} within" if decided else ""


def reproduction(
    table: PublishedTable, trials: Trials, present: Collection[str]
) -> ShownReproduction:
    """Return a table with its lines; `present` are the tasks that have any trial.

    What cannot be read leaves the published values alone.
    """
    study = table.load_study()
    tasks = study.task_names if study is not None else ()
    some = not set(tasks).isdisjoint(present)
    problem = ""
    try:
        lines = table_lines(table, trials if some else None)
    except (InvalidInput, OSError) as error:
        lines, problem = table_lines(table, None), str(error)
    methods = [rows.trials.method if rows.trials is not None else "" for rows, _ in table.lines()]
    return ShownReproduction(table, lines, methods, tasks, problem)


def reproduction_page(
    shown: ShownReproduction,
    methods: Mapping[str, str],
    tasks: Sequence[tuple[str, str]],
    study: str = "",
    navigation: Navigation = PLAIN,
) -> str:
    """Return the page, for one folder below the main page; all text is escaped.

    `methods` are the addresses of methods' pages by name, `tasks` titles and addresses of the pages
    of its tasks, `study` the address of its study's page: those that the site has.
    """
    table = shown.table
    head = columns(table)
    texts = [_texts(table, *one) for one in zip(shown.lines, shown.methods, strict=True)]
    source, deviations = head.index(SOURCE), head.index(DEVIATIONS)
    sources = list(dict.fromkeys(row[source] for row in texts if row[source]))
    for row in texts:
        row[source] = f"[{sources.index(row[source]) + 1}]" if row[source] else ""
    if not any(row[deviations] for row in texts):
        head, texts = _without(head, deviations), [_without(row, deviations) for row in texts]
    return site_page(
        "reproduction.html",
        navigation,
        REPRODUCTIONS,
        title=f"{table.title} · reproduction",
        heading=table.title,
        columns=head,
        wordy=WORDY,
        rows=[
            (methods.get(method, ""), row) for method, row in zip(shown.methods, texts, strict=True)
        ],
        sources=sources,
        rule=rule(table, shown.lines),
        shown=shown,
        tasks=tasks,
        study=study,
        computed=shown.computed,
    )


def _without(row: list[str], place: int) -> list[str]:
    return row[:place] + row[place + 1 :]


def _texts(table: PublishedTable, line: TableLine, method: str) -> list[str]:
    """Return a line as texts; "not run" where trials would reproduce it and there are none."""
    texts = cells(table, line)
    if method and line.values is None:
        texts[3:5] = [NOT_RUN, "0"]
    return texts
