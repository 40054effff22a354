"""Effects of an ablation: differences to the base, main effects, interactions.

All comparisons are paired on seeds. The base has every varied factor at its default. Verdicts are
of scores: values of what the task ranks by, negated if less is better. The means and differences
that are returned are of the values.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board_columns import Column, metric_of
from leaderboard.statistics.families import corrected
from leaderboard.statistics.intervals import Interval, mean_interval
from leaderboard.statistics.paired_comparisons import ALPHA, Comparison, compare, of_values
from leaderboard.terms import uncounted
from leaderboard.trial_facts import TrialResult
from suite.results.ablation_design import Ablation, Design, label
from suite.results.record import ACCURACY

Scores = dict[int, float]
"""Seed → score, of which more is better."""
Levels = Mapping[str, str]
Key = frozenset[tuple[str, str]]
BASE = "base"
SHUFFLE, OWN = "shuffle", "none"
"""The hyperparameter that makes a trial a control, and its level where each connection is judged by
its own signal."""


@dataclass(frozen=True)
class CorrectedComparison:
    """A comparison with its corrected p-value.

    Attributes:
        comparison: of the values of the metric, paired on the seeds that both sides have.
        p: the p-value, Holm-corrected over its family of comparisons; None if there is none.
        verdict: the conclusion at that p-value, in words.
    """

    comparison: Comparison
    p: float | None
    verdict: str


@dataclass(frozen=True)
class CellEffect:
    """One cell of a design.

    Attributes:
        levels: of each factor, as written.
        mean: of its finished trials; None without one.
        missing: trials that have not run.
        failed: trials that ended in an error.
        against_base: its difference to the base; None for the base itself.
        no_update: trials that do not count, because connectivity was never updated.
        off_budget: others that do not count, because they missed their `flops_budget`.
    """

    levels: dict[str, str]
    mean: Interval | None
    missing: int
    failed: int
    against_base: CorrectedComparison | None
    no_update: int = 0
    off_budget: int = 0

    @property
    def label(self) -> str:
        """The levels as text."""
        return label(self.levels)


@dataclass(frozen=True)
class MainEffect:
    """The main effect of one level of a factor.

    Averaged over those levels of the other factors at which this factor takes all its levels: all
    of them in a grid, the base if one factor is varied at a time. A seed counts if it has run at
    all of them.

    Attributes:
        mean: at this level; None without such a seed.
        against_base: its difference to the base level; None for the base level.
    """

    factor: str
    level: str
    mean: Interval | None
    against_base: CorrectedComparison | None


@dataclass(frozen=True)
class PairMean:
    """A cell of the grid of two factors, averaged over the levels of the others.

    Attributes:
        first, second: factor and level.
        mean: None without a seed that has run at all of them.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    mean: Interval | None


@dataclass(frozen=True)
class Interaction:
    """The interaction of two levels: whether their effects add up.

    The difference of differences, (both − first) − (second − neither), averaged over the levels
    of other factors; above 0 the values of both together are higher than the sum of their effects.

    Attributes:
        first, second: factor and level.
        effect: the difference of differences against 0.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    effect: CorrectedComparison


@dataclass(frozen=True)
class ControlEffect:
    """A cell against its shuffled control: what differs is whose signal a connection is judged by.

    Attributes:
        levels: of the other factors, as written.
        control: the level of `SHUFFLE` in the control.
        mean, control_mean: of the finished trials; None without one.
        effect: the cell minus its control.
    """

    levels: dict[str, str]
    control: str
    mean: Interval | None
    control_mean: Interval | None
    effect: CorrectedComparison

    @property
    def label(self) -> str:
        """The levels as text."""
        return label(self.levels)


@dataclass(frozen=True)
class DesignEffects:
    """The effects of one design; p-values are corrected within each list.

    `metric` is the column that its task ranks by.
    """

    title: str
    metric: Column
    factors: dict[str, tuple[str, ...]]
    base: dict[str, str]
    grid: bool
    seeds: tuple[int, ...]
    cells: list[CellEffect]
    levels: list[MainEffect]
    pairs: list[PairMean]
    interactions: list[Interaction]
    controls: list[ControlEffect]


def design_effects(
    ablation: Ablation, read: Callable[[str], TrialResult | None]
) -> list[DesignEffects]:
    """Return the effects of every design; `read` returns a trial's record by key, or None."""
    return [_effects(design, read) for design in ablation.designs]


