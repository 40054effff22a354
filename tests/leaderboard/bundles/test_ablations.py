"""A bundle of one ablation: its design comes with it, and its trials are on no board."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leaderboard.bundles import sent_document
from leaderboard.bundles.ablations import ablation_line, ablation_problems, as_sent
from leaderboard.bundles.bundle_file import Bundle, each_once, read_bundle, write_bundle
from leaderboard.bundles.limited_reading import read_bundle as read_limited
from leaderboard.bundles.migrate_bundle import migrate_bundle
from leaderboard.bundles.submission_checks import check_bundle
from leaderboard.site.build import build
from suite.core.errors import InvalidInput
from suite.experiments.study import Study
from suite.experiments.trial_config import Trial
from suite.results.ablation_design import Ablation, ablation_of, save
from suite.results.record import Record
from suite.results.record_check import Recomputed
from suite.results.store import Store
from tests.leaderboard.sample_bundles import HEADER, change_last_line, sample, sealed
from tests.support.cli_runner import Command

STUDY = Study.make(
    name="windows", question="Which <b>window</b>?", tasks=["digits/mlp"], sparsities=[0.9],
    methods=[{"name": "resonance", "vary": {"window": [8], "shuffle": ["fixed"]}, "grid": True}],
    seeds=2, controls_left_out="they are its cells",
)  # fmt: skip
DESIGN = ablation_of(STUDY)


def of_trial(trial: Trial) -> Record:
    return sample("resonance", trial.seed, hyperparameters=trial.hyperparameters)


RECORDS = [of_trial(trial) for trial in STUDY.trials()]
BY_KEY = {record.key: record for record in RECORDS}


def sent(path: Path, *records: Record, ablation: Ablation | None = DESIGN) -> Path:
    write_bundle(records or RECORDS, HEADER, path, ablation=ablation)
    return path


def test_a_design_is_read_as_it_was_written_and_older_programs_refuse_the_file(tmp_path):
    path = sent(tmp_path / "a.jsonl.gz")
    for read in (read_bundle, read_limited):
        bundle = read(path)
        assert (bundle.rejected, bundle.ablation) == ([], DESIGN)
        assert len(bundle.records) == 8
        assert bundle.header.schema_version == 4
    report = check_bundle(bundle, lambda record: Recomputed(1))
    (note,) = [issue for issue in report.issues if issue.where == "ablation windows"]
    assert (note.severity, note.what[:7]) == ("note", "4 cells")
    before = path.read_bytes()
    assert migrate_bundle(path).current == 8
    assert path.read_bytes() == before


def changed(part: str, **given: Any) -> Ablation:
    """Return the ablation with other content in its design, its second cell or its factor."""
    content = DESIGN.model_dump(mode="json")
    (design,) = content["designs"]
    {"design": design, "cell": design["cells"][1]}[part].update(given)
    return Ablation.model_validate(content)


def swapped() -> Ablation:
    """Return the ablation with the trials of two cells in each other's place."""
    content = DESIGN.model_dump(mode="json")
    first, second = content["designs"][0]["cells"][:2]
    first["trials"], second["trials"] = second["trials"], first["trials"]
    return Ablation.model_validate(content)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (lambda: changed("design", task="mnist/lenet_5"), "another task than its cell"),
        (lambda: changed("design", method="rigl"), "another method than its cell"),
        (lambda: changed("design", sparsity=0.5), "another sparsity than its cell"),
        (swapped, "another window than its cell"),
        (lambda: changed("cell", trials={7: "0" * 16}), "is in none of its cells"),
    ],
    ids=["task", "method", "sparsity", "level", "key"],
)
def test_a_design_that_contradicts_its_records_is_refused_and_they_are_read(tmp_path, one, why):
    path = sent(tmp_path / "a.jsonl.gz", ablation=one())
    bundle = read_bundle(path)
    assert (len(bundle.records), bundle.ablation) == (8, None)
    (rejected,) = bundle.rejected
    assert why in rejected.reason
    assert "\n" not in rejected.reason
    with pytest.raises(InvalidInput, match="ablation windows: trial"):
        as_sent(one(), BY_KEY)
    assert why in " ".join(ablation_problems(one(), BY_KEY))


