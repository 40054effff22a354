"""The page of a trial: made from its curves, self-contained, safe, and drawn by a real browser."""

import html
import json
import shutil

import polars as pl
import pytest

from leaderboard.pages.inspection import find_trial, inspect
from leaderboard.pages.trial_page import ShownTrial, trial_page
from suite.core.errors import InvalidInput
from suite.results.counts import Counts
from suite.results.store import Store
from suite.results.training_flops import parts_of
from suite.training.trial import run_trial
from tests.leaderboard.browsing import saved
from tests.leaderboard.pdfs import assert_pdf
from tests.support.helpers import trial
from tests.support.sample_records import done, make_trial


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    for method in ("resonance", "rigl"):
        outcome = run_trial(trial(method))
        store.write(outcome.trial.key, outcome.files())
    return store


def key(store: Store, method: str) -> str:
    return next(r.key for r in store.records() if r.trial["method"] == method)


NAMES = {"learning", "density", "sparsity", "threshold", "churn", "frequency", "age", "spectra"} | {
    "own_reliability"
}


def test_a_resonance_trial_shows_everything_a_user_asks_of_it(store, tmp_path):
    written = inspect(store, key(store, "resonance"), tmp_path)
    assert {path.stem for path in written.pictures} == NAMES
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in written.pictures)
    assert {path.stem for path in written.pdfs} == NAMES
    for path in written.pdfs:
        assert_pdf(path.read_bytes())
        assert path.stat().st_size > 3000


def test_a_reading_without_a_spectrum_shows_everything_else(tmp_path):
    options = {"reading": "rate", "update_every": 10, "bits": 1, "average": 0.5}
    outcome = run_trial(trial("resonance", hyperparameters=options))
    own = Store(tmp_path / "store")
    own.write(outcome.trial.key, outcome.files())
    written = inspect(own, outcome.trial.key, tmp_path / "page")
    assert {path.stem for path in written.pictures} == NAMES - {"spectra"}


def test_other_methods_show_what_they_have(store, tmp_path):
    written = inspect(store, key(store, "rigl"), tmp_path)
    names = {path.stem for path in written.pictures}
    assert names == {"learning", "density", "churn"}


def test_a_key_may_be_shortened_and_an_unknown_one_is_refused(store):
    whole = key(store, "rigl")
    assert find_trial(store, whole[:8]).key == whole
    for name in ("zzz", ""):
        with pytest.raises(InvalidInput, match="no trial"):
            find_trial(store, name)


def test_curves_that_cannot_be_read_are_named_once(store, tmp_path):
    own = Store(shutil.copytree(store.root, tmp_path / "own"))
    curves = own.folder(key(own, "rigl")) / "curves.parquet"
    curves.unlink()
    curves.mkdir()
    with pytest.raises(InvalidInput) as refused:
        inspect(own, key(own, "rigl"), tmp_path / "page")
    assert str(refused.value).count("cannot be read") == 1
    assert str(curves) in str(refused.value)


def test_hostile_texts_stay_texts(store):
    record = find_trial(store, key(store, "rigl"))
    record.notes.append("<script>alert(1)</script>")
    record.environment["gpu"] = '"><img src=x onerror=alert(2)>'
    record.configuration["recipe"] = ["</td><script>alert(3)</script>"]
    curves = json.dumps([{"series": "</script><script>alert(4)</script>"}])
    page = trial_page(ShownTrial(record), curves)
    assert "<script>alert" not in page
    assert '"><img src=x' not in page
    assert "&lt;script&gt;alert(1)" in page


def test_what_was_charged_stands_beside_what_it_took(store):
    (record,) = (r for r in store.records() if r.trial["method"] == "rigl")
    rate = record.flops["training"] / record.timing["seconds"] / 1e9
    text = trial_page(ShownTrial(record), "{}")
    assert f"{record.flops['training']:.3g}" in text
    assert f"{rate:.3g} GFLOP/s masked" in text
    assert f"{record.timing['seconds']:,.1f} s" in text


