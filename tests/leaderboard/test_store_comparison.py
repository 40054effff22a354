"""What of a store is read to compare two of its methods."""

import pytest

from leaderboard.store_comparison import compare_in_store
from suite.core.errors import InvalidInput
from suite.results.store import Store
from tests.support.sample_records import done, make_trial


def filled(store: Store) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for method, accuracy in (("rigl", 0.9), ("static", 0.8), ("set", 0.85)):
        for seed in range(3):
            record = done(make_trial(method, seed=seed), accuracy + seed / 100)
            store.write(record.key, {"record.json": record.to_json()})
            keys.setdefault(method, []).append(record.key)
    return keys


@pytest.mark.parametrize("first", ["rigl", "rigl:", "rigl:default"])
def test_records_of_other_methods_are_not_read(store, monkeypatch, first):
    keys = filled(store)
    asked = []
    read = Store.read_each

    def noted(self, chosen):
        asked.extend(chosen)
        return read(self, chosen)

    monkeypatch.setattr(Store, "read_each", noted)
    monkeypatch.setattr(Store, "read_all", None)
    try:
        found = compare_in_store(store, first, "static")
    except InvalidInput:  # no entry is called so, which is said after reading
        assert first != "rigl"
    else:
        assert found.report.lines[0].comparison.difference.mean == pytest.approx(0.1)
    assert sorted(asked) == sorted(keys["rigl"] + keys["static"])


def test_a_method_that_the_store_lacks_is_refused_with_those_that_it_has(store):
    filled(store)
    with pytest.raises(InvalidInput, match=r"unknown.*'rigg'.*rigl") as refused:
        compare_in_store(store, "rigg", "static")
    assert "\n" not in str(refused.value)


def test_a_damaged_record_is_named_whoever_wrote_it(store):
    keys = filled(store)
    (store.folder(keys["set"][0]) / "record.json").write_text("{")
    found = compare_in_store(store, "rigl", "static")
    assert [one.key for one in found.damaged] == [keys["set"][0]]