def test_another_seed_than_that_of_the_cell_is_refused():
    content = DESIGN.model_dump(mode="json")
    trials = content["designs"][0]["cells"][0]["trials"]
    (a, one), (b, other) = trials.items()
    trials |= {a: other, b: one}
    (first, _) = ablation_problems(Ablation.model_validate(content), BY_KEY)
    assert "another seed than its cell" in first


def test_a_record_of_another_study_is_sent_in_another_file(tmp_path):
    other = sample("rigl")
    bundle = read_bundle(sent(tmp_path / "a.jsonl.gz", *RECORDS, other))
    assert bundle.ablation is None
    assert f"trial {other.key} is in none of its cells" in bundle.rejected[0].reason


def test_an_option_that_a_method_has_been_given_since_is_at_the_base():
    def older(record: Record) -> Record:
        options = record.configuration["hyperparameters"]
        left = {name: value for name, value in options.items() if name != "shuffle"}
        return record.model_copy(
            update={"configuration": record.configuration | {"hyperparameters": left}}
        )

    assert list(ablation_problems(DESIGN, {k: older(r) for k, r in BY_KEY.items()})) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda line: line.replace('"windows"', '"window2"', 1), "does not match its checksum"),
        (lambda line: line[:-40], "not an ablation"),
        (lambda line: '{"ablation":7}', "an ablation that does not match its checksum"),
        (lambda line: sealed(line, schema_version=99), "update resonance-bench"),
        (lambda line: sealed(line, question="a\u202eb"), "too long or cannot be shown"),
        (lambda line: sealed(line, name="../up"), "not an ablation: 'name'"),
        (lambda line: f"{line}\n{line}\n{line}", "a second ablation: a file is of one"),
    ],
)
def test_a_line_that_is_none_is_refused_and_the_records_are_read(tmp_path, change, why):
    path = sent(tmp_path / "a.jsonl.gz")
    change_last_line(path, change)
    bundle = read_bundle(path)
    assert len(bundle.records) == 8
    (rejected,) = bundle.rejected
    assert why in rejected.reason


def test_a_grid_without_one_of_its_cells_is_no_design(tmp_path):
    designs = DESIGN.model_dump(mode="json")["designs"]
    designs[0]["cells"].pop()
    path = sent(tmp_path / "a.jsonl.gz")
    change_last_line(path, lambda line: sealed(line, designs=designs))
    assert "a cell of the grid is missing" in read_bundle(path).rejected[0].reason


def test_one_that_is_too_large_is_not_sent(monkeypatch):
    monkeypatch.setattr(sent_document, "LINE", replace(sent_document.LINE, size=100))
    with pytest.raises(InvalidInput, match="ablation windows takes .* a bundle at most 100"):
        as_sent(DESIGN, BY_KEY)


def test_a_site_shows_its_page_and_puts_its_trials_on_no_board(tmp_path):
    ablation = sent(tmp_path / "a.jsonl.gz", *RECORDS[:-1])
    study = tmp_path / "b.jsonl.gz"
    write_bundle([sample("rigl")], HEADER, study)
    built = build([], tmp_path / "site", bundles=[ablation, study])
    assert [entry.label for entry, _ in built.boards[0].rows] == ["RigL"]
    page = (tmp_path / "site" / "ablations" / "windows.html").read_text()
    assert "Sent by A group, not signed." in page
    assert "Which &lt;b&gt;window&lt;/b&gt;?" in page
    assert "of 8 trials 1 have not run" in page
    assert "ablations/windows.html" in (tmp_path / "site" / "index.html").read_text()
    trial = (tmp_path / "site" / "trials" / f"{RECORDS[0].key}.html").read_text()
    assert "it belongs to ablation windows only" in trial


def labels(*bundles: Path, **given: Any) -> list[str]:
    built = build([], bundles[0].parent / "site", bundles=bundles, **given)
    return sorted({entry.label for board in built.boards for entry, _ in board.rows})


