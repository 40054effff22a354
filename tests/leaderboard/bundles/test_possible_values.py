"""A record that cannot be is refused with the check that finds it; what was measured passes."""

import math
from typing import Any

import pytest

from leaderboard.bundles.bundle_file import read_bundle
from leaderboard.bundles.record_checks import record_checks
from suite.experiments.trial_config import key_of
from suite.results.metrics import CORRUPTED, CORRUPTIONS, contradictions
from suite.results.record import Record
from suite.results.record_check import COUNTED, DATA, KEY, LAYERS, POSSIBLE, STATED, TOTAL, Check
from tests.leaderboard.sample_bundles import content, forged, packed, sample
from tests.support.helpers import trained, trial
from tests.support.sample_records import done, make_trial

METHODS = ("dense", "static", "rigl", "lottery_ticket", "resonance")


def genuine(method: str = "static") -> Record:
    return forged(trained(trial(method)).record)


def before(record: Record) -> dict[str, Any]:
    """Return the fields of a record from before predictions were counted."""
    return {"schema_version": 2, "counts": {}, "metrics": dict(record.metrics)}


def problems(record: Record) -> dict[str, tuple[str, ...]]:
    return {check.name: check.problems for check in record_checks(record) if check.problems}


def changed(record: Record, **metrics: float) -> dict[str, Any]:
    fields = before(record)
    return fields | {"metrics": fields["metrics"] | metrics}


def first_layer(record: Record, **values: object) -> dict[str, Any]:
    layers = [layer.model_dump() for layer in record.layers]
    return {"layers": [layers[0] | values, *layers[1:]]}


@pytest.mark.parametrize("method", METHODS)
def test_a_measured_record_passes_every_check_with_and_without_counts(method):
    record = genuine(method)
    assert record.counts.keys() == {"test", "validation"}
    assert problems(record) == {}
    assert problems(forged(record, **before(record))) == {}
    made = {check.name for check in record_checks(record) if not check.skipped}
    assert {DATA, POSSIBLE, COUNTED, LAYERS} <= made


def resettled(record: Record, **settings: object) -> dict[str, Any]:
    changes = record.trial | settings
    configuration = record.configuration | settings
    return {
        "trial": changes,
        "configuration": configuration,
        "key": key_of(changes, configuration),
    }


def theirs(**says: object) -> dict[str, Any]:
    return {"declared": {"method": {"title": "x", "family": "x", "source": "x"} | says}}


def first_layer_only(record: Record) -> dict[str, Any]:
    return {"layers": [record.layers[0].model_dump() | {"zeros": 0, "unconnected_units": 0}]}


