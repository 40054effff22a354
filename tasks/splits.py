"""Random splits of a dataset's examples: a function of labels, size and seed alone.

The draws are those of scikit-learn's ``train_test_split``. They are made here so that no release of
it can change a published split, and so that training need not import it, which takes longer than a
small trial.
"""

import numpy as np

Indices = np.ndarray
"""int64."""


def shuffled_split(count: int, held: int, seed: int) -> tuple[Indices, Indices]:
    """Return the indices kept and the `held` that are held out, each in random order."""
    order = np.random.RandomState(seed).permutation(count)
    return order[held:], order[:held]


def stratified_split(labels: np.ndarray, held: int, seed: int) -> tuple[Indices, Indices]:
    """Return the indices kept and held out, each in random order.

    Of every class, each part has its share, rounded so that the sizes are exact: up for the classes
    whose shares have the greatest fractions, between equal ones at random.

    Args:
        labels: of the examples, [n].
        held: how many are held out.
        seed: of the draws, below 2³².

    Raises:
        ValueError: a part would be empty, or could not have an example of each class.
    """
    classes, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    kept = len(labels) - held
    if counts.min() < 2:
        single = classes[counts < 2]
        raise ValueError(f"class {single[0]} has one example, and needs one in each part")
    if min(kept, held) < len(classes):
        raise ValueError(
            f"parts of {kept} and {held} examples cannot each have one of {len(classes)} classes"
        )
    rng = np.random.RandomState(seed)
    first = _shares(counts, kept, rng)
    second = _shares(counts - first, held, rng)
    parts: tuple[list[Indices], list[Indices]] = ([], [])
    members_of_all = np.split(np.argsort(numbers, kind="stable"), np.cumsum(counts)[:-1])
    for members, one, other in zip(members_of_all, first, second, strict=True):
        drawn = members[rng.permutation(len(members))]
        parts[0].append(drawn[:one])
        parts[1].append(drawn[one : one + other])
    shuffled = [rng.permutation(np.concatenate(part)) for part in parts]
    return shuffled[0], shuffled[1]


def _shares(counts: Indices, total: int, rng: np.random.RandomState) -> Indices:
    """Return how many of `total` examples each class gives, in proportion to its count."""
    exact = counts / counts.sum() * total
    whole = np.floor(exact)
    fractions = exact - whole
    missing = int(total - whole.sum())
    for fraction in np.unique(fractions)[::-1]:
        if missing <= 0:
            break
        equal = np.flatnonzero(fractions == fraction)
        chosen = rng.choice(equal, min(len(equal), missing), replace=False)
        whole[chosen] += 1
        missing -= len(chosen)
    return whole.astype(np.int64)