def test_a_trial_that_is_also_in_a_study_is_on_the_board(tmp_path):
    ablation, study = sent(tmp_path / "a.jsonl.gz"), tmp_path / "b.jsonl.gz"
    default = [record for record in RECORDS if not record.trial["hyperparameters"]]
    write_bundle(default, HEADER, study)
    assert len(default) == 2
    assert labels(ablation, study) == ["Resonance"]
    first, second = each_once([read_bundle(ablation), read_bundle(study)])
    assert (len(first.records), len(second.records)) == (6, 2)  # the board shows the study's own
    assert len(labels(ablation, include_ablations=True)) == 4


def test_a_trial_of_the_store_is_on_the_board_unless_it_is_of_an_ablation_there_too(tmp_path):
    store, path = Store(tmp_path / "results"), sent(tmp_path / "a.jsonl.gz")
    store.prepare()
    for record in RECORDS:
        store.write(record.key, {"record.json": record.to_json()})
    assert len(build(store, tmp_path / "site", bundles=[path]).boards[0].rows) == 4
    save(store, DESIGN)
    assert build(store, tmp_path / "site", bundles=[path]).boards == []


def test_an_ablation_of_the_store_keeps_its_name(tmp_path):
    store, path = Store(tmp_path / "results"), sent(tmp_path / "a.jsonl.gz")
    store.prepare()
    store.write(RECORDS[0].key, {"record.json": RECORDS[0].to_json()})
    save(store, DESIGN)
    built = build(store, tmp_path / "site", bundles=[path])
    (left,) = [one for one in built.excluded if one.trial == "document"]
    assert left.reason == "sent by A group; there is another ablation of this name"


def test_submit_sends_the_design_of_an_ablation_that_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "results")
    store.prepare()
    for record in [*RECORDS, sample("rigl")]:
        store.write(record.key, {"record.json": record.to_json()})
    save(store, DESIGN)
    command = Command(monkeypatch, capsys)
    monkeypatch.setattr(
        "suite.cli.submit.check_bundle",
        lambda bundle: check_bundle(bundle, lambda record: Recomputed(1)),
    )
    shown = command("submit --name me --study windows --out a.jsonl.gz")
    assert shown.code == 0, shown.err
    assert "a.jsonl.gz: 8 records of ablation windows, " in shown.out
    assert read_bundle(Path("a.jsonl.gz")).ablation == DESIGN
    shown = command("submit --name me --include-ablations --out b.jsonl.gz --json")
    assert (json.loads(shown.out)["records"], json.loads(shown.out)["ablation"]) == (9, None)


def test_a_design_that_is_not_of_the_trials_is_not_left_out_silently(tmp_path, monkeypatch, capsys):
    """Without it the trials would be on boards."""
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "results")
    store.prepare()
    for record in RECORDS:
        store.write(record.key, {"record.json": record.to_json()})
    save(store, swapped())
    monkeypatch.setattr(
        "suite.cli.submit.check_bundle",
        lambda bundle: check_bundle(bundle, lambda record: Recomputed(1)),
    )
    command = Command(monkeypatch, capsys)
    shown = command("submit --name me --study windows --out a.jsonl.gz")
    assert shown.code == 2
    assert "`resonance ablate` writes the design anew" in shown.err
    assert not Path("a.jsonl.gz").exists()
    shown = command("submit --name me --study windows --include-ablations --out a.jsonl.gz")
    assert shown.code == 0, shown.err
    assert read_bundle(Path("a.jsonl.gz")).ablation is None


def test_a_bundle_has_none_unless_it_is_given():
    assert Bundle(HEADER, RECORDS, []).ablation is None


def test_factors_keep_the_order_of_the_study(tmp_path):
    bundle = read_bundle(sent(tmp_path / "a.jsonl.gz"))
    assert list(bundle.ablation.designs[0].cells[0].levels) == ["window", "shuffle"]
    assert ablation_line(bundle.ablation) == ablation_line(DESIGN)
