from suite.core.errors import TrialFailed
from suite.results.counts import Counts
from suite.results.record import failed
from suite.results.stored_evaluation import Evaluation, save_evaluation
from tests.support.sample_records import done, make_trial


def put(store, record) -> None:
    store.write(record.key, {"record.json": record.to_json()})


def lines_of(result) -> dict[str, str]:
    """Return the named lines of the first block."""
    assert result.code == 0, result.err
    pairs = (line.strip().partition("  ") for line in result.out.splitlines()[1:] if line)
    return {name: text.strip() for name, _, text in pairs}


def test_a_failed_trial_shows_why_and_how_to_run_it_again(resonance, store):
    trial = make_trial("rigl", hyperparameters={"update_every": 10}, recipe={"epochs": 2})
    put(store, failed(trial, TrialFailed("loss is nan")))
    result = resonance("show", trial.key)
    found = lines_of(result)
    assert result.out.splitlines()[0].endswith("seed=0: failed")
    assert found["error"] == "TrialFailed: loss is nan"
    assert found["settings"] == "update_every=10 epochs=2"
    assert found["again"] == trial.command()
    assert f"trials/{trial.key}: record.json" in found["files"]


def test_notes_layers_and_later_measures_are_shown(resonance, store):
    record = done(make_trial())
    put(store, record)
    save_evaluation(
        store,
        Evaluation(
            key=record.key, model=record.digests["model"], device="cpu", threads=1,
            metrics={}, latency={"dense_1": 0.002}, absent={}, timing={}, environment={},
        ),
    )  # fmt: skip
    result = resonance("show", record.key[:8])
    assert lines_of(result)["note"] == "trained on all training data"
    assert "1\t10×100\t1,000\t900\t0.9000" in result.out
    assert "measured later on cpu, 1 threads" in result.out
    assert "2.000 ms" in result.out


def test_a_trial_of_a_method_that_is_not_installed_is_shown_too(resonance, store):
    record = done(make_trial())
    strange = record.model_copy(update={"trial": record.trial | {"method": "elsewhere"}})
    put(store, strange)
    again = lines_of(resonance("show", record.key))["again"]
    assert again.startswith("not here: method elsewhere is not known")


def test_right_predictions_are_shown_as_counts(resonance, store):
    counts = {"test": Counts(correct=324, total=360, confusion=("0:324 1:36", ""))}
    record = done(make_trial(), 0.9).model_copy(update={"counts": counts})
    store.write(record.key, {"record.json": record.to_json()})
    shown = resonance("show", record.key).out
    assert "324 of 360 right" in shown
    assert "0:324" not in shown


def test_training_flops_are_shown_in_their_parts_where_the_record_has_them(resonance, store):
    record = done(make_trial())
    put(store, record)
    training = record.flops["training"]
    assert lines_of(resonance("show", record.key))["training FLOPs"] == f"{training:.4g}"
    parts = {"scoring": 0.0, "method": 0.25 * training}
    put(store, record.model_copy(update={"flops": record.flops | parts}))
    assert lines_of(resonance("show", record.key))["training FLOPs"] == (
        f"{training:.4g} = {0.75 * training:.4g} for steps + "
        f"{0.25 * training:.4g} for the method's own arithmetic"
    )
