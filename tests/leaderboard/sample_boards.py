"""Records of a board with planted scores, and of one that wants to do harm."""

from suite.core.errors import TrialFailed
from suite.results.record import Record, failed
from tests.support.sample_records import done, make_trial

TASKS = ("digits/mlp", "fashion_mnist/lenet_300_100")
SPARSITIES = (0.8, 0.9, 0.98)
SCORES = {"rigl": 0.95, "granet": 0.949, "set": 0.93, "snip": 0.92, "static": 0.88,
          "resonance": 0.91}  # fmt: skip
"""At the lowest sparsity; SET's seeds differ from RigL's by a constant, GraNet's by noise."""
NOISE = (0.002, -0.001, 0.0005, -0.0015, 0.0)
SCRIPT = "<script>window.harmed = 1</script>"
FORMULA = "=cmd|' /C calc'!A1"


def planted(seeds: int = 5) -> list[Record]:
    """Return two tasks, three sparsities, six methods and dense, with what a board may lack.

    SNIP has three seeds at 0.98 of the first task, SET failed there, static is not run there,
    GraNet has half of its weights there, and one more trial of resonance is of an older revision.
    """
    records = [done(make_trial("dense", seed=seed, task=task), 0.97 + NOISE[seed], 100.0)
               for task in TASKS for seed in range(seeds)]  # fmt: skip
    for task in TASKS:
        for sparsity in SPARSITIES:
            for method, score in SCORES.items():
                for seed in range(seeds):
                    trial = make_trial(method, seed=seed, task=task, sparsity=sparsity)
                    if (task, sparsity) == (TASKS[0], 0.98):
                        if method == "static" or (method == "snip" and seed >= 3):
                            continue
                        if method == "set":
                            records.append(failed(trial, TrialFailed("loss is not finite")))
                            continue
                    wobble = NOISE[(seed + (method == "granet")) % len(NOISE)]
                    value = round(score - (sparsity - 0.8) / 4 + wobble, 4)
                    record = done(trial, value, 100.0 * (1.2 - sparsity))
                    if (method, task, sparsity) == ("granet", TASKS[0], 0.98):
                        record.layers[0].zeros = 500
                    record.metrics |= {"test_accuracy_corrupted": value - 0.1, "test_ece": 0.05}
                    record.timing["seconds_per_step"] = 0.004 + 0.001 * len(method) + wobble / 9
                    records.append(record)
    old = done(make_trial("resonance", seed=9, task=TASKS[0], sparsity=0.98), 0.5)
    old.configuration["method_revision"] = 0
    return [*records, old]


def hostile() -> list[Record]:
    """Return records whose texts are markup, attributes, formulas, paths, or very long."""
    names = (SCRIPT, '"onmouseover="window.harmed=2"', FORMULA, "../../etc/passwd", "x" * 10_000,
             "</script><img src=x onerror='window.harmed=3'>", "a,b\r\nc\"d")  # fmt: skip
    records = planted(2)
    for number, name in enumerate(names):
        for seed in range(2):
            record = done(make_trial("static", seed=10 * number + seed), 0.5 + number / 100)
            record.trial["method"] = name
            record.trial["hyperparameters"] = {"note": name}
            records.append(record)
            board = done(make_trial("static", seed=10 * number + seed + 500), 0.5)
            board.trial["task"] = name
            records.append(board)
    broken = failed(make_trial("rigl", seed=77), TrialFailed(SCRIPT * 3))
    old = done(make_trial("rigl", seed=78))
    old.configuration["method_revision"] = SCRIPT
    return [*records, broken, old]
