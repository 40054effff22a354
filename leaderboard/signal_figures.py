"""What gradient signals say, from records: figures by layer, averaged over seeds, and sentences."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from leaderboard.ablation_tables import TextTable
from leaderboard.boards import settings_text
from suite.core.shown_text import shown
from suite.results.record import Record
from suite.results.signal_measures import (
    AVERAGED,
    KEPT,
    READINGS,
    RELATED,
    LayerSignals,
    ReadingMeasures,
    pruned,
    spearman_brown,
)

MISSING = "–"


@dataclass(frozen=True)
class SignalGroup:
    """The analyses of one training: same task, method and settings, several seeds.

    Attributes:
        title: task, method, sparsity and what differs from the defaults.
        window: N, gradients in a window.
        records: in the order of seeds.
        signals: layer → what was found, of each record that says it.
    """

    title: str
    window: int
    records: tuple[Record, ...]
    signals: dict[str, tuple[LayerSignals, ...]]

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, in the order of the network."""
        return tuple(self.signals)

    def reliability(self, layer: str, reading: str, k: int) -> float | None:
        """Return the reliability of a mean over k windows; the mean over seeds."""
        return self._mean(layer, reading, lambda found: found.reliability.get(k))

    def related(self, layer: str, reading: str, to: str) -> float | None:
        """Return the rank correlation of the averaged reading with one of `RELATED`."""
        return self._mean(layer, reading, lambda found: found.related.get(to))

    def _mean(
        self, layer: str, reading: str, value: Callable[[ReadingMeasures], float | None]
    ) -> float | None:
        every = (one.readings.get(reading) for one in self.signals[layer])
        found = [value(one) for one in every if one is not None]
        known = [one for one in found if one is not None]
        return statistics.fmean(known) if known else None

    def largest_k(self) -> int:
        """Return the largest number of windows that were averaged."""
        return max(
            (
                k
                for layer in self.layers
                for reading in READINGS
                for k in AVERAGED
                if self.reliability(layer, reading, k) is not None
            ),
            default=1,
        )

    def accuracy(self, metric: str) -> list[float]:
        """Return a metric of every seed that has it."""
        return [one.metrics[metric] for one in self.records if metric in one.metrics]

    def seeds(self) -> str:
        """Return the seeds in words."""
        return f"{len(self.records)} seed{'s' * (len(self.records) != 1)}"

    def over_layers(self, value: Callable[[str], float | None]) -> list[float]:
        """Return the values of the layers that have one."""
        found = [value(layer) for layer in self.layers]
        return [one for one in found if one is not None]


def signal_groups(records: Iterable[Record]) -> list[SignalGroup]:
    """Return the analyses among records, grouped; by task, then method, then sparsity."""
    groups: dict[tuple[str, str, float, str, int], list[Record]] = defaultdict(list)
    for record in records:
        found = [one for layer in record.layers if (one := LayerSignals.of(layer.signals))]
        if record.status == "done" and found:
            trial = record.trial
            changed = settings_text(trial["hyperparameters"] | trial["recipe"])
            place = (trial["task"], trial["method"], trial["sparsity"], changed, found[0].window)
            groups[place].append(record)
    return [_group(*place, groups[place]) for place in sorted(groups)]


def _group(
    task: str, method: str, sparsity: float, changed: str, window: int, records: list[Record]
) -> SignalGroup:
    ordered = tuple(sorted(records, key=lambda one: one.trial["seed"]))
    signals: dict[str, list[LayerSignals]] = defaultdict(list)
    for record in ordered:
        for layer in record.layers:
            if (found := LayerSignals.of(layer.signals)) is not None:
                signals[layer.name].append(found)
    words = [task, method] + ([f"at {sparsity:g}"] if sparsity else [])
    title = " ".join(words) + (f" ({changed})" if changed else "")
    return SignalGroup(shown(title), window, ordered, {n: tuple(f) for n, f in signals.items()})


def number(value: float | None) -> str:
    """Return a correlation with two decimals and a proper minus sign."""
    return (
        MISSING
        if value is None
        else f"{value + 0.0:.2f}".replace("-", "−").replace("−0.00", "0.00")
    )


def between(values: Sequence[float]) -> str:
    """Return the smallest and the largest of some values: ``0.01 to 0.07``."""
    if not values:
        return MISSING
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def _range(group: SignalGroup, value: Callable[[str], float | None]) -> str:
    """Return the range over layers of a value by layer."""
    return between(group.over_layers(value))


def percent(values: Sequence[float]) -> str:
    """Return a mean over seeds in per cent, ± the standard deviation if there are several."""
    if not values:
        return MISSING
    text = f"{100 * statistics.fmean(values):.1f}"
    return f"{text} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else text


def tables(group: SignalGroup) -> list[TextTable]:
    """Return the tables of a group: reliability, relations, pruning at once."""
    return [reliability_table(group), relation_table(group), pruning_table(group)]