def _effects(design: Design, read: Callable[[str], TrialResult | None]) -> DesignEffects:
    records = {
        _key(cell.levels): {seed: read(key) for seed, key in cell.trials.items()}
        for cell in design.cells
    }
    metric = _metric(design.task, records.values())
    scores = {key: _scores(found, metric) for key, found in records.items()}
    return DesignEffects(
        title=design.title,
        metric=metric,
        factors={factor.name: factor.levels for factor in design.factors},
        base=design.base,
        grid=design.grid,
        seeds=tuple(design.cells[0].trials),
        cells=_cells(design, records, scores, metric.sign),
        levels=_levels(design, scores, metric.sign),
        pairs=_pairs(design, scores, metric.sign),
        interactions=_interactions(design, scores, metric.sign),
        controls=_controls(design, scores, metric.sign),
    )


def _key(levels: Levels) -> Key:
    return frozenset(levels.items())


def _metric(task: str, cells: Iterable[Mapping[int, TrialResult | None]]) -> Column:
    """Return the column that the task of these records ranks by."""
    named = (r.metric for records in cells for r in records.values() if r is not None)
    return metric_of(task, next(named, ACCURACY))


def _scores(records: Mapping[int, TrialResult | None], metric: Column) -> Scores:
    """Return the scores by seed."""
    done = {
        seed: r
        for seed, r in records.items()
        if r is not None and r.status == "done" and not uncounted(r)
    }
    found = {s: r.metrics[metric.name] for s, r in done.items() if metric.name in r.metrics}
    return {seed: metric.sign * value for seed, value in found.items()}


def _missed_budget(record: TrialResult | None) -> bool:
    if record is None or record.status != "done" or record.never_updated:
        return False
    return uncounted(record) != ""


def _mean(scores: Scores, sign: int) -> Interval | None:
    """Return the mean of the values that scores stand for; `sign` is −1 if less is better."""
    return mean_interval([sign * scores[seed] for seed in sorted(scores)]) if scores else None


def _against_base(
    found: Sequence[tuple[str, Scores, Scores]], sign: int
) -> list[CorrectedComparison]:
    """Compare (label, scores, the base's scores) with the base; `sign` is −1 if less is better."""
    comparisons = [compare(scores, base) for _, scores, base in found]
    return [
        CorrectedComparison(of_values(one, sign), p, one.verdict(name, BASE, p=p))
        for (name, _, _), one, p in zip(found, comparisons, corrected(comparisons), strict=True)
    ]


def _cells(
    design: Design,
    records: Mapping[Key, Mapping[int, TrialResult | None]],
    scores: Mapping[Key, Scores],
    sign: int,
) -> list[CellEffect]:
    base, *others = design.cells
    compared = _against_base(
        [(label(c.levels), scores[_key(c.levels)], scores[_key(base.levels)]) for c in others], sign
    )
    return [
        CellEffect(
            cell.levels,
            _mean(scores[_key(cell.levels)], sign),
            sum(r is None for r in records[_key(cell.levels)].values()),
            sum(
                r is not None and r.status == "failed" for r in records[_key(cell.levels)].values()
            ),
            against,
            sum(
                r is not None and r.never_updated != "" for r in records[_key(cell.levels)].values()
            ),
            sum(map(_missed_budget, records[_key(cell.levels)].values())),
        )
        for cell, against in zip(design.cells, [None, *compared], strict=True)
    ]


def _controls(design: Design, scores: Mapping[Key, Scores], sign: int) -> list[ControlEffect]:
    """Return every cell of a design that varies `SHUFFLE` against its controls."""
    if SHUFFLE not in design.base:
        return []
    pairs = [
        (cell.levels, control.levels)
        for cell in design.cells
        if cell.levels[SHUFFLE] == OWN
        for control in design.cells
        if control.levels == {**cell.levels, SHUFFLE: control.levels[SHUFFLE]} != cell.levels
    ]
    found = [(scores[_key(cell)], scores[_key(control)]) for cell, control in pairs]
    comparisons = [compare(mine, control) for mine, control in found]
    return [
        ControlEffect(
            {name: level for name, level in cell.items() if name != SHUFFLE},
            control[SHUFFLE],
            _mean(mine, sign),
            _mean(theirs, sign),
            CorrectedComparison(
                of_values(comparison, sign), p, comparison.verdict("the cell", "its control", p=p)
            ),
        )
        for (cell, control), (mine, theirs), comparison, p in zip(
            pairs, found, comparisons, corrected(comparisons), strict=True
        )
    ]


