"""`resonance evaluate`: measure the stored weights of finished trials, with latency and PGD."""

from typing import Annotated

import typer

from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from suite.core.console import print_json, print_table, progress_bar, say
from suite.results.metrics import rows
from suite.results.store import Store
from suite.results.stored_evaluation import save_evaluation


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
    and its key do not change. Measure latency on an otherwise idle machine.
    """
    from leaderboard.pages.inspection import find_trial
    from suite.training.stored_model import evaluate_stored

    results = Store(store)
    records = [find_trial(results, name) for name in trials or [""]]
    evaluations = []
    with progress_bar("evaluating", len(records)) as advance:
        for record in records:
            evaluation = evaluate_stored(results, record, device, threads)
            save_evaluation(results, evaluation)
            evaluations.append(evaluation)
            advance()
    if json:
        print_json([evaluation.model_dump() for evaluation in evaluations])
        return
    for evaluation in evaluations:
        say(f"{evaluation.key} device={evaluation.device} threads={evaluation.threads}")
        values = evaluation.metrics | evaluation.latency
        print_table("", ["metric", "value"], [list(row) for row in rows(values, evaluation.absent)])
