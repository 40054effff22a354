"""`resonance evaluate`: a finished trial's weights, measured later."""

import json

import pytest
from safetensors.torch import load, save

from leaderboard.pages.inspection import inspect
from suite.core.errors import InvalidInput
from suite.evaluation import latency
from suite.evaluation.measure import CORRUPTED, GREY_FGSM, GREY_PGD, PGD
from suite.experiments import registry
from suite.results.stored_evaluation import load_evaluations, save_evaluation
from suite.training.stored_model import evaluate_stored
from tests.support.helpers import trained, trial
from tests.support.sample_records import revised


@pytest.fixture(scope="module")
def outcomes():
    return {m: trained(trial(m, recipe={"epochs": 20})) for m in ("rigl", "dense")}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(latency, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(latency, "MIN_RUNS", 3)


@pytest.fixture
def kept(store, outcomes):
    """Return a store that holds both trials."""
    for outcome in outcomes.values():
        store.write(outcome.trial.key, outcome.files())
    return store


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rigl", "dense"])
def test_a_later_evaluation_repeats_what_the_record_says_and_adds_to_it(kept, outcomes, method):
    record = kept.read(outcomes[method].trial.key)
    found = evaluate_stored(kept, record)
    for name in found.metrics.keys() & record.metrics.keys():
        assert found.metrics[name] == record.metrics[name], name
    assert found.metrics.keys() - record.metrics.keys() == {PGD, GREY_FGSM, GREY_PGD}
    assert CORRUPTED in found.metrics
    timed = {f"{variant}_{batch}" for variant in ("dense", "csr") for batch in (1, 128, 256)}
    condensed = {f"condensed_{batch}" for batch in (1, 128, 256)} if method == "rigl" else set()
    assert set(found.latency) - {"condensed_numba_1"} == timed | condensed
    assert set(found.absent) - {"condensed_numba"} == (
        {"two_four"} if condensed else {"two_four", "condensed"}
    )
    assert (found.key, found.model) == (record.key, record.digests["model"])


def test_an_evaluation_changes_neither_record_nor_key(kept, outcomes):
    key = outcomes["rigl"].trial.key
    before = kept.load(key, "record.json")
    save_evaluation(kept, evaluate_stored(kept, kept.read(key)))
    assert kept.load(key, "record.json") == before
    assert kept.keys() == sorted(outcome.trial.key for outcome in outcomes.values())


def test_only_evaluations_of_the_present_weights_are_read(kept, outcomes):
    record = kept.read(outcomes["rigl"].trial.key)
    assert load_evaluations(kept, record) == ([], [])
    evaluation = evaluate_stored(kept, record)
    save_evaluation(kept, evaluation)
    assert load_evaluations(kept, record) == ([evaluation], [])
    other = record.model_copy(update={"digests": {"model": "0" * 64}})
    assert load_evaluations(kept, other) == ([], [])


def test_a_damaged_evaluation_names_its_file(kept, outcomes):
    record = kept.read(outcomes["rigl"].trial.key)
    kept.backend.save_shared(f"evaluations/{record.key}-cpu.json", b"{}")
    found, (damaged,) = load_evaluations(kept, record)
    assert found == []
    assert damaged.path == f"evaluations/{record.key}-cpu.json"
    assert "delete it and run `resonance evaluate` again" in damaged.reason


def test_weights_that_are_missing_damaged_or_others_are_refused(kept, outcomes):
    outcome = outcomes["rigl"]
    record = kept.read(outcome.trial.key)
    files = outcome.files()
    weights = files.pop("model.safetensors")
    tensors = load(weights)
    tensors["model/1.bias"] += 1
    for content, complaint in (
        (None, "kept no weights"),
        (weights[:100], "is damaged"),
        (save(tensors), "not the weights of its record"),
    ):
        changed = files if content is None else {**files, "model.safetensors": content}
        kept.write(record.key, changed)
        with pytest.raises(InvalidInput, match=complaint) as caught:
            evaluate_stored(kept, record)
        assert record.key in str(caught.value)


def test_a_trial_evaluated_on_validation_data_is_told_that_it_keeps_no_weights(store):
    outcome = trained(trial("static", evaluate="validation", recipe={"epochs": 1}))
    store.write(outcome.trial.key, outcome.files())
    with pytest.raises(InvalidInput, match="this one has evaluate=validation: run it without"):
        evaluate_stored(store, store.read(outcome.trial.key))


def test_a_trial_of_an_older_revision_is_refused(kept, outcomes):
    record = kept.read(outcomes["rigl"].trial.key)
    with (
        revised(registry.methods()["rigl"], 99),
        pytest.raises(InvalidInput, match="has changed since; run it again: resonance run"),
    ):
        evaluate_stored(kept, record)


def test_the_command_measures_prints_and_keeps(resonance, kept, outcomes):
    keys = [outcome.trial.key for outcome in outcomes.values()]
    result = resonance("evaluate", *keys)
    assert result.code == 0
    assert result.out.count("test accuracy under PGD-10, ε = 8/255") == 2
    assert "2:4 sparsity is measured on GPUs" in result.out
    printed = json.loads(resonance("evaluate --json", keys[0][:8]).out)
    (kept_one,), _ = load_evaluations(kept, kept.read(keys[0]))
    assert printed == [json.loads(kept_one.model_dump_json())]


def test_the_command_refuses_what_it_does_not_find(resonance, kept):
    assert "no trial" in resonance("evaluate zzz").complaint
    assert "device" in resonance("evaluate --device tpu", kept.keys()[0]).complaint


@pytest.mark.slow
def test_a_trials_page_shows_both(kept, outcomes, tmp_path):
    record = kept.read(outcomes["rigl"].trial.key)
    page = inspect(kept, record.key, tmp_path / "before").page.read_text()
    assert "mean over our 30 corruptions" in page
    assert "Measured later" not in page
    save_evaluation(kept, evaluate_stored(kept, record))
    page = inspect(kept, record.key, tmp_path / "after").page.read_text()
    assert "Measured later on cpu" in page
    assert "under PGD-10" in page