IMPOSSIBLE = {
    "a checksum of zeros": (
        lambda r: {"data": r.data | {"checksum": "0" * 64}}, DATA, "no SHA-256 of data"),
    "the checksum of other data": (
        lambda r: {"data": r.data | {"checksum": "ab" * 32}}, DATA, "by dataset digits"),
    "a test set of 2": (
        lambda r: {**changed(r, test_accuracy=0.5), "data": r.data | {"test": 2}},
        DATA, "test is 2, 360"),
    "a larger training set": (
        lambda r: {"data": r.data | {"train": 1437}}, DATA, "train is 1437, 1293"),
    "true for a number": (
        lambda r: {**before(r), "data": r.data | {"test": True}}, DATA, "not a number of examples"),
    "an accuracy between counts": (
        lambda r: changed(r, test_accuracy=0.99999), COUNTED, "no whole number of 360"),
    "a rounded accuracy": (
        lambda r: changed(r, validation_accuracy=0.91), COUNTED, "no whole number of 144"),
    "rounded weights": (
        lambda r: changed(r, test_accuracy_4bit=0.123), COUNTED, "no whole number of 360"),
    "an attack": (
        lambda r: changed(r, test_accuracy_fgsm_8_255=0.123), COUNTED, "no whole number of 360"),
    "a corruption": (
        lambda r: changed(r, test_accuracy_corrupted_blur=0.1234), COUNTED, "in 5 passes"),
    "no counts": (lambda r: {"counts": {}}, COUNTED, "no counts of the test split"),
    "another confusion matrix": (
        lambda r: {"metrics": r.metrics | {"test_balanced_accuracy": 0.5}}, COUNTED, "confusion"),
    "no confusion matrix": (
        lambda r: {"counts": {n: {"correct": c.correct, "total": c.total}
                              for n, c in r.counts.items()}},
        COUNTED, "confusion matrix of 0, not 10"),
    "balanced accuracy of 1": (
        lambda r: changed(r, test_balanced_accuracy=1.0), POSSIBLE, "every prediction is right"),
    "macro-F1 of 0": (
        lambda r: changed(r, test_macro_f1=0.0), POSSIBLE, "no prediction is right"),
    "an NLL of 0": (lambda r: changed(r, test_nll=0.0), POSSIBLE, "wrong predictions cost"),
    "a mean of corruptions": (
        lambda r: changed(r, **dict.fromkeys(CORRUPTIONS, 0.5), **{CORRUPTED: 0.25}),
        POSSIBLE, "the mean over its kinds"),
    "8 bits far above the network": (
        lambda r: changed(r, test_accuracy=0.1, test_accuracy_8bit=1.0), POSSIBLE,
        "test_accuracy_8bit is 1: with test_accuracy 0.1 it is at most 0.35"),
    "4 bits far above the network": (
        lambda r: changed(r, test_accuracy=0.1, test_accuracy_4bit=0.9), POSSIBLE, "at most 0.6"),
    "an attack that helps": (
        lambda r: changed(r, test_accuracy=0.1, test_accuracy_fgsm_8_255=0.9),
        POSSIBLE, "at most 0.35"),
    "corruptions that help": (
        lambda r: changed(r, test_accuracy=0.1, **dict.fromkeys((CORRUPTED, *CORRUPTIONS), 0.5)),
        POSSIBLE, "test_accuracy_corrupted is 0.5: with test_accuracy 0.1"),
    "a corruption that helps": (
        lambda r: changed(r, test_accuracy=0.1, test_accuracy_corrupted_blur=0.9),
        POSSIBLE, "at most 0.6"),
    "a negative accuracy before projection": (
        lambda r: changed(r, validation_score_before_projection=-0.5),
        POSSIBLE, "an accuracy is 0 to 1"),
    "active weights that were never active": (
        lambda r: changed(r, exploration_rate=0.001), LAYERS, "active at last"),
    "validation without a split": (
        lambda r: {**before(r), "data": r.data | {"validation": 0}}, DATA, "validation is 0, 144"),
    "an ECE of 1": (lambda r: changed(r, test_ece=1.0), POSSIBLE, "it is at most"),
    "a negative training loss": (lambda r: changed(r, train_loss=-5.0), POSSIBLE, "below 0"),
    "a boundless NLL": (lambda r: changed(r, test_nll=1e90), POSSIBLE, "at most 1e+39"),
    "balanced accuracy near 0": (
        lambda r: changed(r, test_balanced_accuracy=1e-9), POSSIBLE, "of 10 classes it is"),
    "macro-F1 near 1": (
        lambda r: changed(r, test_macro_f1=0.99999), POSSIBLE, "of 10 classes it is"),
    "another metric to rank by": (
        lambda r: {"metric": "nll"}, POSSIBLE, "ranked by nll, its task by accuracy"),
    "negative seconds": (
        lambda r: {"timing": r.timing | {"seconds": -5.0}}, STATED, "seconds is -5.0"),
    "no memory": (
        lambda r: {"timing": r.timing | {"peak_memory_bytes": 0.0}}, STATED, "no training takes"),
    "a start in the future": (
        lambda r: {"timing": r.timing | {"started": "9999-12-31T23:59:59+00:00"}},
        STATED, "in the future"),
    "a start that is no date": (
        lambda r: {"timing": r.timing | {"started": "x"}}, STATED, "no date"),
    "no digests": (lambda r: {"digests": {}}, STATED, "no digest of its weights"),
    "a digest of text": (
        lambda r: {"digests": {"model": "hello"}}, STATED, "'hello': no SHA-256"),
    "an error of a finished trial": (
        lambda r: {"error": {"type": "X"}}, STATED, "done, and has an error"),
    "measured and absent": (
        lambda r: {"absent": {"test_accuracy": "x"}}, STATED, "measured and absent"),
    "metrics of a failed trial": (
        lambda r: {"status": "failed", "error": {"type": "X"}}, STATED, "failed, and has metrics"),
    "a failure without an error": (
        lambda r: {"status": "failed", "metrics": {}, "counts": {}, "flops": {}, "digests": {}},
        STATED, "failed without an error"),
    "a GPU that is not named": (
        lambda r: resettled(r, device="cuda"), STATED, "names no GPU"),
    "processes that batches cannot be shared by": (
        lambda r: resettled(r, processes=4096), KEY, "cannot share batches"),
    "zeros of a dense method": (
        lambda r: resettled(r, method="theirs") | theirs(dense=True), TOTAL, "declared dense"),
    "an own method without zeros": (
        lambda r: resettled(r, method="theirs") | theirs() | first_layer_only(r), TOTAL,
        "no weight is zero"),
    "unconnected units": (
        lambda r: changed(r, unconnected_units=0.001), LAYERS, "its layers give"),
    "silent units": (lambda r: changed(r, silent_units=0.999), LAYERS, "its layers give"),
    "collapsed layers": (lambda r: changed(r, collapsed_layers=2), LAYERS, "its layers give"),
    "more silent units than units": (
        lambda r: first_layer(r, silent_units=10_000), LAYERS, "cannot be silent"),
    "connected units without weights": (
        lambda r: first_layer(r, zeros=8191, unconnected_units=0), LAYERS, "active weights it is"),
    "a larger format": (
        lambda r: first_layer(r, storage="dense"), LAYERS, "is smaller"),
    "a smaller file": (lambda r: changed(r, sparse_bytes=100.0), LAYERS, "its layers save"),
}  # fmt: skip


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_a_record_that_cannot_be_is_refused_by_its_check(kind, tmp_path):
    record = genuine()
    change, check, says = IMPOSSIBLE[kind]
    wrong = forged(record, **change(record))
    found = problems(wrong)
    assert any(says in problem for problem in found[check]), found
    assert all("\n" not in problem and len(problem) < 300 for problem in found[check])
    path = packed(tmp_path / "a.jsonl.gz", content(wrong))
    assert read_bundle(path).records == []  # so that no site shows it
    assert len(read_bundle(path, possible=False).records) == 1


