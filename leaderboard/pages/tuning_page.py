"""The page of a tuning: winners, search space, all trials, and winners against defaults."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from leaderboard.board_columns import Column, metric_of
from leaderboard.bundles.bundle_file import Sender
from leaderboard.charts.tuning_charts import TITLES, tuning_charts
from leaderboard.pages.embedded_charts import embedded_charts
from leaderboard.pages.navigation import PLAIN, TUNINGS, Navigation
from leaderboard.pages.templating import site_page
from leaderboard.score_text import difference_texts, heading, value_text
from leaderboard.statistics.paired_comparisons import compare, of_values
from leaderboard.terms import uncounted
from leaderboard.trial_facts import TrialResult
from leaderboard.tuning_budget import budget_curve, budget_note, shown_budgets
from suite.experiments import registry
from suite.experiments.trial_config import show
from suite.tuning.schema import KIND, Candidate, MethodResult, Tuning, TuningConfig

ReadRecord = Callable[[str], TrialResult | None]
TUNING_CHART_TEXTS = {
    "budget": (
        "Expected best against budget",
        "The best of so many trials drawn at random from those of the search, mean and standard "
        "deviation; dashed: the default.",
    ),
    "history": ("History", "Every completed trial in order; the line is the best so far."),
    "importance": (
        "Importance",
        "Fraction of the objective's variance that each dimension explains.",
    ),
    "slice": ("One dimension at a time", "Every completed trial against each dimension."),
    "parallel": ("All dimensions", "Each line is a trial; every dimension runs from low to high."),
    "contour": ("The two most important numbers", "Completed trials over two numeric dimensions."),
    "front": (
        "Several objectives",
        "The line joins the Pareto front: trials that no other trial dominates.",
    ),
}
"""Title and text of each kind of chart."""


@dataclass(frozen=True)
class MethodSection:
    """The section of one method.

    Attributes:
        title: of the method.
        page: address of the method's page; empty if the site has none.
        counts: number of trials by their state.
        chosen: winner and default: name, trial, settings, values.
        space: the dimensions: name, range, fraction of the variance.
        tested: winner against default on fresh seeds: task, sparsity, figures, verdict.
        note: shown instead of `tested` where that is empty.
        trials: number, state, values, settings, keys of those with a page, the failure's reason.
    """

    title: str
    page: str
    counts: str
    chosen: list[tuple[str, ...]]
    space: list[tuple[str, str, str]]
    tested: list[tuple[str, ...]]
    note: str
    trials: list[tuple[int, str, list[str], str, list[str], str]]


def tuning_page(
    tuning: Tuning,
    read: ReadRecord,
    pages: Mapping[str, str],
    sender: Sender | None = None,
    navigation: Navigation = PLAIN,
) -> str:
    """Return the page, for one folder below the main page; all text is escaped.

    `read` returns a trial's record by key, or None; `pages` are the addresses of methods' pages.
    `sender` sent it, if it came in a bundle.
    """
    settings = tuning.settings
    return site_page(
        "tuning.html",
        navigation,
        TUNINGS,
        title=f"{settings.name} · tuning",
        heading=settings.name,
        lead=tuning_summary(tuning),
        facts=_facts(tuning, sender),
        sent=sender is not None,
        command=f"optuna-dashboard {KIND}/{settings.name}.journal",
        goals=[TITLES[goal] for goal in settings.objectives],
        budgets=_budgets(tuning),
        budget_note=budget_note(settings.sampler),
        sections=[
            _section(m, found, read, pages.get(m, "")) for m, found in tuning.methods.items()
        ],
        charts=embedded_charts(named_charts(tuning)),
    )


def tuning_summary(tuning: Tuning) -> str:
    """Return a sentence that names what was tuned."""
    settings = tuning.settings
    methods = ", ".join(_title(method) for method in settings.methods)
    tasks = ", ".join(settings.tasks)
    return f"Hyperparameters of {methods} on {tasks}: {settings.budget} trials each."


def tuning_address(tuning: Tuning) -> str:
    """Return the address of a tuning's page within the site."""
    return f"tunings/{tuning.settings.name}.html"


def named_charts(tuning: Tuning) -> dict[str, Any]:
    """Return the charts of `tuning_charts` in Vega-Lite, with title and text."""
    found = {}
    for name, chart in tuning_charts(tuning).items():
        method, _, kind = name.rpartition("-")
        title, text = TUNING_CHART_TEXTS[kind]
        if method and len(tuning.methods) > 1:
            title = f"{title}: {_title(method)}"
        found[name] = chart.to_dict() | {"title": title, "description": text}
    return found


def _facts(tuning: Tuning, sender: Sender | None) -> list[tuple[str, str]]:
    settings = tuning.settings
    recipe = ", ".join(f"{name}={show(value)}" for name, value in settings.recipe.items())
    who = "" if sender is None else f"{sender.header.name}, {sender.signature}"
    facts = [
        ("sent by", who and f"{who}; the values of its search are as stated by the sender"),
        ("tasks", ", ".join(settings.tasks)),
        ("sparsities", ", ".join(f"{one:g}" for one in settings.sparsities)),
        ("objectives", ", ".join(TITLES[goal] for goal in settings.objectives)),
        ("budget", f"{settings.budget} whole trials per method, the default among them"),
        ("sampler", f"{settings.sampler}, seed {settings.seed}"),
        ("pruner", _pruner(settings)),
        ("tuned on seeds", ", ".join(map(str, settings.seeds))),
        ("tested on seeds", ", ".join(map(str, settings.final_seeds))),
        ("recipe", recipe),
        ("tuned recipe fields", ", ".join(settings.tuned_recipe)),
        ("versions", ", ".join(f"{name} {one}" for name, one in tuning.versions.items())),
    ]
    return [(name, text) for name, text in facts if text]


