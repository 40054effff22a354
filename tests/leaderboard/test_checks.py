"""What is wrong with a record that was sent, and what a reader should know, is found."""

import json
from pathlib import Path

import pytest

from leaderboard.checks import check, compare_rerun
from leaderboard.submission import Bundle, read_bundle, write_bundle
from suite.config import key_of
from suite.errors import InvalidInput
from suite.results.record import Record
from suite.results.store import Store
from tests.leaderboard.bundles import (
    HEADER,
    content,
    errors,
    findings,
    forged,
    packed,
    paired,
    sample,
)
from tests.sample_records import done, make_trial

ACCURACY = {"test_accuracy": 0.9}


# ---------------------------------------------------------------- what is wrong with records


def test_sound_paired_records_have_no_findings():
    assert findings(*paired("static", "rigl")) == []


def test_a_key_that_is_not_the_hash_of_the_configuration_is_an_error():
    assert any("not the hash" in what for what in errors(forged(sample(), key="0" * 16)))


def test_a_record_of_an_older_revision_is_an_error():
    old = sample().configuration | {"method_revision": 0}
    assert any("method_revision is" in what for what in errors(forged(sample(), configuration=old)))


def test_a_configuration_that_is_not_what_the_settings_say_is_an_error():
    record = sample()
    recipe = record.configuration["recipe"] | {"epochs": 999}
    found = errors(forged(record, configuration=record.configuration | {"recipe": recipe}))
    assert any("epochs=999" in what for what in found)


