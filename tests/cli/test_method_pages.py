"""The pages of methods: what is declared, and the rows of boards that are the method's."""

import pytest

from leaderboard.board_groups import board_groups
from leaderboard.boards import build_boards
from leaderboard.page_data import page_name
from suite.cli.method_pages import method_page, write_method_pages
from suite.experiments import registry
from tests.support.sample_records import done, make_trial


@pytest.fixture(scope="module")
def groups():
    records = [
        done(make_trial(name, sparsity=sparsity, seed=seed), accuracy=0.5 + 0.1 * at + seed / 1000)
        for at, name in enumerate(["set", "rigl"])
        for sparsity in (0.8, 0.9)
        for seed in range(5)
    ]
    boards, excluded = build_boards(records)
    assert excluded == []
    return board_groups(boards)


def page(name, groups=()):
    return method_page(registry.methods()[name], groups)


def test_a_page_has_the_declaration_with_its_source_as_a_link():
    text = page("rigl")
    assert text.startswith("# RigL\n\n`rigl`: drops the smallest weights")
    assert "[arXiv:1911.11134](https://arxiv.org/abs/1911.11134)" in text
    assert registry.methods()["rigl"].equation in text
    assert "| `drop_fraction` | `0.3` | a number from 0 to 1 |" in text
    assert "| `replace_step` | false | true |" in text
    assert "[baselines/rigl.py](../../baselines/rigl.py)" in text


def test_a_preset_has_the_equation_of_its_base_unless_it_has_its_own():
    assert registry.methods()["rigl"].equation in page("rigl_itop")
    assert "- **Preset of:** [RigL](rigl.md)" in page("rigl_itop")
    assert "of candidates" in page("gse")
    assert "$$" not in page("dense")
    assert "[](../method.md)" in page("resonance")


def test_a_control_names_what_it_is_the_control_of():
    assert "- **Control of:** [Sampled](resonance_sampled.md)" in page("resonance_sampled_shuffled")
    assert "- **Control:** belongs in every study" in page("static")


def test_results_are_the_rows_of_the_method_with_signs_against_rigl(groups):
    text = page("set", groups)
    (row,) = [line for line in text.splitlines() if line.startswith("| digits/mlp")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["digits/mlp", "default"]
    assert len(cells) == 4
    assert all(
        cell.replace("\xa0", " ").startswith("50.20 ± ") and cell.endswith("▼")
        for cell in cells[2:]
    )
    assert f"<{page_name('methods', 'set')}>" in text
    assert "No records of it are shipped." in page("snip", groups)


def test_pages_that_are_the_same_are_left_and_those_of_no_method_removed(tmp_path, monkeypatch):
    texts = {"index.md": "one", "rigl.md": "two"}
    monkeypatch.setattr("suite.cli.method_pages.method_pages", lambda: texts)
    folder = tmp_path / "methods"
    write_method_pages(folder)
    (folder / "gone.md").write_text("of a method that was renamed")
    before = (folder / "index.md").stat().st_mtime_ns
    texts["rigl.md"] = "three"
    write_method_pages(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == texts
    assert (folder / "index.md").stat().st_mtime_ns == before
