"""How a network's sparsity is divided among its layers: exact numbers of zeros, per layer.

Pure arithmetic on shapes; nothing here needs a tensor.
"""

import fnmatch
import math
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction

from suite.core.errors import InvalidInput

Shapes = Mapping[str, Sequence[int]]
"""Weight shapes by layer name, in network order: (out, in) or (out, in / groups, *kernel)."""


def count_zeros(sparsity: float, size: int) -> int:
    """Return ``floor(sparsity · size)``, free of binary rounding (0.29 of 100 is 29, not 28)."""
    return math.floor(Fraction(str(sparsity)) * size)


def layer_zeros(
    shapes: Shapes,
    sparsity: float,
    distribution: str,
    *,
    dense: Collection[str] = (),
    uniform_dense: str = "first",
    compensate: bool = True,
) -> dict[str, int]:
    """Return how many weights of each layer are zero.

    Under ``er`` and ``erk`` they add up to ``count_zeros`` of all weights exactly, under
    ``uniform`` each sparse layer has its own ``count_zeros``. Without `compensate`, layers in
    `dense` are left out of the calculation under ``er`` and ``erk``, as in RigL's code: the others
    have the zeros that they would have without them, each rounded down, and the network is denser
    than `sparsity`.

    Args:
        shapes: prunable weights in network order.
        sparsity: fraction of zeros, in [0, 1). For ``er`` and ``erk`` of all the weights together;
            for ``uniform`` of each layer that is not dense (RigL's convention).
        distribution: ``uniform``, ``er`` or ``erk``.
        dense: names of layers that stay dense under every distribution.
        uniform_dense: which further layers ``uniform`` leaves dense: none, first, first_last.
        compensate: prune the others more for what layers in `dense` keep.

    Raises:
        InvalidInput: the dense layers alone hold more weights than the target allows.

    Source: Evci et al. 2020, arXiv:1911.11134, §3(1) and google-research/rigl, sparse_utils.py; ER
    from Mocanu et al. 2018.
    """
    names = list(shapes)
    if distribution == "uniform":
        kept = set(dense) | set(left_dense_by_uniform(names, uniform_dense))
        return {
            name: 0 if name in kept else count_zeros(sparsity, math.prod(shapes[name]))
            for name in names
        }
    if distribution not in ("er", "erk"):
        raise InvalidInput(
            f"distribution '{distribution}' is not per layer: use erk, er or uniform"
        )
    if compensate:
        return _erdos_renyi(shapes, sparsity, kernel=distribution == "erk", dense=dense)
    others = {name: shape for name, shape in shapes.items() if name not in dense}
    return dict.fromkeys(shapes, 0) | _erdos_renyi_alone(others, sparsity, distribution == "erk")


def left_dense_by_uniform(names: Sequence[str], uniform_dense: str) -> list[str]:
    """Return which of the layers, in network order, ``uniform`` leaves dense of itself."""
    ends = {"none": [], "first": names[:1], "first_last": [*names[:1], *names[-1:]]}
    return list(ends[uniform_dense])


def custom_zeros(shapes: Shapes, sparsity: float, layer_sparsity: Sequence[str]) -> dict[str, int]:
    """Return zeros per layer from ``GLOB=FRACTION`` texts; layers that match none stay dense.

    Raises:
        InvalidInput: a text that cannot be read, a glob without a match, or fractions that do not
            add up to `sparsity` (to a thousandth of the weights).
    """
    zeros = dict.fromkeys(shapes, 0)
    for text in layer_sparsity:
        glob, _, fraction = text.rpartition("=")
        matched = fnmatch.filter(shapes, glob)
        if not matched:
            raise InvalidInput(
                f"layer_sparsity: '{text}' names no layer; write GLOB=FRACTION, for one of "
                f"{', '.join(shapes)}"
            )
        try:
            value = float(fraction)
        except ValueError:
            value = -1.0
        if not 0 <= value < 1:
            raise InvalidInput(f"layer_sparsity: '{text}': give a fraction in [0, 1)")
        zeros.update({name: count_zeros(value, math.prod(shapes[name])) for name in matched})
    size = sum(math.prod(shape) for shape in shapes.values())
    total = sum(zeros.values())
    if abs(total - sparsity * size) > size / 1000:
        raise InvalidInput(
            f"layer_sparsity adds up to a sparsity of {total / size:.4f}, not {sparsity:g}: give "
            f"sparsity {total / size:.4f}"
        )
    return zeros


