"""The benchmark of the site builds what it says, and yields a figure for each bar."""

from suite.bench import site as bench
from suite.bench.commands import Ran
from suite.bench.synthetic_store import fill
from suite.results.store import Store
from tests.support import forked


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
    """Each build is in a process that is forked from one that has imported torch: that takes no
    seconds before the clock starts. One process builds: how several do is not measured here."""

    def run_process(words, **given):
        ended = forked.python(list(words[1:]))
        assert ended.returncode == 0, ended.stderr
        return Ran(0.0, 0.0, ended.stdout)

    monkeypatch.setattr(bench, "run_process", run_process)
    monkeypatch.setattr(bench, "BUILD", bench.BUILD.replace("workers=2", "workers=1"))
    found = list(bench.site(trials=3, rounds=1))
    assert [one.what for one in found] == [
        "site, first build", "site, one record replaced", "site, one record removed"
    ]  # fmt: skip
    assert [one.bar for one in found] == [bench.COLD, bench.CHANGED, bench.CHANGED]
