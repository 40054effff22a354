"""Boards with random scores, some cells of which are missing."""

import random
from collections.abc import Sequence

from leaderboard.board_columns import NAMED_COLUMNS, SCORE, Column
from leaderboard.boards import Board, Cell, Entry, Run
from leaderboard.terms import Terms

METHODS = ("dense", "small_dense", "granet", "grasp", "lottery_ticket", "magnitude",
           "magnitude_one_shot", "rigl", "set", "snfs", "snip", "static", "synflow", "resonance",
           "resonance_shuffled", "resonance_coherent", "resonance_weighted")  # fmt: skip
TASKS = ("digits/mlp", "mnist/lenet_5", "cifar10/resnet_20", "fashion_mnist/lenet_300_100", "a/b")
OF_SCORE = {
    "test_r2": lambda score: 2 * score - 1.4,
    "test_rmse": lambda score: 300 * (1 - score),
    "test_balanced_accuracy": lambda score: score**2,
}
"""Values of other metrics, better where the accuracy would be."""


def random_boards(
    seed: int,
    *,
    methods: Sequence[str] = METHODS,
    tasks: Sequence[str] = TASKS,
    sparsities: Sequence[float] = (0.8, 0.9, 0.95, 0.98),
    seeds: int = 5,
    missing: float = 0.0,
    metrics: Sequence[str] = (SCORE,),
    flops_budget: float = 0.0,
) -> list[Board]:
    """Return boards; a share `missing` of the trials was not run. Accuracies are counts.

    The tasks rank by `metrics`, names of columns, in turn.
    """
    draw = random.Random(seed)
    skill = {method: draw.gauss(0, 1) for method in methods}
    boards = []
    for number_of_task, task in enumerate(tasks):
        metric = NAMED_COLUMNS[metrics[number_of_task % len(metrics)]]
        images, difficulty = draw.choice((360, 10_000)), draw.uniform(0.02, 0.3)

        def cell(method: str, sparsity: float, start: str = task, hard: float = difficulty,
                 tested: int = images, by: Column = metric) -> Cell:  # fmt: skip
            error = hard * (1 + (1 - sparsity) ** -0.5 / 8) * 1.2 ** -skill[method]
            runs = []
            for number in range(seeds):
                if draw.random() >= missing:
                    score = round((1 - error * draw.uniform(0.9, 1.1)) * tested) / tested
                    key = f"{start} {method} {sparsity} {number}"
                    values = _values(draw, score, sparsity, missing)
                    if by.name != SCORE:
                        values[by.name] = OF_SCORE[by.name](values.pop(SCORE))
                    runs.append(Run(key, number, values))
            return Cell(runs, metric=by)

        rows: list[tuple[Entry, list[Cell | None]]] = []
        dense: dict[str, float] = {}
        for method in methods:
            entry = Entry(method, "")
            if entry.dense:
                one = cell(method, 0.0)
                rows.append((entry, [one] * len(sparsities)))
                names = one.runs[0].values if one.runs else ()
                dense = {name: mean for name in names if (mean := one.mean(name)) is not None}
            else:
                rows.append((entry, [cell(method, sparsity) for sparsity in sparsities]))
        draw.shuffle(rows)
        made = Board(task, "", list(sparsities), rows, dense, metric, terms=Terms(flops_budget))
        boards.append(made)
    return boards


def _values(draw: random.Random, score: float, sparsity: float, missing: float) -> dict[str, float]:
    values = {
        "test_accuracy": score,
        "training_flops": 1e12 * (1.01 - sparsity) * draw.choice((1.0, 1.0, 1.3)),
        "test_ece": draw.random() / 10,
        "test_nll": draw.random(),
        "test_accuracy_corrupted": score * draw.uniform(0.7, 1),
    }
    if draw.random() >= missing:
        values["test_accuracy_fgsm_8_255"] = score / 3
    return values