REFUSED = {
    "R² of 1.5": ({"metrics": {"test_accuracy": 0.9, "test_r2": 1.5}}, "more than 1"),
    "RMSE of -1": ({"metrics": {"test_accuracy": 0.9, "test_rmse": -1.0}}, "less than 0"),
    "NLL of -1": ({"metrics": {"test_accuracy": 0.9, "test_nll": -1.0}}, "less than 0"),
    "ECE of 2": ({"metrics": {"test_accuracy": 0.9, "test_ece": 2.0}}, "not in [0, 1]"),
    "a latency of 0": ({"metrics": {"test_accuracy": 0.9, "dense_1": 0.0}}, "above 0"),
    "a negative latency": ({"metrics": {"test_accuracy": 0.9, "csr_128": -1.0}}, "above 0"),
    "precision of 2": (
        {"metrics": {"test_accuracy": 0.9, "recovered_precision": 2.0}},
        "not in [0, 1]",
    ),
    "churn of 2": ({"metrics": {"test_accuracy": 0.9, "mask_churn": 2.0}}, "not in [0, 1]"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_metric_out_of_its_range_is_no_record(kind, tmp_path):
    changes, says = REFUSED[kind]
    path = packed(tmp_path / "a.jsonl.gz", content(sample(), **changes))
    (rejected,) = read_bundle(path).rejected
    assert says in rejected.reason


def test_of_a_task_that_is_not_known_here_the_record_alone_is_checked():
    record = genuine()
    settings = record.trial | {"task": "somebody/theirs"}
    own = {"trial": settings, "key": key_of(settings, record.configuration)}
    checks = {check.name: check for check in record_checks(forged(record, **own))}
    assert checks[DATA] == Check(DATA, skipped="its task is not known here")
    assert checks[COUNTED].how == "with counts"
    wrong = forged(record, **own, **changed(record, test_accuracy=0.99999))
    assert "no whole number of 360" in problems(wrong)[COUNTED][0]
    zeros = forged(record, **own, data=record.data | {"checksum": "0" * 64})
    assert DATA in problems(zeros)


def test_text_counts_predicted_characters():
    record = done(make_trial(task="tinyshakespeare/gpt_small@short", sparsity=0.5))
    total, right = 1742 * 64, 50_000
    bits = 2.0
    text = {
        "schema_version": 3,
        "metric": "bits_per_character",
        "metrics": {
            "test_accuracy": right / total,
            "test_nll": bits * math.log(2),
            "test_bits_per_character": bits,
        },
        "counts": {"test": {"correct": right, "total": total}},
    }
    assert problems(forged(record, **text)).keys() <= {"zeros in all"}
    old = text | {"schema_version": 2, "counts": {}}
    assert COUNTED not in problems(forged(record, **old))
    off = old | {"metrics": text["metrics"] | {"test_accuracy": (right + 0.5) / total}}
    assert "no whole number of 111,488 predictions" in problems(forged(record, **off))[COUNTED][0]
    nats = old | {"metrics": text["metrics"] | {"test_nll": 2.0}}
    assert "test_nll gives" in problems(forged(record, **nats))[POSSIBLE][0]
    few = old | {"metrics": text["metrics"] | {"validation_accuracy": 0.0, "test_nll": math.log(2)}}
    few["metrics"] |= {"test_bits_per_character": 1.0, "validation_bits_per_character": 0.9}
    (problem,) = problems(forged(record, **few))[POSSIBLE]
    assert problem.startswith("validation_bits_per_character is 0.9: 1 wrong predictions cost")


@pytest.mark.parametrize("name", ["scoring", "method"])
def test_a_part_of_training_above_all_of_it_is_named(name):
    record = genuine("resonance")
    flops = record.flops | {name: 1.01 * record.flops["training"]}
    (problem,) = problems(forged(record, flops=flops))[POSSIBLE]
    assert "training FLOPs" in problem
    assert f"{name} {flops[name]:g}" in problem
    older = {entry: value for entry, value in record.flops.items() if entry != name}
    assert problems(forged(record, flops=older)) == {}


def test_a_network_that_predicts_another_class_after_rounding_is_honest():
    record = genuine()
    rounded = {name: 288 / 360 for name in record.metrics if name.endswith("bit")}
    assert len(rounded) == 2
    for constant, refused in ((0.8, set()), (None, set()), (0.5, {"test_accuracy_8bit"})):
        values = record.metrics | rounded | {"test_accuracy": 0.0}
        found = [line for line in contradictions(values, constant=constant) if "bit is" in line]
        assert {line.split()[0] for line in found} == refused


@pytest.mark.parametrize(("rows", "accepted"), [((320, 40), True), ((40,) * 9, False)])
def test_where_counts_say_how_frequent_classes_are_they_bound_a_constant_prediction(rows, accepted):
    record = genuine()
    confusion = ["", *(f"0:{n}" for n in rows)]  # always class 0, which never occurs
    test = {"correct": 0, "total": 360, "confusion": confusion + [""] * (10 - len(confusion))}
    counts = {"test": test, "validation": record.counts["validation"].model_dump()}
    zero = dict.fromkeys(("test_accuracy", "test_balanced_accuracy", "test_macro_f1"), 0.0)
    others = {n: v for n, v in record.metrics.items() if "corrupted" not in n and "fgsm" not in n}
    metrics = others | zero | {"test_nll": 9.0, "test_ece": 0.5} | {
        f"test_accuracy_{bits}bit": 320 / 360 for bits in (4, 8)
    }  # fmt: skip
    found = problems(forged(record, counts=counts, metrics=metrics))
    assert found.keys() == (set() if accepted else {POSSIBLE})
    assert accepted or "it is at most 0.361111" in found[POSSIBLE][0]