def test_training_is_shown_in_its_parts_where_the_record_has_them(store):
    record = find_trial(store, key(store, "resonance"))
    parts = parts_of(record.flops)
    assert parts.method > 0
    assert html.escape(parts.words) in trial_page(ShownTrial(record), "{}")
    del record.flops["method"]  # as in older records
    assert "training, in parts" not in trial_page(ShownTrial(record), "{}")


@pytest.mark.browser
def test_every_chart_is_drawn_without_a_network_and_is_what_the_curves_say(
    store, tmp_path, chromium
):
    whole = key(store, "resonance")
    curves = pl.read_parquet(store.folder(whole) / "curves.parquet")
    # What is not to be seen is not drawn: hence the height.
    context = chromium.new_context(offline=True, viewport={"width": 1200, "height": 12000})
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    uri = inspect(store, whole, tmp_path / "page").page.as_uri()
    page.goto(uri)
    for name in NAMES:
        page.wait_for_selector(f"#chart-{name} svg")
    page.wait_for_function(f"document.querySelectorAll('[data-drawn]').length === {len(NAMES)}")
    assert [url for url in asked if not url.startswith(("blob:", "data:"))] == [uri]
    page.evaluate("""() => {
      window.seen = {};
      const draw = window.resonanceDraw;
      window.resonanceDraw = (one, specification, themes) => {
        window.seen[one.chart.name] = specification.datasets.curves;
        return draw(one, specification, themes);
      };
    }""")
    page.dispatch_event("#layers", "change")
    page.wait_for_function(f"Object.keys(window.seen).length === {len(NAMES)}")
    names = ["round", "series", "layer", "step", "index", "value"]
    for name, rows in page.evaluate("window.seen").items():
        drawn = pl.DataFrame(rows, schema=curves.select(names).schema).sort(names[:-1])
        said = curves.join(drawn.select("round", "series", "layer").unique(), names[:3], "semi")
        said = said.select(names).sort(names[:-1])
        assert drawn.drop("value").equals(said.drop("value")), name
        assert drawn["value"].to_numpy() == pytest.approx(said["value"].to_numpy(), rel=1e-6), name
    context.close()


@pytest.mark.browser
def test_every_chart_can_be_saved_and_is_drawn_for_paper(store, tmp_path, chromium):
    page = chromium.new_page(color_scheme="dark", viewport={"width": 800, "height": 12000})
    page.goto(inspect(store, key(store, "resonance"), tmp_path / "page").page.as_uri())
    page.wait_for_function(f"document.querySelectorAll('[data-drawn]').length === {len(NAMES)}")
    for name in NAMES:
        figure = page.locator(f"figure:has(#chart-{name})")
        file, picture = saved(page, figure, "svg")
        shown = figure.locator("svg.marks text").all_text_contents()
        assert file == f"{name}.svg"
        assert all(text in picture.decode() for text in shown if text.isalnum())
        assert b"#e8e8e8" not in picture
        assert figure.locator("[data-save=pdf]").get_attribute("href") == f"{name}.pdf"
    page.emulate_media(media="print")
    page.wait_for_function(
        "[...document.querySelectorAll('svg.marks text')]"
        ".every((one) => one.getAttribute('fill') !== '#e8e8e8')"
    )
    page.close()


def test_a_page_counts_predictions_and_shows_the_matrix_of_a_few_classes():
    def page(counts: Counts) -> str:
        record = done(make_trial()).model_copy(update={"counts": {"test": counts}})
        return trial_page(ShownTrial(record), "")

    few = page(Counts(correct=9, total=10, confusion=("0:4 1:1", "1:5")))
    assert "9 of 10" in few
    assert '<tr><th scope="row">0</th><td>4</td><td>1</td></tr>' in few
    assert '<tr><th scope="row">1</th><td>0</td><td>5</td></tr>' in few
    many = Counts.of_cells([(n, n, 1) for n in range(21)], 21)
    impossible = Counts(correct=9, total=10, confusion=("<b>", "1:5"))
    for counts in (many, impossible, Counts(correct=9, total=10)):
        assert "Confusion matrix" not in page(counts)
