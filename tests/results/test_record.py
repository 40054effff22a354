import json
import math

import pytest

from suite.errors import InvalidInput, TrialFailed
from suite.results.record import SCHEMA_VERSION, Record, failed
from tests.sample_records import done, make_trial


def test_a_record_written_as_json_and_read_again_is_the_same_record():
    record = done(make_trial(hyperparameters={"dense_layers": ["1"]}))
    again = Record.from_json(record.to_json(), "here")
    assert again.model_dump(mode="json") == record.model_dump(mode="json")
    assert again.to_json() == record.to_json()


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


def test_the_record_of_a_failure_says_what_failed_in_one_line():
    trial = make_trial(seed=4)
    record = failed(trial, TrialFailed("loss is nan at step 3\nand more"))
    assert record.status == "failed"
    assert record.key == trial.key
    assert record.error == {"type": "TrialFailed", "message": "loss is nan at step 3"}
    assert record.trial["seed"] == 4
    assert record.metrics == {}
    assert Record.from_json(record.to_json(), "here").error == record.error


def test_a_failure_without_a_message_still_has_its_type():
    record = failed(make_trial(), AssertionError())
    assert record.error == {"type": "AssertionError", "message": ""}
