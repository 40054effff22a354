"""The benchmark of the site builds what it says, and yields a figure for each bar."""

from suite.bench import site as bench
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


def test_small_stores_are_measured_by_their_bars():
    found = list(bench.site(trials=3, rounds=1))
    assert [one.what for one in found] == [
        "site, first build", "site, one record replaced", "site, one record removed"
    ]  # fmt: skip
    assert [one.bar for one in found] == [bench.COLD, bench.CHANGED, bench.CHANGED]
