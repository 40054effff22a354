"""`resonance store`: what it prints for people and for programs, and what it cannot write."""

import errno
import json
import os
from pathlib import Path

import pytest

from suite.core import files
from suite.results.local_store import LocalStore
from tests.support.sample_records import done, make_trial


@pytest.fixture
def filled(store):
    for seed in range(2):
        record = done(make_trial(seed=seed))
        store.write(record.key, {"record.json": record.to_json()})
    return store


def refuse(*arguments: object, **options: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_what_compact_did_is_told_as_json(resonance, filled):
    told = json.loads(resonance("store compact --json").out)
    assert told == {
        "store": "results", "records": 2, "sealed": [], "refused": [], "removed": 0
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["compact", "migrate"])
def test_a_store_that_can_only_be_read_is_one_line(resonance, filled, monkeypatch, verb):
    monkeypatch.setattr(Path, "open", refuse)  # root may write where others may not
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(files.os, "fsync", refuse)
    complaint = resonance(f"store {verb}").complaint
    assert "store results cannot be written (Permission denied)" in complaint


def test_merging_into_a_store_that_can_only_be_read_is_one_line(resonance, filled, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert "store other cannot be written" in resonance("store merge results other").complaint


@pytest.mark.parametrize("verb", ["compact", "migrate", "verify"])
def test_a_store_that_cannot_be_read_is_one_line(resonance, filled, monkeypatch, verb):
    monkeypatch.setattr("suite.results.local_store.os.scandir", refuse)
    complaint = resonance(f"store {verb}").complaint
    assert "store results cannot be read (Permission denied): check your permissions" in complaint


def test_a_protocol_that_only_reads_is_one_line(resonance, filled, tmp_path, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    def unsupported(*arguments: object, **options: object) -> None:
        raise NotImplementedError

    assert isinstance(filled.backend, LocalStore)
    monkeypatch.setattr("suite.results.remote_store.ATOMIC_PROTOCOLS", {"archive"})
    monkeypatch.setattr(LocalFileSystem, "pipe_file", unsupported)
    import fsspec

    class Archive(LocalFileSystem):
        protocol = "archive"

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(str(path).removeprefix("archive://"))

    fsspec.register_implementation("archive", Archive, clobber=True)
    complaint = resonance(f"store compact --store archive://{filled.root.resolve()}").complaint
    assert "can only be read: its protocol does not write" in complaint
