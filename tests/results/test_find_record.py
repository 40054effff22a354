import pytest

from suite.core.errors import InvalidInput
from suite.results.find_record import find_record
from suite.results.store import Store
from tests.support.sample_records import done, make_trial


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    store.prepare()
    for seed in range(20):
        record = done(make_trial(seed=seed))
        store.write(record.key, {"record.json": record.to_json()})
    return store


def test_a_trial_is_found_by_its_key_or_what_it_alone_begins_with(store):
    for key in store.keys():  # noqa: SIM118 - a store is not a dict
        assert find_record(store, key).key == key
        assert find_record(store, key[:12].upper()).key == key


@pytest.mark.parametrize("name", ["", "xyz", "../x", "0" * 17, "*"])
def test_no_such_trial_leads_to_the_list(store, name):
    with pytest.raises(InvalidInput, match="`resonance list trials`"):
        find_record(store, name)


def test_several_are_named(store):
    keys = store.keys()
    first = next(k[0] for k in keys if sum(other[0] == k[0] for other in keys) > 1)
    with pytest.raises(InvalidInput, match=f"keys in store .* begin so \\({first}"):
        find_record(store, first)


def test_a_folder_without_a_record_is_no_trial_yet(store):
    store.folder("ab" * 8).mkdir()
    with pytest.raises(InvalidInput, match="has no record"):
        find_record(store, "ab" * 8)
