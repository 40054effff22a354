import pytest

from suite.core.errors import TrialFailed
from suite.results.record import failed
from suite.results.store import Store
from tests.results.damage import FIRST, SECOND, THIRD, put


@pytest.fixture
def full(store) -> Store:
    """Return a store of three trials, one of which failed."""
    for trial in (FIRST, SECOND):
        put(store, trial)
    put(store, THIRD, failed(THIRD, TrialFailed("loss is nan")))
    return store


@pytest.fixture
def other(tmp_path) -> Store:
    """Return a second, empty store."""
    store = Store(tmp_path / "other")
    store.prepare()
    return store
