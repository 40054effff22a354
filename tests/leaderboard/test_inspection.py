"""The page of a trial: made from its curves, self-contained, safe, and drawn by a real browser."""

import json
import re
import shutil
import subprocess

import pytest

from leaderboard.inspection import find_trial, inspect, render
from suite.errors import InvalidInput
from suite.results.store import Store
from suite.training.trial import run_trial
from tests.conftest import require
from tests.helpers import trial


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    for method in ("resonance", "rigl"):
        outcome = run_trial(trial(method))
        store.write(outcome.trial.key, outcome.files())
    return store


def key(store: Store, method: str) -> str:
    return next(r.key for r in store.records() if r.trial["method"] == method)


def specifications(page: str) -> dict:
    found = re.search(r'id="specifications">(.*?)</script>', page, flags=re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_a_resonance_trial_shows_everything_a_user_asks_of_it(store, tmp_path):
    written = inspect(store, key(store, "resonance"), tmp_path)
    names = {"learning", "sparsity", "threshold", "churn", "frequency", "age", "spectra"}
    assert set(specifications(written.page.read_text())) == names
    assert {path.stem for path in written.pictures} == names
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in written.pictures)


def test_other_methods_show_what_they_have(store, tmp_path):
    page = inspect(store, key(store, "rigl"), tmp_path).page.read_text()
    assert set(specifications(page)) == {"learning", "sparsity", "churn"}


def test_a_key_may_be_shortened_and_an_unknown_one_is_refused(store):
    whole = key(store, "rigl")
    assert find_trial(store, whole[:8]).key == whole
    for name in ("zzz", ""):
        with pytest.raises(InvalidInput, match="no trial"):
            find_trial(store, name)


def test_hostile_texts_stay_texts(store):
    record = find_trial(store, key(store, "rigl"))
    record.notes.append("<script>alert(1)</script>")
    page = render(record, {"churn": {"title": "</script><script>alert(2)</script>"}})
    assert "<script>alert" not in page
    assert specifications(page)["churn"]["title"] == "</script><script>alert(2)</script>"


def test_a_browser_draws_every_chart_without_a_network(store, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    require("chromium", browser is not None, "install Debian's package chromium")
    page = inspect(store, key(store, "resonance"), tmp_path / "page").page
    command = [
        str(browser), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=20000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    for name in specifications(page.read_text()):
        after = drawn.split(f'id="chart-{name}"', 1)[1][:2000]
        assert "<canvas" in after or "<svg" in after, name
