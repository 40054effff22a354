"""Measurements as a file and as rows of a table."""

import pytest

from suite.bench.measurement import Bar, Measurement
from suite.bench.report import Measured, Report, load, machine_text, row, short_line
from suite.core.errors import InvalidInput

MACHINE = {
    "cores": 2, "processor": "a processor", "instructions": "AVX2", "system": "Linux",
    "python": "3.11.9", "torch": "2.15.0",
}  # fmt: skip
FASTER = Measurement.of("csr / dense", [3.0, 2.0, 2.5], "×", Bar(2.2, least=True), "one thread")
SLOW = Measurement("status", 9.5, "s", bar=Bar(8.0), trials=100_000)


def report(*measured: Measurement) -> Report:
    return Report(MACHINE, "2026-01-31", tuple(Measured("one", m) for m in measured))


def test_a_report_reads_back_what_it_wrote(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(report(FASTER, SLOW).to_json(), encoding="utf-8")
    assert load(path) == report(FASTER, SLOW)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"measured": [{}]}', '{"measured": 3}'])
def test_a_file_that_is_no_report_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"is not a report of measurements.*bench --out FILE"):
        load(path)


def test_a_row_names_what_value_range_bar_and_conditions():
    assert row(Measured("csr", FASTER)) == [
        "csr", "csr / dense", "2.50 ×", "2.00 … 3.00", "≥ 2.2", "one thread",
    ]  # fmt: skip
    assert row(Measured("store", SLOW)) == [
        "store", "status, 100,000 trials", "9.50 s", "", "≤ 8, missed", "",
    ]  # fmt: skip
    assert short_line(Measured("csr", FASTER)) == "csr / dense: 2.50 × (2.00 … 3.00), bar ≥ 2.2"


def test_only_what_does_not_reach_its_bar_is_missed():
    found = report(FASTER, SLOW, Measurement("without a bar", 1.0, "s"))
    assert [one.measurement for one in found.missed] == [SLOW]


def test_a_machine_says_whether_numba_is_there():
    assert machine_text(report()).endswith("PyTorch 2.15.0, without numba")
    with_numba = Report(MACHINE | {"numba": "0.61"}, "2026-01-31", ())
    assert machine_text(with_numba).endswith("PyTorch 2.15.0, numba 0.61")
