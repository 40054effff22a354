"""The page of a study: what it asks, what of it has run, where its results are, how to run it."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from leaderboard.board_claims import QUOTED_HERE
from leaderboard.board_groups import BoardGroup, states_terms
from leaderboard.boards import settings_text
from leaderboard.page_data import page_name
from leaderboard.pages.navigation import PLAIN, STUDIES, Navigation
from leaderboard.pages.templating import site_page
from leaderboard.result_tables import (
    ResultTable,
    dense_note,
    difference_note,
    result_tables,
)
from leaderboard.score_text import heading, shown_metric
from leaderboard.summary_table import summary_table
from leaderboard.trial_facts import TrialResult
from suite.core.finite_numbers import finite_number

ReadRecord = Callable[[str], TrialResult | None]


@dataclass(frozen=True)
class ShownStudy:
    """A study of a site.

    Attributes:
        name, question: its own.
        study: its definition, as in YAML.
        trials: settings that differ from the defaults, by the keys of its trials.
        shipped: whether the project ships this very study, so that its name runs it.
    """

    name: str
    question: str
    study: Mapping[str, Any]
    trials: Mapping[str, Mapping[str, Any]]
    shipped: bool = False

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"studies/{self.name}.html"

    @property
    def command(self) -> str:
        """What runs it."""
        return f"resonance study {self.name}" + ("" if self.shipped else ".yaml")

    @property
    def size(self) -> str:
        """What its trials are of, in words."""
        counted = (
            ("task", {str(one.get("task")) for one in self.trials.values()}),
            ("method", {str(one.get("method")) for one in self.trials.values()}),
            ("seed", {_number(one.get("seed")) for one in self.trials.values()}),
        )
        words = [f"{len(found)} {word}{'s' * (len(found) != 1)}" for word, found in counted]
        return f"{len(self.trials):,} trials of {', '.join(words)}"

    def states(self, read: ReadRecord) -> Counter[str]:
        """Return how many of its trials are done, failed, and not run."""
        return Counter(_state(read(key)) for key in self.trials)


@dataclass(frozen=True)
class _Row:
    """The trials of a method at a sparsity of a task: seed, key and state of those with a page."""

    method: str
    sparsity: str
    seeds: list[tuple[int, str, str]]
    missing: int


@dataclass(frozen=True)
class _BoardResults:
    """A board of a study: its title, the address of its task's page, what it ranks by, its rows.

    `missing` says what the board lacks, and how to add it.
    """

    title: str
    page: str
    metric: str
    tables: list[ResultTable]
    missing: str


@dataclass(frozen=True)
class _Results:
    """The boards of a study on the same terms; `notes` say how to read them."""

    claim: str
    reference: str
    metric: str
    notes: list[str]
    boards: list[_BoardResults]


def study_page(
    study: ShownStudy,
    read: ReadRecord,
    groups: Sequence[BoardGroup] = (),
    further: Sequence[tuple[str, str]] = (),
    navigation: Navigation = PLAIN,
) -> str:
    """Return the page, for one folder below the main page; all text is escaped.

    `read` returns a trial's record by key, or None; `groups` are the boards of the study's own
    trials; `further` are titles and addresses of other pages on which its results are.
    """
    states = study.states(read)
    return site_page(
        "study.html",
        navigation,
        STUDIES,
        title=f"{study.name} · study",
        heading=study.name,
        lead=study.question,
        size=study.size,
        state=state_words(states),
        complete=states["done"] == len(study.trials),
        results=_results(groups),
        further=further,
        groups=_groups(study, read),
        command=study.command,
        shipped=study.shipped,
        definition=yaml.safe_dump(dict(study.study), sort_keys=False, allow_unicode=True),
    )


def _results(groups: Sequence[BoardGroup]) -> list[_Results]:
    """Return the results of a study by their terms, each corrected over its own boards."""
    found = []
    for group in groups:
        claims = group.claims
        boards = [
            _BoardResults(
                board.title,
                page_name("tasks", board.title),
                heading(board.metric),
                result_tables(board, summary_table([board], claims), claims),
                dense_note(board),
            )
            for board in group.boards
        ]
        said = claims.sentences("of this study")
        notes = [difference_note(claims), said, QUOTED_HERE if said else ""]
        found.append(
            _Results(
                group.terms.claim if states_terms(groups) else "",
                claims.reference,
                shown_metric([board.metric for board in group.boards]),
                [*filter(None, notes)],
                boards,
            )
        )
    return found


def state_words(states: Mapping[str, int]) -> str:
    """Return how many trials are in each state, in words."""
    return ", ".join(
        f"{states[state]:,} {state}"
        for state in ("done", "failed", "not run")
        if states.get(state) or state == "done"
    )


def _groups(study: ShownStudy, read: ReadRecord) -> list[tuple[str, list[_Row]]]:
    """Return the trials by task, and there by method and sparsity, in the order of the study."""
    found: dict[tuple[str, str, float], list[tuple[int, str]]] = {}
    for key, trial in study.trials.items():
        given = trial.get("hyperparameters")
        words = settings_text(dict(given)) if isinstance(given, Mapping) else ""
        method = f"{trial.get('method', '')}{f' ({words})' if words else ''}"
        place = (str(trial.get("task", "")), method, _number(trial.get("sparsity")))
        found.setdefault(place, []).append((int(_number(trial.get("seed"))), key))
    rows = []
    for (task, method, sparsity), trials in sorted(found.items()):
        states = [(seed, key, _state(read(key))) for seed, key in sorted(trials)]
        shown = [one for one in states if one[2] != "not run"]
        rows.append((task, _Row(method, f"{sparsity:g}", shown, len(states) - len(shown))))
    return [
        (task, [row for _, row in group])
        for task, group in itertools.groupby(rows, key=lambda one: one[0])
    ]


def _number(given: Any) -> float:
    """Return a setting that is a number; 0 for what is none (documents may hold anything)."""
    return finite_number(given) or 0.0


def _state(record: TrialResult | None) -> str:
    return "not run" if record is None else record.status