def summary_table(group: SignalGroup) -> TextTable:
    """Return one row for each reading: ranges over layers, and accuracies after pruning at once."""
    k = group.largest_k()
    rows = []
    for reading, title in READINGS.items():
        repeated = [_range(group, partial(group.reliability, reading=reading, k=n)) for n in (1, k)]
        related = [_range(group, partial(group.related, reading=reading, to=to)) for to in RELATED]
        kept = [percent(group.accuracy(pruned(reading, keep))) for keep in KEPT]
        rows.append([title, *repeated, *related, *kept])
    return (
        f"{group.title}, {group.seeds()}",
        [
            "reading",
            "1 window",
            f"mean of {k}",
            *(f"with {title}" for title in RELATED.values()),
            *(f"{words} kept, %" for words in KEPT.values()),
        ],
        rows,
    )


def reliability_table(group: SignalGroup) -> TextTable:
    """Return the reliability of each reading by layer and k."""
    ks = [k for k in AVERAGED if k <= group.largest_k()]
    rows = []
    for layer in group.layers:
        for reading, title in READINGS.items():
            values = [group.reliability(layer, reading, k) for k in ks]
            first = values[0]
            expected = None if first is None else spearman_brown(first, ks[-1])
            rows.append([f"{layer}: {title}", *map(number, values), number(expected)])
    columns = [
        "layer and reading",
        "1 window",
        *(f"mean of {k}" for k in ks[1:]),
        f"expected for {ks[-1]} (Spearman–Brown)",
    ]
    if len(ks) == 1:  # nothing was averaged, so nothing is expected of it
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return f"Test–retest reliability, {group.seeds()}", columns, rows


def relation_table(group: SignalGroup) -> TextTable:
    """Return what each reading, averaged over training, is related to, by layer."""
    rows = [
        [f"{layer}: {title}", *(number(group.related(layer, reading, to)) for to in RELATED)]
        for layer in group.layers
        for reading, title in READINGS.items()
    ]
    return (
        f"Rank correlation of the reading averaged over training, {group.seeds()}",
        ["layer and reading", *(f"with {title}" for title in RELATED.values())],
        rows,
    )


def pruning_table(group: SignalGroup) -> TextTable:
    """Return the accuracy that is left after pruning half at once."""
    rows = [
        [title, *(percent(group.accuracy(pruned(reading, keep))) for keep in KEPT)]
        for reading, title in READINGS.items()
    ]
    rows.append(["|w|", percent(group.accuracy(pruned("magnitude"))), MISSING])
    random = percent(group.accuracy(pruned("random")))
    rows += [["at random", random, random]]
    whole = percent([record.score for record in group.records])
    rows.append(["nothing is pruned", whole, whole])
    return (
        f"Accuracy in % after half of every layer is pruned at once, {group.seeds()}",
        ["ranked by", *(f"{words} are kept" for words in KEPT.values())],
        rows,
    )


def counts(group: SignalGroup) -> str:
    """Return how many windows and connections were looked at, in a sentence."""
    every = [one for found in group.signals.values() for one in found]
    windows = sorted({one.windows for one in every})
    sampled = sum(found[0].sampled for found in group.signals.values())
    silent = round(sum(one.silent for one in every) / len(group.records))
    left_out = ""
    if silent:
        left_out = (
            f", of which {silent:,} had no signal in any window and "
            f"{'is' if silent == 1 else 'are'} left out"
        )
    return (
        f"{windows[0]:,} windows of {group.window} successive gradients; {sampled:,} connections, "
        f"drawn at random, in {len(group.layers)} layers{left_out}."
    )


def sentences(group: SignalGroup) -> list[str]:
    """Return in plain sentences what a group says."""
    k = group.largest_k()

    def once(reading: str) -> str:
        return _range(group, partial(group.reliability, reading=reading, k=1))

    def averaged(reading: str) -> str:
        return _range(group, partial(group.reliability, reading=reading, k=k))

    def related(reading: str, to: str) -> str:
        return _range(group, partial(group.related, reading=reading, to=to))

    def left(*which: str) -> str:
        return percent(group.accuracy(pruned(*which))) + " %"

    equal = "saliency_at_equal_magnitude"
    whole = percent([record.score for record in group.records])
    return [
        f"Read in two neighbouring windows of {group.window} gradients, a connection's dominant "
        f"frequency agrees with itself at a rank correlation of {once('dominant')} (by layer), its "
        f"mean frequency at {once('centroid')} and its rate of change at {once('rate')}; the root "
        f"mean square of its gradients at {once('rms')} and their |mean| at {once('abs_mean')}.",
        f"Averaged over {k} windows, the dominant frequency reaches {averaged('dominant')}, the "
        f"mean frequency {averaged('centroid')} and the rate of change {averaged('rate')}."
        if k > 1
        else "The training is too short to average over windows.",
        f"Averaged over training, the dominant frequency and the saliency F·w² correlate at "
        f"{related('dominant', 'saliency')}, at equal |w| at {related('dominant', equal)}; the "
        f"rate of change at {related('rate', 'saliency')}, at equal |w| at "
        f"{related('rate', equal)}.",
        f"With half of every layer pruned at once by the averaged dominant frequency, "
        f"{left('dominant', 'high')} are right if the highest are kept, "
        f"{left('dominant', 'low')} if the lowest are, {left('random')} if half is pruned at "
        f"random and {left('magnitude')} if the smallest weights go; by the rate of change "
        f"{left('rate', 'high')} and {left('rate', 'low')}. The whole network has {whole} %.",
    ]
