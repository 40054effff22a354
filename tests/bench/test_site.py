"""The benchmark of the site builds what it says, and yields a figure for each bar."""

import io
import runpy
import sys
from contextlib import redirect_stdout

import pytest

from suite.bench import site as bench
from suite.bench.commands import Ran
from suite.bench.synthetic_store import fill
from suite.results.store import Store


def test_a_replaced_record_is_another_of_the_same_trial(tmp_path):
    store = Store(tmp_path / "store")
    (key, *_) = fill(store, 2)
    before, version = store.read(key), store.backend.versions()[key]
    bench.replace_record(store, key)
    after = store.read(key)
    assert before is not None
    assert after is not None
    assert after.fingerprint != before.fingerprint
    assert after.metrics == before.metrics
    assert store.backend.versions()[key] != version


def test_small_stores_are_measured_by_their_bars(monkeypatch):
    """Builds are in this process here: new ones import for seconds before the clock starts."""

    def run_process(words, **given):
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(io.StringIO()) as printed:
            patched.setattr(sys, "argv", words[1:])
            runpy.run_path(words[1], run_name="__main__")
        return Ran(0.0, 0.0, printed.getvalue())

    monkeypatch.setattr(bench, "run_process", run_process)
    monkeypatch.setattr(bench, "BUILD", bench.BUILD.replace("workers=2", "workers=1"))
    found = list(bench.site(trials=3, rounds=1))
    assert [one.what for one in found] == [
        "site, first build", "site, one record replaced", "site, one record removed"
    ]  # fmt: skip
    assert [one.bar for one in found] == [bench.COLD, bench.CHANGED, bench.CHANGED]
