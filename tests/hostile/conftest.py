"""A command run in a place of its own, and its store."""

import pytest

from suite import registry
from suite.results.store import Store
from tests.cli_runner import Command


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def resonance(place, monkeypatch, capsys):
    monkeypatch.setattr(registry, "_plugins", [])
    yield Command(monkeypatch, capsys)
    monkeypatch.undo()
    registry.use_plugins([])


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results")
    store.prepare()
    return store
