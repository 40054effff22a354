"""What the pages suppose to be there: finished trials, data of one's own, their own blocks."""

import shutil
import subprocess

import pytest
import yaml

from leaderboard import claims, shipped_boards
from leaderboard.bundles import bundle_file
from leaderboard.pages import evidence, evidence_page
from leaderboard.site import sources
from suite.execution.runner import Inline, run
from suite.experiments.study import Study
from suite.results.store import Store
from tests.conftest import require
from tests.docs import rules
from tests.docs.collector import ROOT, collect
from tests.tasks.samples import own_data


@pytest.fixture(scope="session")
def supposed(tmp_path_factory):
    """Make a folder with all of it, once."""
    folder = tmp_path_factory.mktemp("supposed")
    own_data(folder)
    for piece in collect():
        name = rules.file_of(piece.text) if piece.kind in ("python", "yaml") else None
        if name is not None:
            (folder / name).write_text(piece.text)
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "my-study.yaml").write_text(rules.STUDY)
    require("ssh-keygen", shutil.which("ssh-keygen") is not None, "install openssh-client")
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "id_ed25519"]
    subprocess.run(words, check=True)
    store = Store(folder / "results")
    store.prepare()
    trials = Study.make(**yaml.safe_load(rules.STUDY)).trials()
    ended = run(trials, store, Inline(store, "off"), lambda trial, record: None)
    assert not ended.failed
    (folder / rules.BUNDLE).parent.mkdir(parents=True)
    header = bundle_file.Header.make(name="A group")
    bundle_file.write_bundle(store.records(), header, folder / rules.BUNDLE)
    return folder


ABOUT_THE_WHOLE = (claims, shipped_boards, evidence, evidence_page)
"""Modules that state figures of all shipped records."""


@pytest.fixture
def place(place, supposed, few_shipped, monkeypatch):
    """Put what the pages suppose into the empty folder that a test starts in.

    Every module that holds the shipped files by name is imported above: one that a test imported
    first would keep the few for all tests that follow in its process.
    """
    shutil.copytree(supposed, place, dirs_exist_ok=True)
    assert all(module.SHIPPED == bundle_file.SHIPPED for module in ABOUT_THE_WHOLE)
    for module in (bundle_file, sources):
        monkeypatch.setattr(module, "SHIPPED", (few_shipped,))
    return place


@pytest.fixture(scope="session")
def few_shipped(tmp_path_factory):
    """Write a part of the project's own results to a file of their form."""
    path = tmp_path_factory.mktemp("shipped") / "few.jsonl.gz"
    records, _ = bundle_file.read_all(bundle_file.SHIPPED)
    few = [record for record in records if record.trial["method"] in rules.SHIPPED]
    bundle_file.write_bundle(few, bundle_file.Header.make(name="this project"), path)
    return path


@pytest.fixture
def key(supposed) -> str:
    """Return the key of a finished trial."""
    records = Store(supposed / "results").records()
    return next(record.key for record in records if record.trial["method"] == "rigl")
