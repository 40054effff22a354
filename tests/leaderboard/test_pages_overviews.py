"""Lists, studies, reproductions, recipes and evidence as pages of a site."""

import re
from pathlib import Path

import pytest

from leaderboard import claims
from leaderboard.boards import build_boards
from leaderboard.bundles.bundle_file import SHIPPED, Header, read_bundle, write_bundle
from leaderboard.output_folder import MANIFEST
from leaderboard.pages import evidence_page
from leaderboard.pages.navigation import PLAIN
from leaderboard.pages.recipe_texts import differing_recipe, recipe_rows
from leaderboard.pages.reproduction_page import SiteTrials, reproduction, reproduction_page
from leaderboard.pages.reproduction_tables import cells
from leaderboard.reproduction.published_results import table, tables
from leaderboard.reproduction.published_vs_reproduced import ShippedTrials, table_lines
from leaderboard.site.build import build
from suite.core.errors import InvalidInput
from suite.experiments.study import load_study
from suite.results.store import Store
from tests.leaderboard.whole_site import ABLATION, STUDY, build_whole, write_store
from tests.support.sample_records import done, make_trial, with_counts


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return build_whole(tmp_path_factory.mktemp("whole"))


def words(page: str) -> str:
    """Return what a page says, without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


# ------------------------------------------------------------------ lists


def test_a_list_has_a_row_for_each_page_of_its_folder(site):
    for kind in ("tasks", "methods", "studies", "ablations", "tunings", "reproductions"):
        listed = set(re.findall(rf'href="({kind}/[^"]+)"', (site / f"{kind}.html").read_text()))
        assert listed == {f"{kind}/{path.name}" for path in (site / kind).iterdir()}, kind


def test_a_section_without_a_page_has_no_list_and_is_not_in_the_bar(tmp_path):
    build([done(make_trial("rigl"))], tmp_path / "out")
    index = (tmp_path / "out/index.html").read_text()
    for name in ("studies", "ablations", "tunings", "evidence"):
        assert not (tmp_path / f"out/{name}.html").exists()
        assert f'href="{name}.html"' not in index
    assert 'href="reproductions.html"' in index


def test_a_list_says_how_much_of_a_study_has_run(site):
    (row,) = re.findall(rf'<tr><th scope="row"><a class="name" href="studies/{STUDY}.*?</tr>',
                        (site / "studies.html").read_text())  # fmt: skip
    assert re.findall(r"<td>([\d,]+)</td>", row) == ["25", "23", "1", "1"]
    assert "Is &lt;b&gt;RigL&lt;/b&gt; better than SET?" in row


def test_an_unchanged_site_is_not_written_again(tmp_path):
    store = write_store(tmp_path / "store")
    out = tmp_path / "site"
    build(store, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != MANIFEST}
    build(store, out)
    after = {path: path.stat().st_mtime_ns for path in before}
    kept_by_itself = {path for path in after if path.name.startswith(".")}
    assert [str(path) for path in after if after[path] != before[path]
            and path not in kept_by_itself] == []  # fmt: skip


# ------------------------------------------------------------------ studies


def test_the_page_of_a_study_has_its_results_its_definition_and_its_trials(site):
    page = (site / f"studies/{STUDY}.html").read_text()
    assert f"resonance study {STUDY}.yaml" in page
    assert "25 trials of 1 task, 3 methods, 5 seeds: 23 done, 1 failed, 1 not run." in words(page)
    assert "epochs: 7" in page
    links = set(re.findall(r'href="\.\./trials/([0-9a-f]{16})\.html"', page))
    assert len(links) == 24
    assert "digits/mlp (epochs=7)" in page


def test_a_shipped_study_is_shown_where_a_bundle_has_trials_of_it(tmp_path):
    trial = next(one for one in load_study("official_small").trials() if one.method == "rigl")
    write_bundle([with_counts(done(trial))], Header.make(name="A"), tmp_path / "a.jsonl.gz")
    build((), tmp_path / "out", bundles=[tmp_path / "a.jsonl.gz"])
    page = (tmp_path / "out/studies/official_small.html").read_text()
    assert '<code id="command">resonance study official_small</code>' in page
    assert f"../trials/{trial.key}.html" in page


def test_an_ablation_is_no_study_as_well(site):
    assert not (site / f"studies/{ABLATION}.html").exists()


def test_pages_of_tasks_and_methods_link_to_their_studies_and_the_like(site):
    (method,) = (site / "methods").glob("rigl-*.html")
    (task,) = (site / "tasks").glob("digits-mlp-epochs-7-*.html")
    assert f"../studies/{STUDY}.html" in method.read_text()
    assert "../reproductions/rigl-mnist.html" in method.read_text()
    assert f"../studies/{STUDY}.html" in task.read_text()
    assert f"../ablations/{ABLATION}.html" in task.read_text()


# ------------------------------------------------------------------ recipes


def board(**recipe):
    (found,), _ = build_boards([done(make_trial("rigl", recipe=recipe))])
    return found


def test_a_recipe_is_the_one_that_was_run_with_what_differs_first():
    rows = recipe_rows(board(epochs=7))
    assert (rows[0].name, rows[0].run, rows[0].declared) == ("epochs", "7", "20")
    assert [row.name for row in rows if row.declared] == ["epochs"]
    assert differing_recipe(board(epochs=7)) == "epochs 7 (declared: 20)"
    assert differing_recipe(board()) == ""


def test_the_page_of_a_task_says_the_recipe_that_was_run(site):
    (task,) = (site / "tasks").glob("digits-mlp-epochs-7-*.html")
    (method,) = (site / "methods").glob("rigl-*.html")
    said = "Run with epochs 7 (declared: 20)."
    assert said in words(task.read_text())
    assert said in words(method.read_text())
    assert "epochs 7 declared: 20" in words(task.read_text())


# ------------------------------------------------------------------ reproductions


@pytest.mark.parametrize("name", tables())
def test_a_reproduction_says_what_the_command_says(name):
    shown = reproduction(table(name), ShippedTrials(), ShippedTrials().tasks)
    page = reproduction_page(shown, {}, [])
    for line in table_lines(table(name), ShippedTrials()):
        assert [text for text in cells(table(name), line) if text not in words_of(page)] == []


def words_of(page: str) -> str:
    import html

    return html.unescape(re.sub(r"<[^>]+>", "\n", page))


def test_trials_of_a_site_reproduce_a_table(tmp_path):
    shown = table("rigl-mnist")
    study = shown.load_study()
    chosen = [one for rows, _ in shown.lines() if rows.trials
              for one in rows.trials.among(study, rows.trials.sparsity)]  # fmt: skip
    records = {trial.key: done(trial, 0.987) for trial in chosen}
    found = reproduction(shown, SiteTrials(records, None), set(study.task_names))
    assert found.reproduced > 0
    assert "98.70" in reproduction_page(found, {}, [])
    assert reproduction(shown, SiteTrials({}, None), set()).state == "not run"


# ------------------------------------------------------------------ evidence


def test_the_evidence_is_on_the_site_of_the_shipped_records_only(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(evidence_page, "evidence_page", lambda *_: made.append(1) or "<html>")
    small = tmp_path / "results"
    small.mkdir()
    record = read_bundle(SHIPPED[0] / "official_conv.jsonl.gz").records[0]
    write_bundle([record], Header.make(name="A"), small / "a.jsonl.gz")
    monkeypatch.setattr("leaderboard.site.sources.SHIPPED", (small,))
    for _ in range(2):
        build((), tmp_path / "out", bundles=[small])
    assert made == [1]  # the second time it is current
    assert 'href="evidence.html"' in (tmp_path / "out/index.html").read_text()
    build((), tmp_path / "other", bundles=[small / "a.jsonl.gz"])
    assert not (tmp_path / "other/evidence.html").exists()


def test_the_evidence_is_that_of_the_claims():
    page = words(evidence_page.evidence_page("", "", PLAIN))
    for claim in claims.load_claims():
        assert claim.question in page
    assert page.count("holds") >= sum(len(claim.numbers) for claim in claims.load_claims())


# ------------------------------------------------------------------ a store that is not there


def test_a_store_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(
        InvalidInput, match=r"store .*nowhere holds no trials: there is no such folder"
    ):
        build(Store(tmp_path / "nowhere"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
