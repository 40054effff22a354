"""A few inputs of every kind are read as they should be, and the fuzzer finds what is planted."""

import itertools
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from suite.core.errors import InvalidInput
from tests.fuzz import runner
from tests.fuzz.kinds import KINDS, Kind, clear, make

SEED = 1
EACH = 12


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_inputs_of_each_kind_raise_nothing_but_refusals(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "cache"))
    (folder := tmp_path / "input").mkdir()
    found = []
    for number in range(EACH):
        clear(folder)
        make(kind, number, SEED, folder)
        what, detail = runner.try_input(kind, folder)
        if what == "finding":
            found.append((number, detail))
    assert found == []


def _read_planted(folder: Path) -> bool:
    number = int((folder / "number").read_text()) % 6
    match number:
        case 0:
            raise InvalidInput("no")
        case 1:
            raise KeyError("planted")
        case 2:
            return bool(b"x" * 60_000_000)
        case 3:
            Path(os.environ["RESONANCE_TEST_MARKER"]).touch()
            time.sleep(10_000)
        case 4:
            os._exit(7)
    return True


def test_a_traceback_a_hang_too_much_memory_and_a_crash_are_found(monkeypatch, tmp_path):
    """Time passes only while the one that hangs is all that is left, however slow the others are.

    One worker is given the even numbers, the other one the odd ones.
    """
    marker, clock, saved = tmp_path / "marker", itertools.count(), []

    def monotonic() -> float:
        numbers = {number for _, number, _ in saved}
        passes = marker.exists() and 4 in numbers and 3 not in numbers
        return next(clock) if passes else 0.0

    monkeypatch.setenv("RESONANCE_TEST_MARKER", str(marker))
    fake = SimpleNamespace(monotonic=monotonic, process_time=time.process_time)
    monkeypatch.setattr(runner, "time", fake)

    def write_number(kind: str, number: int, seed: int, folder: Path) -> None:
        (folder / "number").write_text(str(number))

    monkeypatch.setattr(runner, "make", write_number)
    monkeypatch.setitem(KINDS, "planted", Kind(lambda random, folder: None, _read_planted))
    monkeypatch.setattr(runner, "STUCK_SECONDS", 3.0)
    monkeypatch.setattr(runner, "MAX_BYTES", 30 * 10**6)
    tallies = runner.run(["planted"], 0, 2, 6, None, lambda *finding: saved.append(finding))
    tally = tallies["planted"]
    assert (tally.attempts, tally.accepted, tally.refused) == (6, 1, 1)
    assert sorted(saved) == sorted(("planted", *finding) for finding in tally.findings)
    whats = dict(tally.findings)
    assert whats[1].startswith("KeyError: 'planted' (test_fuzz.py")
    for number, words in ((2, "it took 60 MB"), (3, "had not ended after"), (4, "exit code 7")):
        assert words in whats[number]
    assert "(input 1)" in "\n".join(runner.summary(tallies))
