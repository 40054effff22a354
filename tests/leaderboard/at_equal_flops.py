"""Records with a `flops_budget`: the planted ones of `sample_boards`, at equal training FLOPs."""

from suite.results.record import Record
from tests.leaderboard.sample_boards import planted
from tests.support.sample_records import done, make_trial

BUDGET, DENSE = 0.3, 1000.0
LONGER = 0.02
"""What training longer is worth to a sparse method."""
OFF = {("granet", 0.98): 1.05}
"""Methods that miss their budget at a sparsity of the first task, and by which factor."""


def at_equal_flops(budget: float = BUDGET, *, off: bool = True) -> list[Record]:
    """Return the finished trials of `planted`, each at a budget, those of `OFF` beside it."""
    found = []
    for one in planted():
        trial, task = one.trial, one.trial["task"]
        if one.status == "failed" or one.configuration["method_revision"] == 0:
            continue
        same = {name: trial[name] for name in ("task", "sparsity", "seed")}
        made = make_trial(trial["method"], **same, recipe={"flops_budget": budget})
        dense = trial["method"] == "dense"
        accuracy = one.metrics["test_accuracy"] + (-LONGER if dense else LONGER)
        missed = off and task == "digits/mlp"
        factor = OFF.get((trial["method"], trial["sparsity"]), 1.0) if missed else 1.0
        record = done(made, round(accuracy, 4), factor * budget * DENSE)
        found.append(record.model_copy(update={"flops": record.flops | {"dense_training": DENSE}}))
    return found
