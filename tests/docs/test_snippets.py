"""Every block of code of the documentation runs as it stands."""

import contextlib
import io
import json
import math
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from leaderboard.claims import load_claims
from leaderboard.reproduction import published_results
from suite.core.discovery import read_declarations
from suite.experiments import registry
from suite.experiments.study import load_study
from tests.docs import rules
from tests.docs.collector import ROOT, Piece, collect, pieces

BLOCKS = [
    piece
    for piece in collect()
    if piece.kind not in ("command", "span") and piece.page != rules.IN_SECTIONS
]


def place_of(piece: Piece) -> str:
    return piece.place


@pytest.mark.parametrize("piece", BLOCKS, ids=place_of)
def test_a_block_of_code_works(piece, place, resonance, monkeypatch):
    rule_of(piece)(piece, place, resonance, monkeypatch)


def rule_of(piece: Piece) -> Callable[..., None]:
    """Return what runs a block; where nothing does, fail and say where it stands."""
    for kind, begins, rule in RULES:
        if kind == piece.kind and re.search(begins, piece.text, re.MULTILINE):
            return rule
    pytest.fail(f"{piece.place}: no rule for this block of {piece.kind or 'code'}")


# ---------------------------------------------------------------- Python


def script(piece: Piece, *_) -> None:
    """Run a block by itself; it ends without an error."""
    printed = io.StringIO()
    # Worker processes would import torch again; the notebook of the Python API is run with them.
    text = piece.text.replace("workers=2", 'engine="inline"')
    with contextlib.redirect_stdout(printed):
        exec(compile(text, piece.place, "exec"), {"__name__": "__main__"})
    expected = next((text for used, text in SCRIPT_PRINTS.items() if used in piece.text), None)
    assert expected is not None, f"{piece.place}: no rule says what this prints"
    assert re.match(expected, printed.getvalue()), piece.place


SCRIPT_PRINTS = {
    "sparsify(": r"0\.900 of the weights are zero, accuracy (0\.9|1\.0)",
    "write_bundle(": r"",
    "run_study(": r"test accuracy 0\.\d+, key [0-9a-f]{16}\n9 finished, 0 failed\n"
    r"(?s:.*)rigl(?s:.*)digits/mlp.* 0\.9 ",
}
"""What a block prints, by what it uses."""


def method(piece: Piece, place: Path, resonance, _) -> None:
    """Train with a method of the page, as a plug-in."""
    name = rules.file_of(piece.text)
    ran = resonance(f"--plugin {name} run digits/mlp {Path(name).stem} --recipe epochs=2 --json")
    assert ran.code == 0, f"{piece.place}: {ran.err}"
    layers = json.loads(ran.out)["layers"]
    size = sum(math.prod(layer["shape"]) for layer in layers)
    assert sum(layer["zeros"] for layer in layers) / size == pytest.approx(0.9, abs=0.001)


def python_task(piece: Piece, place: Path, resonance, _) -> None:
    """Train on a task of the page."""
    run_task(piece, rules.file_of(piece.text), resonance)


def model(piece: Piece, *_) -> None:
    """See that a task file of the page uses the model: it is run there."""
    used = f"model: {rules.file_of(piece.text)}:"
    assert any(used in block.text for block in BLOCKS if block.page == piece.page), piece.place


def trainer(piece: Piece, place: Path, *_) -> None:
    """Read a declaration; it is that of the trainer it names, but for its summary."""
    (place / "trainer.py").write_text(piece.text)
    (told,) = read_declarations(place / "trainer.py", ("TRAINER",), "trainer")
    ours = registry.trainers()[told.name]
    for part in ("implementation", "tasks", "methods", "recipe", "sparsity"):
        assert getattr(told, part) == getattr(ours, part), f"{piece.place}: {part}"


# ---------------------------------------------------------------- YAML and TOML


def task_file(piece: Piece, place: Path, resonance, _) -> None:
    """Train on the data that a task file of the page names."""
    run_task(piece, rules.file_of(piece.text), resonance)


def run_task(piece: Piece, file: str | None, resonance) -> None:
    ran = resonance(f"run --task-file {file} rigl -s 0.5 --recipe epochs=1 --set update_every=5")
    assert ran.code == 0, f"{piece.place}: {ran.err}"
    assert re.search(r"^  test \w+", ran.out, re.MULTILINE), piece.place


def claims(piece: Piece, place, *_) -> None:
    """Read a file of claims; the page's command checks it."""
    (place / "claims.yaml").write_text(piece.text)
    assert load_claims(place / "claims.yaml")