def _pruner(settings: TuningConfig) -> str:
    if settings.pruner == "none":
        return settings.pruner
    return f"{settings.pruner}, after each {settings.prune_after}"


def _budgets(tuning: Tuning) -> dict[str, Any]:
    """Return the columns and rows of the table of the expected best; empty without a curve."""
    goal = tuning.settings.objectives[0]
    curves = {method: budget_curve(found, goal) for method, found in tuning.methods.items()}
    known = {method: curve for method, curve in curves.items() if curve is not None}
    if not known:
        return {}
    ks = shown_budgets(max(len(curve.points) for curve in known.values()))
    rows = [
        (
            _title(method),
            "–" if curve.default is None else _number(curve.default),
            *(
                f"{_number(curve.points[k - 1].mean)} ± {curve.points[k - 1].std:.2g}"
                if k <= len(curve.points)
                else "–"
                for k in ks
            ),
            "–" if curve.needed is None else str(curve.needed),
            str(curve.unfinished),
        )
        for method, curve in known.items()
    ]
    columns = [
        "method",
        "default",
        *(f"k = {k}" for k in ks),
        "k to beat the default",
        "unfinished",
    ]
    return {"columns": columns, "rows": rows, "goal": TITLES[goal]}


def _section(method: str, found: MethodResult, read: ReadRecord, page: str) -> MethodSection:
    states = [trial.state for trial in found.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    if found.pruned:
        counts += f"; training of {found.spent:.1f} whole trials"
    tested, note = _tested(found, read)
    return MethodSection(
        _title(method),
        page,
        counts,
        _chosen(found),
        [(d.name, str(d), _share(found.importance.get(d.name))) for d in found.space],
        tested,
        note,
        [
            (
                one.number,
                one.state,
                [_number(value) for value in one.values],
                _settings(one),
                [key for key in one.keys if read(key) is not None],
                one.reason,
            )
            for one in found.trials
        ],
    )


def _chosen(found: MethodResult) -> list[tuple[str, ...]]:
    by_number = {one.number: one for one in found.trials}
    named = [("winner", found.winner), ("default", 0)]
    return [
        (what, str(number), _settings(by_number[number]), *map(_number, by_number[number].values))
        for what, number in named
        if number in by_number and by_number[number].values
    ]


def _tested(found: MethodResult, read: ReadRecord) -> tuple[list[tuple[str, ...]], str]:
    """Return winner against default on the fresh seeds, or a note that says why there is none."""
    if found.winner is None:
        return [], "No trial was completed."
    if found.final is None:
        return [], "Winner and default have not been run on fresh seeds."
    if found.final.winner == found.final.default:
        return [], "No trial was better than the default."
    ours, theirs = (_scores(keys, read) for keys in (found.final.winner, found.final.default))
    rows: list[tuple[str, ...]] = []
    for cell in sorted(ours.keys() & theirs.keys()):
        (metric, tuned), (_, default) = ours[cell], theirs[cell]
        comparison = compare(tuned, default)
        difference, interval = difference_texts(
            metric, of_values(comparison, metric.sign).difference
        )
        rows.append(
            (
                f"{cell[0]}: {heading(metric)}",
                f"{cell[1]:g}",
                str(comparison.n),
                value_text(metric, metric.sign * fmean(tuned.values())),
                value_text(metric, metric.sign * fmean(default.values())),
                difference,
                interval,
                comparison.verdict("tuned", "default"),
            )
        )
    if rows:
        return rows, ""
    keys = (*found.final.winner, *found.final.default)
    idle = [
        reason
        for key in keys
        if (one := read(key)) and one.status == "done" and (reason := uncounted(one))
    ]
    if idle:
        return [], f"{len(idle)} of the runs do not count, so nothing is compared: {idle[0]}."
    return [], "Winner and default share no tested seed."


def _scores(
    keys: Iterable[str], read: ReadRecord
) -> dict[tuple[str, float], tuple[Column, dict[int, float]]]:
    """Return, by task and sparsity, the task's metric and the scores by seed, more being better.

    Runs that failed, and those that do not count (`uncounted`), have none.
    """
    found: dict[tuple[str, float], tuple[Column, dict[int, float]]] = {}
    for record in map(read, keys):
        if record is not None and record.status == "done" and not uncounted(record):
            cell = (record.trial["task"], record.trial["sparsity"])
            metric = metric_of(cell[0], record.metric)
            if metric.name in record.metrics:
                _, scores = found.setdefault(cell, (metric, {}))
                scores[record.trial["seed"]] = metric.sign * record.metrics[metric.name]
    return found


def _title(method: str) -> str:
    known = registry.methods()
    return known[method].title if method in known else method


def _settings(trial: Candidate) -> str:
    changed = {**trial.hyperparameters, **trial.recipe}
    return ", ".join(f"{name}={_value(value)}" for name, value in changed.items()) or "the defaults"


def _value(value: Any) -> str:
    return _number(value) if isinstance(value, float) else show(value)


def _number(value: float) -> str:
    return f"{value:.4g}"


def _share(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
