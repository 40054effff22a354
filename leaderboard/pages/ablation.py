"""The page of an ablation: what each level does, and what two do together."""

from collections.abc import Callable, Sequence
from typing import Any

import yaml

from leaderboard.ablation import DesignFigures, figures_of
from leaderboard.ablation_text import tables
from leaderboard.charts.ablation import charts
from leaderboard.pages.drawn import specifications
from leaderboard.pages.templating import environment
from suite import __version__
from suite.results.ablation_design import Ablation
from suite.results.record import Record

Read = Callable[[str], Record | None]


def ablation_page(ablation: Ablation, read: Read) -> str:
    """Return the page, to stand one folder below the main one; all text is escaped.

    `read` returns a trial's record by key, or None.
    """
    figures = figures_of(ablation, read)
    return (
        environment()
        .get_template("ablation.html")
        .render(
            title=f"{ablation.name} · ablation",
            heading=ablation.name,
            lead=ablation.question,
            root="../",
            trail=[],
            version=__version__,
            notes=_notes(figures),
            tables=tables(figures),
            trials=_trials(ablation, read),
            definition=yaml.safe_dump(ablation.study, sort_keys=False, allow_unicode=True),
            specifications=specifications(named_charts(figures)),
        )
    )


def named_charts(figures: Sequence[DesignFigures]) -> dict[str, Any]:
    """Return the charts of all designs in Vega-Lite, by name, for a page or for pictures."""
    found = {}
    for number, one in enumerate(figures, start=1):
        for name, chart in charts(one).items():
            if len(figures) > 1:
                name, chart = (
                    f"{name}-{number}",
                    chart.properties(title=f"{chart.title}: {one.title}"),
                )
            found[name] = chart.to_dict()
    return found


def _notes(figures: Sequence[DesignFigures]) -> list[str]:
    """Return what a reader must know of the figures."""
    notes = []
    for one in figures:
        missing = sum(cell.missing for cell in one.cells)
        failed = sum(cell.failed for cell in one.cells)
        every = len(one.cells) * len(one.seeds)
        counts = ((missing, "have not run"), (failed, "failed"))
        lacks = [f"{count} {word}" for count, word in counts if count]
        if lacks:
            notes.append(f"{one.title}: of {every} trials {' and '.join(lacks)}.")
    return notes


def _trials(
    ablation: Ablation, read: Read
) -> list[tuple[str, list[tuple[str, list[tuple[int, str, str]]]]]]:
    """Return design → cell → seed, key and state of every trial."""
    return [
        (design.title, [(cell.label, [(seed, key, _state(read(key)))
                                      for seed, key in cell.trials.items()])
                        for cell in design.cells])
        for design in ablation.designs
    ]  # fmt: skip


def _state(record: Record | None) -> str:
    return "not run" if record is None else record.status