def global_zeros(
    shapes: Shapes, sparsity: float, *, dense: Collection[str] = (), compensate: bool = True
) -> int:
    """Return how many weights of the whole network are zero when all are ranked together.

    Without `compensate` the sparsity is that of the layers that are not in `dense`.

    Raises:
        InvalidInput: the layers that may be pruned hold fewer weights than that.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    prunable = sum(size for name, size in sizes.items() if name not in dense)
    zeros = count_zeros(sparsity, sum(sizes.values()) if compensate else prunable)
    if zeros > prunable:
        raise InvalidInput(_over_budget(sparsity, dense, "global"))
    return zeros


def _erdos_renyi(
    shapes: Shapes, sparsity: float, *, kernel: bool, dense: Collection[str]
) -> dict[str, int]:
    """Return zeros that add up to ``count_zeros`` of all weights, those of `dense` included."""
    zeros = count_zeros(sparsity, sum(math.prod(shape) for shape in shapes.values()))
    shares = _erdos_renyi_shares(shapes, zeros, kernel=kernel, dense=dense)
    if shares is None:
        raise InvalidInput(_over_budget(sparsity, dense, "erk" if kernel else "er"))
    return dict.fromkeys(shapes, 0) | _whole(shares, zeros)


def _erdos_renyi_alone(shapes: Shapes, sparsity: float, kernel: bool) -> dict[str, int]:
    """Return zeros as RigL's code rounds them: of layers and of shares, always down."""
    zeros = sum(count_zeros(sparsity, math.prod(shape)) for shape in shapes.values())
    shares = _erdos_renyi_shares(shapes, zeros, kernel=kernel, dense=()) or {}
    return dict.fromkeys(shapes, 0) | {name: math.floor(share) for name, share in shares.items()}


def _erdos_renyi_shares(
    shapes: Shapes, zeros: int, *, kernel: bool, dense: Collection[str]
) -> dict[str, float] | None:
    """Solve density_l = ε·p_l with p_l = Σ dims / Π dims: the zeros of each layer that is not full.

    While a density exceeds 1, all layers at the largest p become dense and ε is solved again, so
    that the others make up for the weights these layers lack (clamping alone would not do that).
    Returns None where the layers that are not in `dense` hold fewer weights than `zeros`.
    """
    if zeros == 0:
        return {}
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    score = {}
    for name, shape in shapes.items():
        dims = shape if kernel else shape[:2]
        score[name] = sum(dims) / math.prod(dims)
    full = set(dense)
    while True:
        sparse = [name for name in shapes if name not in full]
        budget = sum(sizes[name] for name in sparse) - zeros
        if not sparse or budget < 0:
            return None
        epsilon = budget / sum(score[name] * sizes[name] for name in sparse)
        largest = max(score[name] for name in sparse)
        if epsilon * largest <= 1:
            return {name: (1 - epsilon * score[name]) * sizes[name] for name in sparse}
        full.update(name for name in sparse if score[name] == largest)


