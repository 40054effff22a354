"""Tunings in a bundle: what is about its records is read, what could do harm is refused."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leaderboard.bundles import sent_document
from leaderboard.bundles.bundle_file import (
    Bundle,
    Header,
    each_once,
    read_bundle,
    write_bundle,
)
from leaderboard.bundles.limited_reading import read_bundle as read_limited
from leaderboard.bundles.migrate_bundle import migrate_bundle
from leaderboard.bundles.submission_checks import check_bundle
from leaderboard.bundles.tunings import as_sent, of_records, tuning_line, tuning_problems
from leaderboard.site.build import build
from suite.core.errors import InvalidInput
from suite.results.record import Record
from suite.results.record_check import Recomputed
from suite.results.store import Store
from suite.tuning.schema import Final, Tuning, save_tuning, tuned_runs
from tests.leaderboard.sample_bundles import HEADER, change_last_line, sample, sealed
from tests.support.cli_runner import Command
from tests.support.sample_records import done, make_trial
from tests.tuning.sample import tuning

TUNED = {"drop_fraction": 0.5}


def runs(seeds: int = 2) -> tuple[list[Record], list[Record]]:
    """Return the tested runs of a winner and of the default."""
    recipe = {"epochs": 1}
    return (
        [sample("rigl", seed, recipe=recipe, hyperparameters=TUNED) for seed in range(seeds)],
        [sample("rigl", seed, recipe=recipe) for seed in range(seeds)],
    )


def searched(**given: Any) -> Tuning:
    """Return a tuning whose winner, trial 1, has the settings of `runs`."""
    one = tuning()
    found = one.methods["rigl"]
    trials = [
        trial.model_copy(update={"hyperparameters": TUNED if trial.number == 1 else {}, "keys": []})
        for trial in found.trials
    ]
    winner, default = runs()
    final = Final(winner=[r.key for r in winner], default=[r.key for r in default])
    method = found.model_copy(update={"trials": trials, "final": final} | given)
    return Tuning.model_validate(
        one.model_copy(update={"methods": {"rigl": method}}).model_dump(mode="json")
    )


def written(path: Path, one: Tuning, *records: Record) -> Path:
    """Write a bundle whose tuning is written as it is, whatever is wrong with it."""
    write_bundle(records, HEADER, path)
    lines = gzip.decompress(path.read_bytes()).splitlines()
    lines.append(tuning_line(one))
    path.write_bytes(gzip.compress(b"\n".join([*lines, b""])))
    return path


def test_a_tuning_is_read_as_it_was_written_and_older_programs_refuse_the_file(tmp_path):
    winner, default = runs()
    path, one = tmp_path / "a.jsonl.gz", searched()
    write_bundle([*winner, *default], HEADER, path, tunings=[one])
    for read in (read_bundle, read_limited):
        bundle = read(path)
        assert bundle.rejected == []
        assert list(bundle.tunings) == [one]
        assert bundle.header.schema_version == 3
    assert set(tuned_runs(bundle.tunings)) == {record.key for record in winner}
    report = check_bundle(bundle, lambda record: Recomputed(1))
    (note,) = [issue for issue in report.issues if issue.where == "tuning t"]
    assert (note.severity, "4 configurations of rigl" in note.what) == ("note", True)


def test_without_a_tested_run_there_is_no_tuning_in_the_file_and_its_version_is_as_before(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    write_bundle([sample()], HEADER, path, tunings=[searched()])
    assert list(read_bundle(path).tunings) == []
    assert read_bundle(path).header.schema_version == 1
    (rejected,) = read_bundle(written(path, searched(), sample())).rejected
    assert "none of its tested runs is in this file" in rejected.reason


def test_a_tuning_says_nothing_of_records_that_others_sent():
    (mine, _), (theirs, _) = runs()
    (one,) = of_records([searched()], [mine.key])
    assert set(one.tuned_keys()) == {mine.key}
    assert one.methods["rigl"].final == Final(winner=[mine.key], default=[])
    assert of_records([searched()], ["0" * 16]) == []
    first = Bundle(HEADER, [mine], [])
    second = Bundle(Header.make(name="B"), [mine, theirs], [], tunings=of_records(
        [searched()], [mine.key, theirs.key]))  # fmt: skip
    _, left = each_once([first, second])
    assert [record.key for record in left.records] == [theirs.key]
    assert left.tunings[0].methods["rigl"].final == Final(winner=[], default=[theirs.key])


def changed(part: str, **given: Any) -> Tuning:
    """Return a tuning in which something of a trial, a dimension or the settings is wrong."""
    content = searched().model_dump(mode="json")
    method = content["methods"]["rigl"]
    place = {"trial": method["trials"][1], "space": method["space"][0], "method": method,
             "settings": content["settings"]}[part]  # fmt: skip
    place.update(given)
    return Tuning.model_validate(content)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (lambda: changed("trial", values=[0.5]), "trial 1 is complete and has 1 values"),
        (lambda: changed("trial", values=[1e200, 1.0]), "a number is 1e+100 or more"),
        (lambda: changed("trial", parameters={"rate": 9.0}), "'rate' that is not in its space"),
        (lambda: changed("trial", parameters={"nosuch": 1}), "'nosuch' that is not in its space"),
        (lambda: changed("trial", parameters={"rule": "<b>"}), "'rule' that is not in its space"),
        (lambda: changed("trial", number=0), "a trial is there twice"),
        (lambda: changed("space", low=None), "neither choices nor a range"),
        (lambda: changed("space", low=0.0), "neither choices nor a range"),
        (lambda: changed("space", low=1.0, high=1.0), "neither choices nor a range"),
        (lambda: changed("method", winner=3), "not among the trials that were completed"),
        (lambda: changed("method", front=[77]), "not among the trials that were completed"),
        (lambda: changed("method", importance={"x": 0.1}), "importance of a dimension"),
        (lambda: changed("settings", objectives=["nosuch", "x"]), "objective 'nosuch' is not"),
        (lambda: changed("settings", methods=["set"]), "a method that it did not tune"),
        (lambda: changed("settings", tasks=["mnist/lenet_5"]), "another method, task or sparsity"),
        (lambda: changed("settings", sparsities=[0.5]), "another method, task or sparsity"),
        (lambda: changed("settings", recipe={"epochs": 7}), "settings that the search did not try"),
        (
            lambda: changed("trial", hyperparameters={"drop_fraction": 0.4}),
            "settings that the search did not try",
        ),
        (lambda: changed("trial", reason="a\x1b[2J"), None),  # shown_data replaces it on writing
    ],
)
def test_what_contradicts_itself_or_its_records_is_refused(tmp_path, one, why):
    winner, default = runs()
    by_key = {record.key: record for record in (*winner, *default)}
    bundle = read_bundle(written(tmp_path / "a.jsonl.gz", one(), *by_key.values()))
    assert len(bundle.records) == 4
    if why is None:
        assert bundle.rejected == []
        return
    assert list(bundle.tunings) == []
    (rejected,) = bundle.rejected
    assert why in rejected.reason
    assert "\n" not in rejected.reason
    with pytest.raises(InvalidInput):
        as_sent(one(), by_key)
    assert why in " ".join(tuning_problems(one(), by_key))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda line: line.replace('"budget":4', '"budget":5'), "does not match its checksum"),
        (lambda line: line[:-40], "not a tuning"),
        (lambda line: '{"tuning":7}', "does not match its checksum"),
        (lambda line: '{"tuning":' + "[" * 2000, "not a tuning"),
        (lambda line: sealed(line, schema_version=99), "update resonance-bench"),
        (
            lambda line: sealed(line, versions={"suite": "x" * 5000}),
            "too long or cannot be shown",
        ),
        (
            lambda line: sealed(line, versions={"suite": "a\u202eb"}),
            "too long or cannot be shown",
        ),
        (lambda line: sealed(line, versions={"suite": 5}), "not a tuning: 'versions.suite'"),
        (lambda line: f"{line}\n{line}", "a second tuning t"),
    ],
)
def test_a_line_that_is_none_is_refused_and_the_records_are_read(tmp_path, change, why):
    winner, default = runs()
    path = tmp_path / "a.jsonl.gz"
    write_bundle([*winner, *default], HEADER, path, tunings=[searched()])
    change_last_line(path, change)
    bundle = read_bundle(path)
    assert len(bundle.records) == 4
    (rejected,) = bundle.rejected
    assert why in rejected.reason


def test_there_are_only_so_many_in_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr("leaderboard.bundles.bundle_file.MAX_TUNINGS", 1)
    winner, default = runs()
    path = written(tmp_path / "a.jsonl.gz", searched(), *winner, *default)
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content + content.splitlines()[-1] * 5 + b"\n"))
    bundle = read_bundle(path)
    assert len(bundle.tunings) == 1
    assert "more than 1 tunings" in bundle.rejected[0].reason


def test_one_that_is_too_large_is_not_sent(monkeypatch):
    winner, default = runs()
    by_key = {record.key: record for record in (*winner, *default)}
    monkeypatch.setattr(sent_document, "LINE", replace(sent_document.LINE, size=100))
    with pytest.raises(InvalidInput, match="a bundle at most 100 for one"):
        as_sent(searched(), by_key)


def test_a_bundle_whose_names_are_current_keeps_its_tunings(tmp_path):
    winner, default = runs()
    path = tmp_path / "a.jsonl.gz"
    write_bundle([*winner, *default], HEADER, path, tunings=[searched()])
    before = path.read_bytes()
    assert migrate_bundle(path).current == 4
    assert path.read_bytes() == before


def test_a_site_shows_a_sent_tuning_and_its_runs_as_tuned(tmp_path):
    winner, default = runs()
    path = tmp_path / "a.jsonl.gz"
    write_bundle([*winner, *default], HEADER, path, tunings=[searched()])
    built = build([], tmp_path / "site", bundles=[path])
    labels = [entry.label for entry, _ in built.boards[0].rows]
    assert sorted(labels) == ["RigL", "RigL (tuned: drop_fraction=0.5)"]
    page = (tmp_path / "site" / "tunings" / "t.html").read_text()
    assert "A group, not signed; the values of its search are as stated by the sender" in page
    assert "optuna-dashboard" not in page
    assert "tunings/t.html" in (tmp_path / "site" / "index.html").read_text()


def test_a_tuning_of_the_store_keeps_its_name(tmp_path):
    winner, default = runs()
    path = tmp_path / "a.jsonl.gz"
    write_bundle([*winner, *default], HEADER, path, tunings=[searched()])
    store = Store(tmp_path / "results")
    store.prepare()
    own = make_trial("static")
    store.write(own.key, {"record.json": done(own).to_json()})
    save_tuning(store, tuning())
    built = build(store, tmp_path / "site", bundles=[path])
    (left,) = [one for one in built.excluded if one.trial == "document"]
    assert left.reason == "sent by A group; there is another tuning of this name"


def test_submit_sends_the_tunings_of_what_it_sends(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "results")
    store.prepare()
    for record in (one for group in runs() for one in group):
        store.write(record.key, {"record.json": record.to_json()})
    save_tuning(store, searched())
    command = Command(monkeypatch, capsys)
    monkeypatch.setattr(
        "suite.cli.submit.check_bundle",
        lambda bundle: check_bundle(bundle, lambda record: Recomputed(1)),
    )
    shown = command("submit --name me --out a.jsonl.gz --include-ablations")
    assert shown.code == 0, shown.err
    assert "a.jsonl.gz: 4 records, 1 tuning, " in shown.out
    assert len(read_bundle(Path("a.jsonl.gz")).tunings) == 1
