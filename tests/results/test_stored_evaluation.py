"""Evaluations beside a record: what cannot have been measured is not read."""

import pytest

from suite.results.metadata_store import EVALUATIONS, save_document
from suite.results.store import Store
from suite.results.stored_evaluation import Evaluation, load_evaluations
from tests.support.sample_records import done, make_trial


def measured(store: Store, **parts: dict[str, float]) -> list[str]:
    """Store an evaluation with `parts` in place of its own, and return why it is not read."""
    trial = make_trial()
    record = done(trial)
    evaluation = Evaluation(
        key=record.key, model=record.digests.get("model", ""), device="cpu", threads=1,
        metrics={"test_nll": 0.5}, latency={"dense_1": 0.001}, absent={}, timing={}, environment={},
    )  # fmt: skip
    content = evaluation.model_dump(mode="json") | parts
    save_document(store, EVALUATIONS, evaluation.document, content)
    found, damaged = load_evaluations(store, record)
    assert len(found) + len(damaged) == 1
    return [one.reason for one in damaged]


def test_what_can_be_measured_is_read(store):
    assert measured(store) == []


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"latency": {"dense_1": -0.001}}, "dense_1 is -0.001 seconds: a latency is above 0"),
        ({"latency": {"half_64": 0.0}}, "half_64 is 0 seconds: a latency is above 0"),
        ({"metrics": {"test_accuracy_pgd10_0_3": 95.0}}, "is 95, not in [0, 1]"),
        ({"metrics": {"test_r2_8bit": 1.5}}, "test_r2_8bit is 1.5, more than 1"),
    ],
)
def test_what_cannot_is_named_with_what_is_allowed(store, parts, says):
    (reason,) = measured(store, **parts)
    assert says in reason
    assert "\n" not in reason
