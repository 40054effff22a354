"""What a record in a bundle must fulfil, and how much of a bundle is read."""

import json

import pytest

from leaderboard.bundles import bundle_file
from leaderboard.bundles.bundle_file import read_bundle
from leaderboard.bundles.submission_checks import check_bundle
from suite.experiments.trial_config import key_of
from suite.results.record import failed
from suite.results.record_check import Recomputed
from tests.leaderboard.sample_bundles import content, errors, forged, packed, sample
from tests.support.sample_records import make_trial

UNSOUND = {
    "no checksums": (
        lambda record: json.loads(record.to_json()) | {"schema_version": 1},
        "no checksums",
    ),
    "foreign key": (lambda record: content(record, key="0" * 16), "not the hash"),
    "zeros off target": (
        lambda record: content(record, layers=[record.layers[0].model_dump() | {"zeros": 898}]),
        "898 zeros among 1,000 weights, not 900"),
    "unknown setting": (
        lambda record: content(record, trial=record.trial | {"hyperparameters": {"speed": 9}}),
        "not the hash"),
    "share above 1": (lambda record: content(record, metrics={"test_accuracy": 1.01}), "[0, 1]"),
    "negative loss": (
        lambda record: content(record, metrics=record.metrics | {"test_nll": -1.0}),
        "less than 0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNSOUND)
def test_what_check_calls_an_error_in_a_record_is_not_read_from_a_bundle(tmp_path, kind):
    unsound, reason = UNSOUND[kind]
    path = packed(tmp_path / "a.jsonl.gz", unsound(sample(seed=1)), content(sample()))
    bundle = read_bundle(path)
    assert [record.trial["seed"] for record in bundle.records] == [0]
    assert [where for where, _ in bundle.rejected] == ["line 2"]
    assert reason in bundle.rejected[0].reason
    found = check_bundle(bundle, lambda record: Recomputed(1)).issues
    assert [f.where for f in found if f.severity == "error"] == ["line 2"]


def test_settings_that_a_method_does_not_have_are_an_error():
    trial = sample().trial | {"hyperparameters": {"speed": 9}}
    wrong = forged(sample(), trial=trial, key=key_of(trial, sample().configuration))
    (what,) = errors(wrong)
    assert what.startswith("its settings are not valid: unknown hyperparameter 'speed'")


@pytest.mark.parametrize(("method", "settings", "zeros", "sound"), [
    ("rigl", {}, (450, 450), True), ("rigl", {}, (451, 451), True), ("rigl", {}, (452, 451), False),
    ("rigl", {"distribution": "uniform"}, (0, 450), True),
    ("rigl", {"distribution": "uniform"}, (0, 452), False),
    ("rigl", {"distribution": "uniform"}, (0, 0), False),
    ("srigl", {}, (450, 450), True), ("srigl", {}, (455, 454), True),
    ("srigl", {}, (448, 449), False), ("srigl", {}, (459, 455), False),
    ("small_dense", {}, (0, 0), True), ("small_dense", {}, (450, 450), True),
])  # fmt: skip
def test_the_zeros_of_all_layers_are_the_trials_share_of_the_weights(
    method, settings, zeros, sound
):
    record = sample(method, hyperparameters=settings)
    layers = [
        {"name": str(n), "shape": [5, 100], "zeros": z, "flops": 1} for n, z in enumerate(zeros)
    ]
    assert (errors(forged(record, layers=layers)) == []) == sound


def test_a_bundle_of_too_many_lines_is_read_up_to_there(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_file, "MAX_RECORDS", 3)
    path = packed(tmp_path / "a.jsonl.gz", *[content(sample(seed=seed)) for seed in range(5)])
    bundle = read_bundle(path)
    assert len(bundle.records) == 3
    assert bundle.rejected == [("line 5", "the rest is not read: 3 lines are before it")]


def test_a_bundle_of_empty_records_is_left_after_a_hundred(tmp_path):
    path = packed(tmp_path / "a.jsonl.gz", *["{}"] * 1000, content(sample()))
    bundle = read_bundle(path)
    assert bundle.records == []
    assert len(bundle.rejected) == 101
    assert bundle.rejected[-1].where == "line 102"
    assert "the rest is not read: 100 that cannot be used" in bundle.rejected[-1].reason


def test_settings_longer_than_a_table_could_show_are_rejected(tmp_path):
    words = {f"setting_{number}": "x" * 150 for number in range(20)}
    trial = sample().trial | {"method": "somebody_s", "hyperparameters": words}
    record = content(sample(), trial=trial, key=key_of(trial, sample().configuration))
    (rejected,) = read_bundle(packed(tmp_path / "a.jsonl.gz", record)).rejected
    assert "characters: more than 2,000 are not shown" in rejected.reason


EMPTY_LAYER = {"name": "", "shape": [], "zeros": 0, "flops": 0}


def with_empty_layers(layers, seed):
    record = failed(make_trial(seed=seed), ValueError("x"))
    return content(record, layers=[EMPTY_LAYER] * layers)


@pytest.mark.parametrize(
    ("layers", "reason"), [(12_000, "at most 5000"), (22_000, "more than 80,000")]
)
def test_a_record_of_too_many_layers_is_rejected_by_its_key(tmp_path, layers, reason):
    many = with_empty_layers(layers, seed=1)
    line = json.dumps(many, separators=(",", ":"))
    bundle = read_bundle(packed(tmp_path / "a.jsonl.gz", line, content(sample())))
    assert len(bundle.records) == 1
    ((where, said),) = bundle.rejected
    assert where == "line 2"
    assert said.startswith(f"trial {many['key']}: ")
    assert reason in said


def test_the_values_of_all_records_of_a_bundle_together_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_file, "MAX_VALUES", 5000)
    lines = [content(sample()), *[with_empty_layers(300, seed) for seed in range(1, 6)]]
    bundle = read_bundle(packed(tmp_path / "a.jsonl.gz", *lines))
    assert len(bundle.records) == 3
    assert [r.where for r in bundle.rejected] == ["line 5"]
    assert "more than 5,000 values" in bundle.rejected[0].reason


def test_the_layers_of_all_records_of_a_bundle_together_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_file, "MAX_LAYERS", 500)
    lines = [with_empty_layers(300, seed) for seed in range(4)]
    bundle = read_bundle(packed(tmp_path / "a.jsonl.gz", *lines))
    assert len(bundle.records) == 2
    assert "more than 500 layers" in bundle.rejected[0].reason
