"""What a record holds of signals is read back as it was."""

import re

import pytest

from suite.results.metrics import METRIC_NAME, out_of_range
from suite.results.record import MAX_METRICS, LayerRecord
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


def every_measure() -> LayerSignals:
    measures = {
        name: ReadingMeasures(
            {k: (place + k) / 100 for k in AVERAGED},
            {to: -(place + i) / 10 for i, to in enumerate(RELATED)},
        )
        for place, name in enumerate(READINGS)
    }
    return LayerSignals(32, 73, 16384, 5, 16000, measures)


def test_numbers_are_read_back_and_fit_into_a_record():
    found = every_measure()
    numbers = found.numbers()
    assert LayerSignals.of(numbers) == found
    assert len(numbers) <= MAX_METRICS
    assert all(re.fullmatch(METRIC_NAME, name) for name in numbers)


def test_what_was_not_measured_is_missing_and_what_is_no_such_record_is_none():
    few = LayerSignals(32, 2, 10, 0, 10, {"rms": ReadingMeasures({1: 0.5}, {})})
    assert LayerSignals.of(few.numbers()) == few
    assert LayerSignals.of({}) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"window": None}, "window is None"),
        ({"windows": 2.5}, "windows is 2.5, not a count"),
        ({"sampled": 1e99}, "sampled is 1e.99, not a count"),
        ({"sampled": 20001}, "of 20001"),
        ({"silent": 400}, "400 silent and 16000 compared of 16384"),
        ({"rms_k1": 1.5}, "rms_k1 is 1.5, no correlation"),
        ({"rms_k3": 0.5}, "rms_k3 is not known"),
    ],
)
def test_a_record_with_numbers_that_cannot_be_is_refused(changes, reason):
    numbers = every_measure().numbers()
    given = {"name": "1", "shape": (200, 100), "zeros": 0, "flops": 40000.0}
    assert LayerRecord(**given, signals=numbers).signals == numbers
    changed = {name: value for name, value in (numbers | changes).items() if value is not None}
    with pytest.raises(ValueError, match=reason):
        LayerRecord(**given, signals=changed)


@pytest.mark.parametrize(("r", "k", "expected"), [(0.5, 1, 0.5), (0.5, 2, 2 / 3), (0.1, 9, 0.5)])
def test_the_formula_of_spearman_and_brown(r, k, expected):
    assert spearman_brown(r, k) == pytest.approx(expected)
    assert spearman_brown(-0.2, k) == 0


def test_accuracies_after_pruning_are_fractions_by_their_names():
    names = [pruned(reading, keep) for reading in READINGS for keep in KEPT]
    names += [pruned("random"), pruned("magnitude")]
    assert len(set(names)) == 16
    for name in names:
        assert re.fullmatch(METRIC_NAME, name)
        assert out_of_range(name, 1.5)
    assert pruned("rms", "low") == "pruned_rms_low_accuracy"
