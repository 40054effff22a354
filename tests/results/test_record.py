import json
import math

import pytest

from suite.core.errors import InvalidInput, TrialFailed
from suite.results.counts import Counts
from suite.results.metrics import KNOWN, out_of_range
from suite.results.record import (
    NO_UPDATE_NOTE,
    SCHEMA_VERSION,
    Declarations,
    Record,
    RecordedMethod,
    Unreadable,
    checksum_files,
    failed,
)
from suite.sparsity.sparsifier import NO_UPDATE
from tests.support.sample_records import done, make_trial


def test_a_record_written_as_json_and_read_again_is_the_same_record():
    record = done(make_trial(hyperparameters={"dense_layers": ["1"]}))
    again = Record.from_json(record.to_json(), "here", stored=False)
    assert again.model_dump(mode="json") == record.model_dump(mode="json")
    assert again.to_json() == record.to_json()


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("test_accuracy", (0.0, 0.5, 1.0), (-0.001, 1.001, 1e-12)),
        ("test_nll", (0.0, 1e9), (-1e-9,)),
        ("train_loss", (-3.0, 0.0, 3.0), ()),
        ("test_r2_4bit", (-3.0, 1.0), (1.001,)),
        ("validation_score_before_projection", (-3.0, 1.0), (1.001,)),
    ],
)
def test_a_metric_has_the_bounds_of_its_kind_ends_included(name, allowed, refused):
    assert [out_of_range(name, value) for value in allowed] == [""] * len(allowed)
    assert all(f"{name} is" in out_of_range(name, value) for value in refused)
    record = done(make_trial())
    for value in allowed:
        again = record.model_copy(update={"metrics": {**record.metrics, name: value}})
        assert Record.from_json(again.to_json(), "here", stored=False).metrics[name] == value


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("zeros", (0, 999, 1000), (-1, 1001)),
        ("flops", (0.0, 2000.0), (-1.0, math.nan)),
        ("shape", ((1000,), (1, 1000), (10, 10, 2, 5)), ((0, 1000), (-10, -100), (2**40,))),
    ],
)
def test_a_layer_has_the_bounds_of_its_kind_ends_included(field, allowed, refused):
    content = json.loads(done(make_trial()).to_json())
    for value in allowed:
        content["layers"][0][field] = value
        again = Record.from_json(json.dumps(content).encode(), "here", stored=False)
        assert getattr(again.layers[0], field) == value
    for value in refused:
        content["layers"][0][field] = value
        with pytest.raises(InvalidInput, match="is not a record"):
            Record.from_json(json.dumps(content).encode(), "here", stored=False)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.999])
def test_a_trial_has_a_sparsity_below_one_and_a_seed_from_zero(sparsity):
    content = json.loads(done(make_trial()).to_json())
    content["trial"] |= {"sparsity": sparsity, "seed": 0}
    Record.from_json(json.dumps(content).encode(), "here", stored=False)
    for wrong in ({"sparsity": 1.0}, {"sparsity": -0.1}, {"seed": -1}, {"seed": 2**31}):
        bad = content | {"trial": content["trial"] | wrong}
        with pytest.raises(InvalidInput, match="is not a record"):
            Record.from_json(json.dumps(bad).encode(), "here", stored=False)


def test_the_sparsity_of_a_record_is_the_share_of_zeros_over_all_layers():
    record = done(make_trial())
    other = record.layers[0].model_copy(update={"shape": (3, 1000), "zeros": 100})
    assert record.sparsity == 0.9
    assert record.model_copy(update={"layers": [*record.layers, other]}).sparsity == 0.25
    assert record.model_copy(update={"layers": []}).sparsity == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_record_with_a_value_that_is_not_finite_is_not_written(value):
    record = done(make_trial())
    record.metrics["test_nll"] = value
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.to_json()


