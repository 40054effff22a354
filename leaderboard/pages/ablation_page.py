"""The page of an ablation: main effects, interactions, all trials."""

from collections.abc import Callable, Sequence
from typing import Any

import yaml

from leaderboard.ablation_effects import DesignEffects, design_effects
from leaderboard.ablation_tables import tables
from leaderboard.board_claims import QUOTED_BY_TABLE
from leaderboard.bundles.bundle_file import Sender
from leaderboard.charts.ablation_charts import charts
from leaderboard.pages.embedded_charts import embedded_charts
from leaderboard.pages.navigation import ABLATIONS, PLAIN, Navigation
from leaderboard.pages.templating import site_page
from leaderboard.score_text import shown_metric
from leaderboard.trial_facts import TrialResult
from suite.results.ablation_design import Ablation

ReadRecord = Callable[[str], TrialResult | None]


def ablation_page(
    ablation: Ablation,
    read: ReadRecord,
    sender: Sender | None = None,
    navigation: Navigation = PLAIN,
) -> str:
    """Return the page, for one folder below the main page; all text is escaped.

    `read` returns a trial's record by key, or None. `sender` sent it, if it came in a bundle.
    """
    effects = design_effects(ablation, read)
    charts = named_charts(effects)
    return site_page(
        "ablation.html",
        navigation,
        ABLATIONS,
        title=f"{ablation.name} · ablation",
        heading=ablation.name,
        lead=ablation.question,
        sent="" if sender is None else f"Sent by {sender.header.name}, {sender.signature}.",
        family=QUOTED_BY_TABLE,
        notes=_notes(effects),
        **_metric_words(effects),
        tables=tables(effects),
        trials=_trials(ablation, read),
        definition=yaml.safe_dump(ablation.study, sort_keys=False, allow_unicode=True),
        charts=embedded_charts(
            charts, {name: f"../charts/{ablation.name}-{name}.pdf" for name in charts}
        ),
    )


def named_charts(effects: Sequence[DesignEffects]) -> dict[str, Any]:
    """Return the Vega-Lite charts of all designs by name, for a page or for pictures."""
    found = {}
    for number, one in enumerate(effects, start=1):
        for name, chart in charts(one).items():
            if len(effects) > 1:
                name, chart = (
                    f"{name}-{number}",
                    chart.properties(title=f"{chart.title}: {one.title}"),
                )
            found[name] = chart.to_dict()
    return found


def _metric_words(effects: Sequence[DesignEffects]) -> dict[str, str]:
    """Return what the page shows: its metric, and the unit of differences."""
    metrics = [one.metric for one in effects]
    percent = len({metric.name for metric in metrics}) == 1 and metrics[0].unit == "percent"
    return {"metric": shown_metric(metrics), "unit": "points" if percent else "its unit"}


def _notes(effects: Sequence[DesignEffects]) -> list[str]:
    """Return what is missing in each design, in words."""
    notes = []
    for one in effects:
        missing = sum(cell.missing for cell in one.cells)
        failed = sum(cell.failed for cell in one.cells)
        every = len(one.cells) * len(one.seeds)
        idle = sum(cell.no_update for cell in one.cells)
        counts = (
            (missing, "have not run"),
            (failed, "failed"),
            (idle, "never updated connectivity and do not count"),
            (
                sum(cell.off_budget for cell in one.cells),
                "missed their budget of training FLOPs and do not count",
            ),
        )
        lacks = [f"{count} {word}" for count, word in counts if count]
        if lacks:
            notes.append(f"{one.title}: of {every} trials {' and '.join(lacks)}.")
    return notes


def _trials(
    ablation: Ablation, read: ReadRecord
) -> list[tuple[str, list[tuple[str, list[tuple[int, str, str]]]]]]:
    """Return design → cell → seed, key and state of every trial."""
    return [
        (
            design.title,
            [
                (cell.label, [(seed, key, _state(read(key))) for seed, key in cell.trials.items()])
                for cell in design.cells
            ],
        )
        for design in ablation.designs
    ]


def _state(record: TrialResult | None) -> str:
    return "not run" if record is None else record.status
