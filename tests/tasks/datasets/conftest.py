"""A folder for the files of datasets."""

import pytest


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Look for data, and keep what is fetched, in an empty folder."""
    monkeypatch.setenv("RESONANCE_DATA", str(tmp_path))
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path