def test_a_record_of_a_newer_schema_is_refused_with_what_to_do():
    content = json.loads(done(make_trial()).to_json())
    content["schema_version"] = SCHEMA_VERSION + 1
    content["a_new_field"] = 3
    with pytest.raises(InvalidInput, match=r"store/record\.json has schema version .*update"):
        Record.from_json(json.dumps(content).encode(), "store/record.json")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_record_cut_short_is_refused_with_its_place(share):
    data = done(make_trial()).to_json()
    with pytest.raises(InvalidInput, match=r"store/record\.json is not a record.*run the trial"):
        Record.from_json(data[: int(share * len(data.rstrip()))], "store/record.json")


@pytest.mark.parametrize(
    "data", [b"[]", b"3", b"null", b"{}", b"\xff\xfe", b'{"key": "a", "status": "done"}']
)
def test_what_is_not_a_record_is_refused(data):
    with pytest.raises(InvalidInput, match="is not a record") as refused:
        Record.from_json(data, "here")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change", [{"status": "running"}, {"colour": "red"}, {"metrics": {"test_accuracy": "high"}}]
)
def test_a_record_with_a_field_that_cannot_be_is_refused(change):
    content = json.loads(done(make_trial()).to_json()) | change
    with pytest.raises(InvalidInput, match="is not a record"):
        Record.from_json(json.dumps(content).encode(), "here")