def _contexts(design: Design, names: Sequence[str]) -> list[dict[str, str]]:
    """Return the cells to average over: the named factors at base, and all their levels were run.

    In a grid these are all levels of the other factors. With one factor varied at a time, it is the
    base alone for a single factor, and none for a pair.
    """
    known = {_key(cell.levels) for cell in design.cells}
    base = {name: design.base[name] for name in names}
    every = [
        dict(zip(names, levels, strict=True))
        for levels in itertools.product(*(f.levels for f in design.factors if f.name in names))
    ]
    return [
        cell.levels
        for cell in design.cells
        if base.items() <= cell.levels.items()
        and all(_key(cell.levels | levels) in known for levels in every)
    ]


def _average(scores: Mapping[Key, Scores], contexts: Sequence[Levels], levels: Levels) -> Scores:
    """Return the mean score at `levels` over contexts, for seeds that have run in all."""
    cells = [scores[_key({**context, **levels})] for context in contexts]
    seeds = set.intersection(*map(set, cells)) if cells else set()
    return {seed: sum(cell[seed] for cell in cells) / len(cells) for seed in sorted(seeds)}


def _levels(design: Design, scores: Mapping[Key, Scores], sign: int) -> list[MainEffect]:
    means = {
        (factor.name, level): _average(scores, contexts, {factor.name: level})
        for factor in design.factors
        for contexts in [_contexts(design, [factor.name])]
        for level in factor.levels
    }
    base = design.base
    others = [(name, level) for name, level in means if level != base[name]]
    compared = _against_base(
        [
            (f"{name}={level}", means[name, level], means[name, base[name]])
            for name, level in others
        ],
        sign,
    )
    against = dict(zip(others, compared, strict=True))
    return [
        MainEffect(name, level, _mean(mean, sign), against.get((name, level)))
        for (name, level), mean in means.items()
    ]


def _pairs(design: Design, scores: Mapping[Key, Scores], sign: int) -> list[PairMean]:
    return [
        PairMean(
            (one.name, first),
            (other.name, second),
            _mean(_average(scores, contexts, {one.name: first, other.name: second}), sign),
        )
        for one, other in itertools.combinations(design.factors, 2)
        if (contexts := _contexts(design, [one.name, other.name]))
        for first, second in itertools.product(one.levels, other.levels)
    ]


def _interactions(design: Design, scores: Mapping[Key, Scores], sign: int) -> list[Interaction]:
    found = []
    for one, other in itertools.combinations(design.factors, 2):
        contexts = _contexts(design, [one.name, other.name])
        if not contexts:
            continue
        for first, second in itertools.product(one.levels, other.levels):
            if first != one.base and second != other.base:
                change, another = {one.name: first}, {other.name: second}
                both = _average(scores, contexts, change | another)
                neither = _average(scores, contexts, {})
                alone = _average(scores, contexts, change), _average(scores, contexts, another)
                comparison = compare(_sum(both, neither), _sum(*alone))
                found.append(((one.name, first), (other.name, second), comparison))
    ps = corrected([comparison for *_, comparison in found])
    return [
        Interaction(
            first,
            second,
            CorrectedComparison(
                of_values(comparison, sign), p, _interaction_verdict(comparison, p)
            ),
        )
        for (first, second, comparison), p in zip(found, ps, strict=True)
    ]


def _sum(one: Scores, other: Scores) -> Scores:
    return {seed: one[seed] + other[seed] for seed in sorted(set(one) & set(other))}


def _interaction_verdict(found: Comparison, p: float | None) -> str:
    if not found.decides or found.difference is None or p is None:
        return f"cannot decide at n = {found.n}"
    if p > ALPHA:
        return f"no interaction shown at n = {found.n}"
    more = found.difference.mean > 0
    return f"together {'more' if more else 'less'} than the sum of both"
