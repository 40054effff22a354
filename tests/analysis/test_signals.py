"""The trainer ``signals``: it trains as usual, reads dense gradients, and says where it cannot."""

import math

import pytest
import torch

from leaderboard.boards import build_boards
from leaderboard.bundles.record_checks import record_problems
from suite.analysis import signals
from suite.core.errors import Interrupted, InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.signal_measures import READINGS, LayerSignals, pruned
from suite.sparsity.rounds import TrainingProgress
from suite.training.context import TrialContext
from suite.training.rounds import train_rounds
from suite.training.trial import check_trial, run_trial
from suite.training.verify_record import recompute
from tests.support.helpers import trained, trial


def analysed(method: str = "dense", **given) -> Record:
    return trained(trial(method, trainer="signals", **given)).record


@pytest.mark.parametrize("method", ["dense", "rigl", "resonance"])
def test_training_is_that_without_the_analysis_bit_for_bit(method):
    record, usual = analysed(method), trained(trial(method)).record
    assert record.digests == usual.digests
    assert record.key != usual.key
    assert {n: record.metrics[n] for n in usual.metrics} == usual.metrics
    assert record.flops == usual.flops


def test_a_record_says_what_every_layer_and_the_network_give():
    record = analysed("rigl")
    for layer in record.layers:
        found = LayerSignals.of(layer.signals)
        assert found is not None
        assert (found.window, found.windows) == (32, record_steps(record) // 32)
        assert found.compared <= found.sampled - found.silent
        assert found.compared <= layer.size - layer.zeros
        assert set(found.readings) == set(READINGS)
        assert found.readings["rms"].reliability[1] > found.readings["dominant"].reliability[1]
    assert record.metrics[pruned("rms", "low")] < record.metrics[pruned("rms", "high")]
    assert Record.from_json(record.to_json(), "here", stored=False).layers == record.layers
    assert any("disjoint windows of 32" in note for note in record.notes)


def record_steps(record: Record) -> int:
    recipe = record.configuration["recipe"]
    return recipe["epochs"] * (record.data["train"] // recipe["batch_size"])


def test_such_a_record_passes_the_checks_and_is_on_no_board():
    record, usual = analysed("rigl"), trained(trial("rigl")).record
    assert list(record_problems(record)) == ["it has no checksums"]  # the store adds them
    assert [check.problems for check in recompute(record).checks if check.problems] == []
    boards, excluded = build_boards([record, usual])
    assert excluded == []
    assert [run.key for board in boards for *_, cell in board.cells() for run in cell.runs] == [
        usual.key
    ]


def test_gradients_are_dense_and_unclipped():
    clip = 1e-4
    given = trial("static", trainer="signals", recipe={"clip_norm": clip, "epochs": 2})
    training, recorder = signals._begin(TrialContext.of(given))
    train_rounds(training, TrainingProgress())
    readings = recorder.readings()
    power = sum(float(read.mean_square.sum()) for read in readings.values())
    assert math.sqrt(power) > 100 * clip
    for layer in training.sparsifier.layers:
        inactive = ~layer.mask.flatten()
        share = (readings[layer.name].mean_square[inactive] > 0).float().mean()
        assert float(share) > 0.5


def test_other_windows_have_trainers_of_their_own():
    record = run_trial(trial("dense", trainer="signals_16")).record
    (first, *_) = record.layers
    assert first.signals["window"] == 16
    for one in registry.trainers():
        if one.analysis:
            assert one.name in {"signals", f"signals_{signals.window_of(one.name)}"}
            assert signals.window_of(one.name) >= signals.SMALLEST_WINDOW


@pytest.mark.parametrize(
    ("method", "given", "reason"),
    [
        ("static", {"execution": "csr"}, "execution=csr: signals are read"),
        ("lottery_ticket", {}, "method lottery_ticket trains .* rounds"),
        (
            "dense",
            {"recipe": {"epochs": 1}, "trainer": "signals_128"},
            "window=128: 2 windows need .* give a smaller window",
        ),
        (
            "dense",
            {"recipe": {"epochs": 1, "batch_size": 60}, "trainer": "signals_16"},
            "window=16: 2 windows need .*: train longer$",
        ),
    ],
    ids=["csr", "rounds", "short", "short for the smallest window"],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(method, given, reason):
    refused = trial(method, **{"trainer": "signals"} | given)
    for attempt in (check_trial, run_trial):
        with pytest.raises(InvalidInput, match=reason):
            attempt(refused)


def test_real_targets_are_refused():
    with pytest.raises(InvalidInput, match="trainer signals trains on class labels"):
        check_trial(Trial.make(task="diabetes/mlp", method="dense", trainer="signals"))


def test_a_network_whose_window_takes_too_much_memory_is_refused(monkeypatch):
    monkeypatch.setattr(signals, "MAX_HELD", 1000)
    with pytest.raises(InvalidInput, match="GiB, more than"):
        check_trial(trial("dense", trainer="signals"))


class Stopping:
    """A checkpointer that is asked to stop."""

    def stopping(self) -> bool:
        return True


def test_it_stops_when_asked():
    with pytest.raises(Interrupted, match="no checkpoint is kept"):
        signals.train(trial("dense", trainer="signals"), checkpointer=Stopping())


def test_two_runs_are_the_same_and_other_seeds_are_not():
    torch.manual_seed(5)
    first, other = analysed(), analysed(seed=1)
    second = run_trial(trial("dense", trainer="signals")).record
    assert [layer.signals for layer in first.layers] == [layer.signals for layer in second.layers]
    assert first.metrics == second.metrics
    assert first.layers[0].signals != other.layers[0].signals


def test_a_training_of_unknown_length_is_refused():
    assert analysed("rigl", recipe={"epochs": 4, "flops_budget": 0.15}).status == "done"
    with pytest.raises(InvalidInput, match="how long str trains under it follows from the data"):
        check_trial(trial("str", trainer="signals", recipe={"epochs": 12, "flops_budget": 0.5}))
