"""`resonance evaluate`: measure the stored weights of finished trials, with latency and PGD."""

from collections.abc import Sequence
from typing import Annotated

import typer

from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from suite.core.console import complain, print_json, print_table, progress_bar, say
from suite.core.errors import InvalidInput
from suite.results.metrics import rows
from suite.results.record import Unreadable
from suite.results.store import Store, StoreUnusable
from suite.results.stored_evaluation import Evaluation, save_evaluation


def evaluate(
    trials: Annotated[
        list[str] | None,
        typer.Argument(metavar="TRIAL…", help="Keys of trials, or their first characters."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; by default where the trial ran.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; by default as many as the trial had.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Measure finished trials' weights: all metrics, PGD and latency, one trial after the other.

    The result is stored beside the record and shown on the page of `resonance inspect`; the record
    and its key do not change. Measure latency on an otherwise idle machine. Of several trials, one
    whose files are damaged is named and left out, and the exit code is 1.
    """
    from leaderboard.pages.inspection import find_trial
    from suite.training.stored_model import evaluate_stored

    results = Store(store)
    names = trials or [""]
    records, evaluations = [], []
    left_out = 0
    for name in names:
        try:
            records.append(find_trial(results, name))
        except Unreadable as error:
            left_out += _leave_out(error, names)
    with progress_bar("evaluating", len(records)) as advance:
        for record in records:
            try:
                evaluation = evaluate_stored(results, record, device, threads)
            except StoreUnusable:
                raise
            except InvalidInput as error:
                left_out += _leave_out(error, names)
            else:
                save_evaluation(results, evaluation)
                evaluations.append(evaluation)
            advance()
    if json:
        print_json([evaluation.model_dump() for evaluation in evaluations])
    else:
        _print(evaluations)
    if left_out:
        raise typer.Exit(1)


def _leave_out(error: InvalidInput, names: Sequence[str]) -> int:
    """Name a trial that cannot be measured; if it is the only one, refuse the command."""
    if len(names) == 1:
        raise error
    complain(f"left out: {error}")
    return 1


def _print(evaluations: Sequence[Evaluation]) -> None:
    for evaluation in evaluations:
        say(f"{evaluation.key} device={evaluation.device} threads={evaluation.threads}")
        values = evaluation.metrics | evaluation.latency
        print_table("", ["metric", "value"], [list(row) for row in rows(values, evaluation.absent)])
