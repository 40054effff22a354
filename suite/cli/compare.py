"""`resonance compare`: two methods, paired on the seeds they share."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from suite.cli.options import (
    DEFAULT_STORE,
    AblationsOption,
    JsonOption,
    StoreOption,
    StudyOption,
)
from suite.core.console import print_json, print_table, say
from suite.core.errors import InvalidInput
from suite.results.store import Store

if TYPE_CHECKING:
    from leaderboard.statistics.paired_comparisons import Comparison


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A method, METHOD:SETTINGS or METHOD:tuned.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="The method to compare it with.")],
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    study: StudyOption = None,
    sparsity: Annotated[
        list[float] | None,
        typer.Option("--sparsity", "-s", help="Only at this sparsity (repeatable)."),
    ] = None,
    include_ablations: AblationsOption = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Compare two methods on the seeds they share: difference, interval, p, effect size, verdict.

    Each task and sparsity is compared by a paired t-test, with Holm's correction of the p-values;
    all of them together by a sign-flip test. Differences are in points of test accuracy. SETTINGS
    are hyperparameters that differ from the defaults, as in `rigl:update_every=10`. Trials that
    belong to an ablation or a tuning only count with --include-ablations, --study NAME, or where
    METHOD:tuned is named.
    """
    from leaderboard.boards import build_boards
    from leaderboard.method_comparison import TUNED, compare_entries
    from leaderboard.selection import select
    from suite.tuning.schema import load_tunings, tuned_runs

    results = Store(store)
    include_ablations |= any(name.partition(":")[2] == TUNED for name in (first, second))
    chosen = select(results, study, include_ablations=include_ablations)
    records, damaged = results.read_all()
    shown = [record for record in records if chosen.takes(record.key)]
    boards, _ = build_boards(shown, tuned_runs(load_tunings(results)))
    if not boards:
        raise InvalidInput(nothing_to_compare(results, chosen.study, len(records)))
    try:
        report = compare_entries(boards, first, second, task, sparsity or ())
    except InvalidInput as error:
        if apart := len(records) - len(shown) if chosen.apart else 0:
            raise InvalidInput(
                f"{error}; {apart} trials of ablations and tunings count with --include-ablations"
            ) from None
        raise
    if json:
        print_json(asdict(report))
        return
    columns = ["task", "s", "n", "A − B", "95 % interval", "p (Holm)", "effect", "verdict"]
    rows = [
        [line.task, f"{line.sparsity:g}", *_numbers(line.comparison, line.p), line.verdict]
        for line in report.lines
    ]
    if report.overall is not None:
        rows.append(["all", "", *_numbers(report.overall, report.overall.p), report.verdict])
    print_table(f"A = {report.first}, B = {report.second}", columns, rows)
    left = sum(line.comparison.unpaired for line in report.lines)
    if left:
        say(f"not used, because the other method lacks the seed: {left} trial{'s' * (left > 1)}")
    for one in damaged:
        say(f"left out: {one.key}: {one.reason}")


def nothing_to_compare(store: Store, study: str, records: int) -> str:
    """Return why there is no board, in one line: what is missing and what to do."""
    if study:
        return f"study {study} has no finished trial in store {store.location}: run it first"
    if records:
        return (
            f"store {store.location} holds only trials of ablations, tunings or searches: give "
            "--include-ablations or --study NAME (`resonance list studies`)"
        )
    return (
        f"store {store.location} holds no trials: name another with --store, or run a study first, "
        "e.g. `resonance study quickstart`"
    )


def _numbers(comparison: "Comparison", p: float | None) -> list[str]:
    p_value = "" if p is None else f"{p:.3g}"
    effect = "" if comparison.effect is None else f"{comparison.effect:.2f}"
    return [str(comparison.n), *difference_texts(comparison), p_value, effect]


def difference_texts(comparison: "Comparison") -> list[str]:
    """Return a difference and its interval in points; empty where there is none."""
    gap = comparison.difference
    if gap is None:
        return ["", ""]
    mean = f"{100 * gap.mean:+.2f}"
    if gap.low is None or gap.high is None:
        return [mean, ""]
    return [mean, f"{100 * gap.low:+.2f} … {100 * gap.high:+.2f}"]