def study(piece: Piece, place: Path, resonance, _) -> None:
    """Plan a study, and an ablation where it varies something."""
    content = yaml.safe_load(piece.text)
    (place / "study.yaml").write_text(piece.text)
    trials = load_study("study.yaml").trials()
    planned = resonance("study study.yaml --dry-run")
    assert f"0 done · {len(trials)} to run" in planned.out, f"{piece.place}: {planned.err}"
    assert len(trials) == TRIALS[content["name"]], piece.place
    if any("vary" in entry for entry in content["methods"]):
        planned = resonance("ablate study.yaml --dry-run")
        assert planned.code == 0, f"{piece.place}: {planned.err}"


def group(piece: Piece, place: Path, resonance, _) -> None:
    """Plan a group of studies; its own study is that of the pages."""
    (place / "my-study.yaml").write_text(rules.STUDY)
    (place / "group.yaml").write_text(piece.text)
    planned = resonance("study group.yaml --dry-run")
    assert planned.code == 0, f"{piece.place}: {planned.err}"
    assert "Total of 2 studies" in planned.out, piece.place


TRIALS = {
    "my-study": 5 + 3 * 5,  # dense once per seed; three methods at one sparsity
    "random-walk": 5 + 2 * 3 * 5,  # at two
    "my-ablation": 5 * 4 * (4 + 1),  # the default cooldown, auto, is none of its four levels
}
"""How many trials the studies of the pages have."""


def published(piece: Piece, place: Path, _, monkeypatch) -> None:
    """Read published results; the project's own file says the same of them."""
    add_to_published(piece, place / "mine" / "example.yaml", place, monkeypatch)
    for told in published_results.published("example"):
        assert same_fact(told), f"{piece.place}: {told.method} {told.sparsity}"


def same_fact(told: published_results.PublishedResult) -> bool:
    return any(
        (fact.sparsity, fact.value, fact.dataset, fact.model, fact.metric)
        == (told.sparsity, told.value, told.dataset, told.model, told.metric)
        for name in published_results.published_files()
        for fact in published_results.published(name)
    )


def table(piece: Piece, place: Path, resonance, monkeypatch) -> None:
    """Show a table; every published result it names is there."""
    add_to_published(piece, place / "mine" / "tables" / "example.yaml", place, monkeypatch)
    assert all(row.results() for row in published_results.table("example").rows), piece.place
    shown = resonance("reproduce example --dry-run")
    assert shown.code == 0, f"{piece.place}: {shown.err}"


def add_to_published(piece: Piece, path: Path, place: Path, monkeypatch) -> None:
    """Put a block beside the published results of the project."""
    shutil.copytree(str(published_results.FOLDER), place / "mine")
    path.write_text(piece.text)
    monkeypatch.setattr(published_results, "FOLDER", place / "mine")


@pytest.fixture(autouse=True)
def forget_published():
    """Forget the results and tables of a page, which are kept once they are read."""
    yield
    published_results.published.cache_clear()
    published_results.table.cache_clear()


def entry_point(piece: Piece, *_) -> None:
    """See that the group is the one that is looked for."""
    groups = tomllib.loads(piece.text)["project"]["entry-points"]
    assert list(groups) == [registry.ENTRY_POINTS], piece.place


def citation(piece: Piece, *_) -> None:
    """See that another test compares the entry with the citation."""
    test = (ROOT / "tests" / "infrastructure" / "test_addresses.py").read_text(encoding="utf-8")
    assert f'"{piece.page}"' in test, piece.place
    assert "\ndef test_the_entry_for_bibtex_is_the_citation(" in test, piece.place


RULES = [
    ("python", r"^METHOD = ", method),
    ("python", r"^TASK = ", python_task),
    ("python", r"^TRAINER = ", trainer),
    ("python", r"^class \w+\(nn\.Module\)", model),
    ("python", r"^(from|import) ", script),
    ("yaml", r"^data: ", task_file),
    ("yaml", r"^methods:", study),
    ("yaml", r"^studies:", group),
    ("yaml", r"^claims:", claims),
    ("yaml", r"^groups:", published),
    ("yaml", r"^ {4}trials: ", table),
    ("toml", r"^\[project\.entry-points\.", entry_point),
    ("bibtex", r"^@software", citation),
]
"""Language, what is in the block, and what runs it; the first that fits."""


@pytest.mark.parametrize(
    "shown", ["```yaml\nspace: {window: [8]}\n```\n", "```rust\nfn main() {}\n```\n"]
)
def test_a_block_without_a_rule_is_named_with_its_line(shown):
    (piece,) = pieces("page.md", "# Title\n\n" + shown)
    with pytest.raises(pytest.fail.Exception, match=r"page\.md:4: no rule"):
        rule_of(piece)


def test_a_block_that_fails_fails_its_test(place, resonance, monkeypatch):
    (piece,) = pieces("page.md", "```python\nimport suite.nothing\n```\n")
    with pytest.raises(ModuleNotFoundError):
        rule_of(piece)(piece, place, resonance, monkeypatch)