UNSOUND = {
    "no seal": (lambda record: json.loads(record.to_json()) | {"schema_version": 1}, "no seal"),
    "foreign key": (lambda record: content(record, key="0" * 16), "not the hash"),
    "zeros off target": (
        lambda record: content(record, layers=[record.layers[0].model_dump() | {"zeros": 898}]),
        "898 zeros among 1,000 weights, not 900"),
    "unknown setting": (
        lambda record: content(record, trial=record.trial | {"hyperparameters": {"speed": 9}}),
        "not the hash"),
    "share above 1": (lambda record: content(record, metrics={"test_accuracy": 1.01}), "[0, 1]"),
    "negative loss": (
        lambda record: content(record, metrics=ACCURACY | {"test_nll": -1.0}), "less than 0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNSOUND)
def test_what_check_calls_an_error_in_a_record_is_not_read_from_a_bundle(tmp_path, kind):
    unsound, reason = UNSOUND[kind]
    path = packed(tmp_path / "a.jsonl.gz", unsound(sample(seed=1)), content(sample()))
    bundle = read_bundle(path)
    assert [record.trial["seed"] for record in bundle.records] == [0]
    assert [where for where, _ in bundle.rejected] == ["line 2"]
    assert reason in bundle.rejected[0].reason
    found = check(bundle, lambda record: (1, []))
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


def test_what_cannot_be_recomputed_is_a_warning_and_what_differs_an_error():
    def unknown(record: Record) -> tuple[int, list[str]]:
        raise InvalidInput("unknown method")

    records = paired("static")
    found = check(Bundle(HEADER, records, []), unknown)
    assert [f.severity for f in found] == ["warning"] * len(records)
    assert [f.severity for f in findings(*records, problems=("off",))] == ["error"] * len(records)


def test_other_seeds_for_one_method_are_told_and_none_in_common_is_an_error():
    (found,) = findings(*paired("static"), *paired("rigl")[:-1], sample("rigl", 5))[:1]
    assert found.severity == "warning"
    (wrong,) = errors(*paired("static"), *[sample("rigl", seed) for seed in range(5, 10)])[:1]
    assert "share none" in wrong


def test_fewer_than_five_seeds_are_a_warning():
    (found,) = findings(*paired("static", "rigl", seeds=3))
    assert (found.severity, found.where) == ("warning", "digits/mlp")
    assert "2 of 2 cells have fewer than 5 seeds" in found.what


def test_another_recipe_for_one_method_is_told():
    other = [sample("rigl", seed, recipe={"epochs": 3}) for seed in range(5)]
    (found,) = findings(*paired("static"), *other)
    assert "several recipes" in found.what
    assert "epochs=3" in found.what


def test_who_trains_longer_is_shown():
    records = paired("static", "rigl")
    steps = {"static": 10, "rigl": 50}
    (found,) = check(Bundle(HEADER, records, []), lambda r: (steps[r.trial["method"]], []))
    assert (found.severity, found.what) == (
        "note",
        "trains 50 steps, 5 times as many as others here",
    )


def test_weights_copied_to_another_seed_are_an_error():
    records = paired("static")
    copied = forged(records[1], digests=records[0].digests)
    assert len(errors(*records[:1], copied, *records[2:])) == 1


# ---------------------------------------------------------------- recomputing and running again


@pytest.fixture
def sent(resonance, place):
    """Return a trial's record as `resonance run` leaves it, and the file that submits it."""
    assert resonance("run digits/mlp rigl -s 0.9 --recipe epochs=2").code == 0
    result = resonance("submit --name me --out mine.jsonl.gz")
    assert result.code == 0, result.out + result.err
    assert "pull request" in result.out
    return next(Store(place / "results").records())


def test_zeros_layers_and_operations_are_recomputed_from_the_configuration(sent):
    from suite.training.recheck import recompute

    assert recompute(sent).problems == []
    layers = [layer.model_dump() for layer in sent.layers]

    def changed(**values: object) -> list[str]:
        return recompute(forged(sent, layers=[layers[0] | values, *layers[1:]])).problems

    assert any("zeros, not" in p for p in changed(zeros=layers[0]["zeros"] - 2))
    assert not any("zeros, not" in p for p in changed(zeros=layers[0]["zeros"] - 1))
    assert any("FLOPs, not" in p for p in changed(flops=1.0))
    assert any("not those of digits/mlp" in p for p in changed(shape=[1, 40_000]))
    for name in ("inference", "training"):
        flops = sent.flops | {name: sent.flops[name] / 2}
        assert any(name in p for p in recompute(forged(sent, flops=flops)).problems)


def test_a_trial_that_is_run_again_ends_bit_by_bit_alike(resonance, sent):
    result = resonance("leaderboard check mine.jsonl.gz --rerun any")
    assert result.code == 0
    assert "run again here: equal" in result.out


def test_a_figure_that_was_made_up_is_found_by_running_again(resonance, sent):
    better = forged(sent, metrics=sent.metrics | {"test_accuracy": 0.999})
    write_bundle([better], HEADER, Path("better.jsonl.gz"))
    assert resonance("leaderboard check better.jsonl.gz").code == 0
    result = resonance("leaderboard check better.jsonl.gz --rerun", sent.key[:6], "--json")
    assert result.code == 1
    found = [f for f in json.loads(result.out)["findings"] if f["severity"] == "error"]
    assert "on a machine of the same kind" in found[0]["what"]
    assert found[1]["what"].startswith("test_accuracy 0.999, here 0.")


def test_other_versions_excuse_a_difference():
    record = sample()
    again = forged(record, metrics={"test_accuracy": 0.8}, environment={"torch": "9.9"})
    found = compare_rerun(record, again)
    assert {f.severity for f in found} == {"warning"}
    assert "torch '2.11', here '9.9'" in found[0].what


def test_what_has_errors_is_not_written(resonance, store):
    wrong = done(make_trial())  # its layers are not those of the task
    store.write(wrong.key, {"record.json": wrong.to_json()})
    result = resonance("submit --name me --out mine.jsonl.gz")
    assert result.code == 1
    assert "the layers are not those of digits/mlp" in result.out
    assert not Path("mine.jsonl.gz").exists()


@pytest.mark.parametrize("line", [
    "submit --name me --out mine.zip", "submit --name me --out x.jsonl.gz --task digits/mlq",
    "submit --name me --out x.jsonl.gz", "leaderboard check nowhere.jsonl.gz",
])  # fmt: skip
def test_what_cannot_be_sent_or_checked_is_refused_in_one_line(resonance, line):
    assert resonance(line).complaint
