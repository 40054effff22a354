"""The page of a tuning: who won, what was searched, every trial, and how winners do when tested."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from leaderboard.charts.tuning import TITLES, tuning_charts
from leaderboard.columns import SCORE
from leaderboard.pages.drawn import specifications
from leaderboard.pages.templating import environment
from leaderboard.statistics import compare
from suite import __version__
from suite.experiments import registry
from suite.experiments.trial_config import show
from suite.results.record import Record
from suite.tuning.schema import KIND, Candidate, MethodResult, Tuning

Read = Callable[[str], Record | None]
CHARTS = {
    "history": ("History", "Every completed trial in order; the line is the best so far."),
    "importance": (
        "Importance",
        "Fraction of each dimension in the variance of what is tuned for.",
    ),
    "slice": ("One dimension at a time", "Every completed trial, over each dimension by itself."),
    "parallel": ("All dimensions", "Each line is a trial; every dimension from low to high."),
    "contour": ("The two that matter most", "Completed trials over two dimensions of numbers."),
    "front": ("Several objectives", "Trials that no other beats in every objective are joined."),
}
"""What each kind of chart is called, and what it shows."""


@dataclass(frozen=True)
class Part:
    """What the page says of one method.

    Attributes:
        title: of the method.
        page: address of the method's page; empty where the site has none.
        counts: how many trials there are, by what became of them.
        chosen: winner and default: what they are called, trial, values, settings.
        space: the dimensions: name, what may be chosen, fraction of the variance.
        tested: winner against default on fresh seeds: task, sparsity, figures, verdict.
        note: what to say in place of `tested`.
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


def tuning_page(tuning: Tuning, read: Read, pages: Mapping[str, str]) -> str:
    """Return the page, to stand one folder below the main one; all text is escaped.

    `read` returns a trial's record by key, or None; `pages` are the addresses of methods' pages.
    """
    asked = tuning.settings
    charts = named_charts(tuning)
    return (
        environment()
        .get_template("tuning.html")
        .render(
            title=f"{asked.name} · tuning",
            heading=asked.name,
            lead=about(tuning),
            root="../",
            trail=[],
            version=__version__,
            facts=_facts(tuning),
            command=f"optuna-dashboard {KIND}/{asked.name}.journal",
            goals=[TITLES[goal] for goal in asked.objectives],
            parts=[_part(m, found, read, pages.get(m, "")) for m, found in tuning.methods.items()],
            specifications=specifications(charts),
        )
    )


def about(tuning: Tuning) -> str:
    """Return in a sentence what was tuned."""
    asked = tuning.settings
    methods = ", ".join(_title(method) for method in asked.methods)
    return f"Hyperparameters of {methods} on {', '.join(asked.tasks)}: {asked.budget} trials each."


def address(tuning: Tuning) -> str:
    """Return the address of a tuning's page within the site."""
    return f"tunings/{tuning.settings.name}.html"


def named_charts(tuning: Tuning) -> dict[str, Any]:
    """Return the charts of all methods in Vega-Lite, by ``METHOD-KIND``, with title and text."""
    found = {}
    for name, chart in tuning_charts(tuning).items():
        method, _, kind = name.rpartition("-")
        title, text = CHARTS[kind]
        if len(tuning.methods) > 1:
            title = f"{title}: {_title(method)}"
        found[name] = chart.to_dict() | {"title": title, "description": text}
    return found


def _facts(tuning: Tuning) -> list[tuple[str, str]]:
    asked = tuning.settings
    recipe = ", ".join(f"{name}={show(value)}" for name, value in asked.recipe.items())
    facts = [
        ("tasks", ", ".join(asked.tasks)),
        ("sparsities", ", ".join(f"{one:g}" for one in asked.sparsities)),
        ("objectives", ", ".join(TITLES[goal] for goal in asked.objectives)),
        ("budget", f"{asked.budget} trials per method, the default among them"),
        ("sampler", f"{asked.sampler}, seed {asked.seed}"),
        ("pruner", asked.pruner),
        ("tuned on seeds", ", ".join(map(str, asked.seeds))),
        ("tested on seeds", ", ".join(map(str, asked.final_seeds))),
        ("recipe", recipe),
        ("tuned of the recipe", ", ".join(asked.tuned_recipe)),
        ("versions", ", ".join(f"{name} {one}" for name, one in tuning.versions.items())),
    ]
    return [(name, text) for name, text in facts if text]


def _part(method: str, found: MethodResult, read: Read, page: str) -> Part:
    states = [trial.state for trial in found.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    tested, note = _tested(found, read)
    return Part(
        _title(method),
        page,
        counts,
        _chosen(found),
        [(d.name, str(d), _share(found.importance.get(d.name))) for d in found.space],
        tested,
        note,
        [
            (
                one.number, one.state, [_number(value) for value in one.values], _settings(one),
                [key for key in one.keys if read(key) is not None], one.reason,
            )
            for one in found.trials
        ],
    )  # fmt: skip


def _chosen(found: MethodResult) -> list[tuple[str, ...]]:
    by_number = {one.number: one for one in found.trials}
    named = [("winner", found.winner), ("default", 0)]
    return [
        (what, str(number), _settings(by_number[number]), *map(_number, by_number[number].values))
        for what, number in named
        if number in by_number and by_number[number].values
    ]


def _tested(found: MethodResult, read: Read) -> tuple[list[tuple[str, ...]], str]:
    """Return winner against default on the fresh seeds, or what there is to say instead."""
    if found.winner is None:
        return [], "No trial was completed."
    if found.final is None:
        return [], "Winner and default have not been run on fresh seeds."
    if found.final.winner == found.final.default:
        return [], "Nothing that was tried is better than the default."
    ours, theirs = (_scores(keys, read) for keys in (found.final.winner, found.final.default))
    rows: list[tuple[str, ...]] = []
    for cell in sorted(ours.keys() & theirs.keys()):
        comparison = compare(ours[cell], theirs[cell])
        mean, low, high = (
            (comparison.difference.mean, comparison.difference.low, comparison.difference.high)
            if comparison.difference
            else (None, None, None)
        )
        interval = "" if low is None or high is None else f"{100 * low:+.2f} … {100 * high:+.2f}"
        rows.append(
            (
                cell[0], f"{cell[1]:g}", str(comparison.n), _mean(ours[cell]), _mean(theirs[cell]),
                "" if mean is None else f"{100 * mean:+.2f}", interval,
                comparison.verdict("tuned", "default"),
            )
        )  # fmt: skip
    return rows, "" if rows else "Winner and default share no tested run."


def _scores(keys: Iterable[str], read: Read) -> dict[tuple[str, float], dict[int, float]]:
    """Return test accuracies by task and sparsity, and by seed; runs that failed have none."""
    found: dict[tuple[str, float], dict[int, float]] = {}
    for record in map(read, keys):
        if record is not None and record.status == "done" and SCORE in record.metrics:
            cell = (record.trial["task"], record.trial["sparsity"])
            found.setdefault(cell, {})[record.trial["seed"]] = record.metrics[SCORE]
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


def _mean(scores: Mapping[int, float]) -> str:
    return f"{100 * fmean(scores.values()):.2f}"
