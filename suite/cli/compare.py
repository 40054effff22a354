"""`resonance compare`: two methods, paired on the seeds they share."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from suite.cli import completion
from suite.cli.options import (
    DEFAULT_STORE,
    AblationsOption,
    JsonOption,
    StoreOption,
    StudyOption,
)
from suite.core.console import complain, print_json, print_table, say
from suite.results.store import Store

if TYPE_CHECKING:
    from leaderboard.board_columns import Column
    from leaderboard.prediction_comparison import PredictionComparison
    from leaderboard.statistics.families import ClaimOverTasks
    from leaderboard.statistics.paired_comparisons import Comparison

QUOTED = (
    "these two methods only: a paper with a table of several methods quotes the p-values of the "
    "study's page (docs/protocol.md, Which p-value to quote)"
)
MAX_PAIRS = 30
"""Pairs of trials with a line of their own."""


def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A method, METHOD:SETTINGS or METHOD:tuned.",
            autocompletion=completion.methods,
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="B",
            help="The method to compare it with, the reference.",
            autocompletion=completion.methods,
        ),
    ],
    task: Annotated[
        str | None, typer.Option(help="Only this task.", autocompletion=completion.tasks)
    ] = None,
    study: StudyOption = None,
    sparsity: Annotated[
        list[float] | None,
        typer.Option("--sparsity", "-s", help="Only at this sparsity (repeatable)."),
    ] = None,
    include_ablations: AblationsOption = False,
    rope: Annotated[
        float | None,
        typer.Option(
            help="Largest difference that counts as equivalent in practice: in points of metrics "
            "in per cent (0.5 if not given), else in the metric's own unit.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Compare two methods on the seeds they share: difference, interval, p, effect size, verdict.

    Each task and sparsity is compared by a paired t-test, and tested for equivalence within --rope
    by two one-sided ones. The p-values are Holm-corrected over the cells shown: --task and
    --sparsity narrow what is corrected over, and the output says so. All cells together are
    compared by a sign-flip test, by Wilcoxon's signed-rank test of the tasks, and by its Bayesian
    counterpart. Verdicts are: better, worse, equivalent within ± r, no difference shown, cannot
    decide at n seeds. Differences are of what the task ranks by: points of
    test accuracy, or the metric's own unit. Two trials of one seed are also compared on every test
    example, by McNemar's exact test, where their predictions are stored. SETTINGS are
    hyperparameters that differ from the defaults, as in `rigl:update_every=10`. Trials that belong
    to an ablation or a tuning only count with --include-ablations, --study NAME, or where
    METHOD:tuned is named.
    """
    from leaderboard.board_columns import NAMED_COLUMNS
    from leaderboard.score_text import difference_words
    from leaderboard.store_comparison import compare_in_store

    found = compare_in_store(
        Store(store),
        first,
        second,
        task=task,
        sparsities=sparsity or (),
        study=study,
        include_ablations=include_ablations,
        rope=rope,
    )
    report = found.report
    for unread in found.documents:
        complain(f"left out: {unread.reason}")
    if json:
        for one in found.damaged:
            complain(f"left out: {one.key}: {one.reason}")
        print_json(asdict(report) | {"predictions": [asdict(one) for one in found.predictions]})
        return
    columns = ["task", "s", "n", "A − B", "95 % interval", "p (Holm)", "effect", "verdict"]
    rows = [
        [
            line.task,
            f"{line.sparsity:g}",
            *_numbers(line.metric, line.comparison, line.p),
            line.verdict,
        ]
        for line in report.lines
    ]
    metrics = list(dict.fromkeys(line.metric for line in report.lines))
    if report.overall is not None:
        (name,) = metrics
        numbers = _numbers(name, report.overall, report.overall.p)
        rows.append(["all", "", *numbers, report.verdict])
    print_table(f"A = {report.first}, B = {report.second}", columns, rows)
    say(report.family)
    if any(line.p is not None for line in report.lines):
        say(QUOTED)
    if report.over_tasks is not None:
        _print_over_tasks(report.over_tasks, NAMED_COLUMNS[metrics[0]])
    for name in metrics:
        tasks = ", ".join(dict.fromkeys(x.task for x in report.lines if x.metric == name))
        say(f"{tasks}: {difference_words(NAMED_COLUMNS[name])}")
    if report.overall is None and len(report.lines) > 1:
        say(report.verdict)
    for text in report.left_out:
        say(f"not compared: {text}")
    left = sum(line.comparison.unpaired for line in report.lines)
    if left:
        say(f"not used, because the other method lacks the seed: {left} trial{'s' * (left > 1)}")
    if found.predictions:
        _print_predictions(found.predictions)
    for one in found.damaged:
        say(f"left out: {one.key}: {one.reason}")


def _print_over_tasks(found: "ClaimOverTasks", metric: "Column") -> None:
    """Print what the tests of the tasks' mean differences say."""
    from leaderboard.score_text import p_text, rope_text
    from leaderboard.statistics.bayesian_signed_rank import MIN_TASKS
    from leaderboard.statistics.paired_comparisons import ALPHA

    say(
        "all: sign-flip test of the seeds' means over sparsities, stratified by task; one "
        "p-value, with nothing to correct"
    )
    tasks = f"{found.tasks} task{'s' * (found.tasks != 1)}"
    if found.wilcoxon_p is None:
        say(
            f"over tasks, Wilcoxon's signed-rank test: cannot decide at {tasks} (p ≤ {ALPHA:g} "
            "needs six that differ)"
        )
    else:
        say(f"over tasks, Wilcoxon's signed-rank test: {p_text(found.wilcoxon_p)} at {tasks}")
    ranks = found.signed_rank
    if ranks is not None:
        say(
            f"over tasks, Bayesian signed-rank test: A better {ranks.right:.3f}, equivalent within "
            f"± {rope_text(metric, ranks.region)} {ranks.rope:.3f}, B better {ranks.left:.3f} "
            "(probabilities)"
        )
    elif found.tasks < MIN_TASKS:
        say(f"over tasks, Bayesian signed-rank test: needs {MIN_TASKS} tasks")


def _print_predictions(pairs: list["PredictionComparison"]) -> None:
    """Print a line for each pair of trials that was compared on every test example."""
    columns = ["task", "s", "seed", "test predictions", "only A right", "only B right", "p"]
    rows = [
        [
            one.task,
            f"{one.sparsity:g}",
            str(one.seed),
            *(f"{count:,}" for count in (one.total, one.first_only, one.second_only)),
            f"{one.p:.3g}",
        ]
        for one in pairs[:MAX_PAIRS]
    ]
    print_table("On the same test examples (McNemar's exact test)", columns, rows)
    if len(pairs) > MAX_PAIRS:
        say(f"{len(pairs) - MAX_PAIRS} more pairs of trials: --json has all")
    say("one p for each pair of trials, not corrected: seeds share the test examples")


def _numbers(metric: str, comparison: "Comparison", p: float | None) -> list[str]:
    from leaderboard.board_columns import NAMED_COLUMNS
    from leaderboard.score_text import difference_texts

    p_value = "" if p is None else f"{p:.3g}"
    effect = "" if comparison.effect is None else f"{comparison.effect:.2f}"
    differences = difference_texts(NAMED_COLUMNS[metric], comparison.difference)
    return [str(comparison.n), *differences, p_value, effect]