BEYOND = {
    "a share above 1": ({"metrics": {"test_accuracy": 1.01}}, r"test_accuracy is 1.01, not in"),
    "a fraction of nothing": ({"metrics": {"test_accuracy": 5e-324}}, r"0 or at least 1e-9"),
    "a share below 0": ({"metrics": {"test_accuracy_8bit": -0.1}}, r"not in \[0, 1\]"),
    "a negative loss": ({"metrics": {"test_nll": -1.0}}, r"test_nll is -1, less than 0"),
    "a loss without bounds": ({"metrics": {"test_nll": 1.7e308}}, r"test_nll.*not a measurement"),
    "a time without bounds": ({"timing": {"seconds": 1.7e308}}, r"seconds.*not a measurement"),
    "a formula for a metric": ({"metrics": {"=cmd|x": 1.0}}, r"metrics"),
    "no operations": ({"flops": {"inference_dense": 0.0}}, r"inference_dense is 0"),
    "less than one operation": ({"flops": {"inference_dense": 5e-324}}, r"number of operations"),
    "fewer operations than none": ({"flops": {"training": -1.0}}, r"number of operations"),
    "numbers for texts": ({"trial": {"hyperparameters": {"a": [1, 2]}}}, r"a list of strings"),
    "a mapping in a recipe": ({"trial": {"recipe": {"a": {"b": 1}}}}, r"a list of strings"),
    "numbers for an execution": ({"trial": {"execution": [1, 2]}}, r"a list of strings"),
    "a monstrous seed": ({"trial": {"seed": 2**900}}, r"seed"),
    "a negative seed": ({"trial": {"seed": -1}}, r"seed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BEYOND)
def test_a_record_beyond_what_can_be_measured_or_set_is_refused(kind):
    changes, reason = BEYOND[kind]
    content = json.loads(done(make_trial()).to_json())
    for part, values in changes.items():
        content[part] |= values
    with pytest.raises(InvalidInput, match=f"is not a record.*{reason}") as refused:
        Record.from_json(json.dumps(content).encode(), "here", stored=False)
    assert len(str(refused.value)) < 400


def test_the_record_of_a_failure_says_what_failed_in_one_line():
    trial = make_trial(seed=4)
    record = failed(trial, TrialFailed("loss is nan at step 3\nand more"))
    assert record.status == "failed"
    assert record.key == trial.key
    assert record.error == {"type": "TrialFailed", "message": "loss is nan at step 3"}
    assert record.trial["seed"] == 4
    assert record.metrics == {}
    assert Record.from_json(record.to_json(), "here", stored=False).error == record.error


def test_a_failure_without_a_message_still_has_its_type():
    record = failed(make_trial(), AssertionError())
    assert record.error == {"type": "AssertionError", "message": "AssertionError"}


def test_a_failure_that_nobody_meant_begins_with_its_type():
    record = failed(make_trial(), KeyError("w"))
    assert record.error == {"type": "KeyError", "message": "KeyError: 'w'"}


def test_a_sealed_record_that_contradicts_its_counts_is_refused():
    record = done(make_trial()).model_copy(
        update={"counts": {"test": Counts(correct=1, total=360)}}
    )
    sealed, _ = checksum_files({"record.json": record.to_json()})
    with pytest.raises(
        Unreadable, match=r"contradicts itself \(test_accuracy is 0.9, and 1 of 360"
    ):
        Record.from_json(sealed["record.json"], "here")


def test_records_without_counts_have_no_such_field():
    assert "counts" not in json.loads(done(make_trial()).to_json())


def changed(place, value):
    content = json.loads(done(make_trial()).to_json())
    *way, name = place
    at = content
    for step in way:
        at = at[step]
    at[name] = value
    return json.dumps(content).encode()


STRICT = {
    "a metric": ("metrics", "test_accuracy"),
    "an operation count": ("flops", "training"),
    "a time": ("timing", "seconds"),
    "zeros": ("layers", 0, "zeros"),
    "a shape": ("layers", 0, "shape", 0),
    "operations of a layer": ("layers", 0, "flops"),
    "a seed": ("trial", "seed"),
    "a schema version": ("schema_version",),
}


@pytest.mark.parametrize("what", [name for name in STRICT if name != "a time"])
@pytest.mark.parametrize("value", [True, "0.5", [1], None])
def test_a_number_is_a_number(what, value):
    with pytest.raises(InvalidInput, match="is not a record"):
        Record.from_json(changed(STRICT[what], value), "here", stored=False)


def test_an_integer_is_a_number_where_fractions_are_allowed():
    for what in ("a metric", "an operation count", "a time", "operations of a layer"):
        Record.from_json(changed(STRICT[what], 1), "here", stored=False)


@pytest.mark.parametrize("version", [-1, 0, True, 2.0, 10**30])
def test_a_schema_version_that_never_was_is_refused(version):
    with pytest.raises(InvalidInput, match="schema"):
        Record.from_json(changed(STRICT["a schema version"], version), "here", stored=False)


def test_a_value_that_is_given_twice_is_refused():
    data = done(make_trial()).to_json()
    twice = data.replace(b'"status": "done"', b'"status": "failed", "status": "done"')
    with pytest.raises(InvalidInput, match="'status' is given twice"):
        Record.from_json(twice, "here", stored=False)


def test_a_sparsity_has_as_many_digits_as_the_realised_one():
    assert KNOWN["nominal_sparsity"].text(0.899955) == "89.9955 %"
    assert KNOWN["exploration_rate"].text(0.899955) == "90.00 %"


def test_a_training_without_an_update_is_read_in_every_form_it_was_ever_written():
    def of(method="rigl", **changes):
        return done(make_trial(method)).model_copy(update=changes)

    assert of().never_updated == ""
    assert of(no_update="why").never_updated == "why"
    assert (
        of(notes=["a", f"{NO_UPDATE_NOTE} 40 steps"]).never_updated == f"{NO_UPDATE_NOTE} 40 steps"
    )
    assert "no mask changed" in of(schema_version=2).never_updated
    churned = done(make_trial("rigl")).metrics | {"mask_churn": 0.1}
    assert of(schema_version=2, metrics=churned).never_updated == ""
    assert of("static", schema_version=2).never_updated == ""  # it has no interval
    own = Declarations(method=RecordedMethod(title="a", family="b", source="c"))
    assert of(schema_version=2, declared=own).never_updated == ""
    assert failed(make_trial("rigl"), TrialFailed("no")).never_updated == ""


def test_the_field_is_left_out_where_there_is_nothing_to_say_and_is_one_line():
    record = done(make_trial())
    assert b"no_update" not in record.to_json()
    with_it = record.model_copy(update={"no_update": "why"})
    assert Record.from_json(with_it.to_json(), "here", stored=False).never_updated == "why"
    for text in ("a\nb", "x" * 400):
        bad = record.model_copy(update={"no_update": text})
        with pytest.raises(InvalidInput, match="no_update"):
            Record.from_json(bad.to_json(), "here", stored=False)


def test_the_note_of_older_records_is_that_of_methods():
    assert NO_UPDATE_NOTE == NO_UPDATE