def _whole(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Round `shares` to whole numbers that add up to `total`: the largest remainders go up."""
    counts = {name: math.floor(share) for name, share in shares.items()}
    order = sorted(shares, key=lambda name: counts[name] - shares[name])
    for name in order[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def slower_output_zeros(
    shapes: Shapes,
    sparsity: float,
    slower: float,
    *,
    dense: Collection[str] = (),
    compensate: bool = True,
) -> dict[str, int]:
    """Return zeros per layer where all layers have density d and the last one d^`slower`.

    They add up to `global_zeros` exactly. Pruning every layer at rate p a round
    and the output at p/2 keeps this relation with slower = ln(1 − p/2) / ln(1 − p).
    Source: Frankle & Carbin 2019, arXiv:1803.03635, §2.

    Raises:
        InvalidInput: the dense layers alone hold more weights than the target allows.
    """
    sizes = {n: math.prod(shape) for n, shape in shapes.items() if n not in dense}
    zeros = global_zeros(shapes, sparsity, dense=dense, compensate=compensate)
    output = list(shapes)[-1]

    def shares(density: float) -> dict[str, float]:
        return {
            name: size * (1 - (density**slower if name == output else density))
            for name, size in sizes.items()
        }

    low, high = 0.0, 1.0
    for _ in range(60):  # to the last bit of a float
        middle = (low + high) / 2
        low, high = (middle, high) if sum(shares(middle).values()) > zeros else (low, middle)
    return dict.fromkeys(shapes, 0) | _whole(shares(high), zeros)


def proportional(
    weights: Mapping[str, float], total: int, room: Mapping[str, int]
) -> dict[str, int]:
    """Divide `total` among names in proportion to `weights`, none getting more than its `room`.

    What exceeds the room of one is divided among the others. The numbers add up to `total`, which
    must not exceed the sum of `room`.
    """
    counts = dict.fromkeys(weights, 0)
    while (left := total - sum(counts.values())) > 0:
        free = [name for name in weights if counts[name] < room[name]]
        claims = {name: weights[name] for name in free if weights[name] > 0}
        claims = claims or dict.fromkeys(free, 1.0)  # all weights are 0: divide evenly
        shares = {n: left * claim / sum(claims.values()) for n, claim in claims.items()}
        for name, count in _whole(shares, left).items():
            counts[name] = min(room[name], counts[name] + count)
    return counts


FILLED = 0.99
"""Part of a layer's empty places that `momentum_counts` fills before it gives others the rest."""


def momentum_counts(
    momentum: Mapping[str, float], total: int, room: Mapping[str, int]
) -> dict[str, int]:
    """Divide `total` weights to grow among layers by their `momentum`, what is too much equally.

    Each layer is given ⌈total · momentum / Σ momentum⌉. What is above 0.99 of its `room` is cut
    off, divided equally among all layers and added to each, again and again until nothing is cut
    off; the numbers are rounded down. So each ends with the smaller of 0.99 · room and what it was
    given plus one amount that is the same for all. The rounding is then made up for, so that the
    numbers add up to `total`, which must not exceed the sum of `room`.

    Source: TimDettmers/sparse_learning, core.py, calc_growth_redistribution.
    """
    whole = sum(momentum.values())
    shares = {n: m / whole if whole > 0 else 1 / len(momentum) for n, m in momentum.items()}
    given = {name: math.ceil(share * total) for name, share in shares.items()}
    most = {name: FILLED * room[name] for name in given}
    more = _common_amount(given, most)
    counts = {name: math.floor(min(most[name], given[name] + more)) for name in given}
    left = {name: room[name] - count for name, count in counts.items()}
    missing = total - sum(counts.values())
    equal = dict.fromkeys(counts, 1.0)
    added = proportional(equal, max(0, missing), left)
    removed = proportional(equal, max(0, -missing), counts)
    return {name: count + added[name] - removed[name] for name, count in counts.items()}


def _common_amount(given: Mapping[str, int], most: Mapping[str, float]) -> float:
    """Return the amount for which Σ min(most, given + amount) = Σ given; infinite if there is none.

    The layers with the least left below `most` are full first; the others share what they cannot
    take.
    """
    amount, cut = 0.0, 0.0
    order = sorted(given, key=lambda name: most[name] - given[name])
    for full, name in enumerate(order):
        amount = cut / (len(order) - full)
        left = most[name] - given[name]
        if amount <= left:
            return amount
        cut -= left
    return math.inf


def at_least(least: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """Return `counts` raised to `least`, with the same sum: the other names get fewer for it.

    The sum of `least` must not exceed that of `counts`.
    """
    raised = {name: max(count, least[name]) for name, count in counts.items()}
    room = {name: count - least[name] for name, count in raised.items()}
    less = proportional(room, sum(raised.values()) - sum(counts.values()), room)
    return {name: count - less[name] for name, count in raised.items()}


def _over_budget(sparsity: float, dense: Collection[str], distribution: str) -> str:
    return (
        f"sparsity {sparsity:g} cannot be met with distribution {distribution}: the dense layers "
        f"({', '.join(sorted(dense))}) alone hold more weights; lower the sparsity or free a layer"
    )
