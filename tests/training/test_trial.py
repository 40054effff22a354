import io
import math

import polars as pl
import pytest
import torch
from safetensors.torch import load

import suite.training.rounds
from suite.core.errors import InvalidInput, TrialFailed
from suite.evaluation.measure import Measurements
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.counts import Counts, confusion_problem
from suite.results.record import Record
from suite.sparsity.sparsifier import Sparsifier
from suite.training import loop
from suite.training.context import TrialContext
from suite.training.curves import Curves
from suite.training.model import make_model
from suite.training.outcome import ONE_CLASS_PREDICTED, make_outcome
from suite.training.setup import prepare
from suite.training.trial import run_trial
from suite.training.verify_record import recompute
from tests.support.helpers import trained, trial
from tests.training.spy import spy_batches


def repeatable(record) -> dict:
    return record.model_dump(exclude={"timing"})


def test_a_trial_does_not_depend_on_what_ran_before_it():
    alone = trained(trial("rigl"))
    torch.manual_seed(123)
    run_trial(trial("set", seed=5))
    assert repeatable(run_trial(trial("rigl")).record) == repeatable(alone.record)


def test_paired_trials_start_from_the_same_weights():
    models = [
        make_model(TrialContext.of(trial(method, seed=3)))
        for method in ("rigl", "resonance", "dense")
    ]
    states = [model.state_dict() for model in models]
    for state in states[1:]:
        assert all(torch.equal(value, state[name]) for name, value in states[0].items())
    other = make_model(TrialContext.of(trial("rigl", seed=4))).state_dict()
    assert not torch.equal(states[0]["1.weight"], other["1.weight"])


def test_paired_trials_see_the_same_batches_in_the_same_order(monkeypatch):
    seen = [spy_batches(monkeypatch, trial(m, seed=3)) for m in ("dense", "rigl", "resonance")]
    assert len(seen[0]) == TrialContext.of(trial("dense")).plan.steps
    assert seen[0] == seen[1] == seen[2]
    assert spy_batches(monkeypatch, trial("dense", seed=4)) != seen[0]
    epoch = TrialContext.of(trial("dense")).plan.steps_per_epoch
    assert seen[0][:epoch] != seen[0][epoch : 2 * epoch]


def test_a_network_that_is_not_as_sparse_as_its_masks_fails(monkeypatch):
    real = Sparsifier.after_step

    def careless(self, step):
        real(self, step)
        self.layers[1].values.add_(1e-3)

    monkeypatch.setattr(Sparsifier, "after_step", careless)
    with pytest.raises(TrialFailed, match=r"sparsity: 3: \d+ weights outside its mask are not 0$"):
        run_trial(trial("rigl"))


def test_what_is_evaluated_is_what_is_kept():
    outcome = trained(trial("rigl"))
    files = outcome.files()
    kept = load(files["model.safetensors"])
    model = make_model(TrialContext.of(outcome.trial))
    model.load_state_dict(
        {n.removeprefix("model/"): v for n, v in kept.items() if n.startswith("model/")}
    )
    from suite.evaluation.scores import evaluate
    from tasks.loading import load_data

    data = load_data(registry.datasets()["digits"], 0.1, torch.device("cpu"))
    scores = evaluate(model, data.test)
    assert scores.accuracy == outcome.record.metrics["test_accuracy"]
    assert scores.counts == outcome.record.counts["test"]
    assert scores.correct_bits == files["correct.bits"]
    read = Record.from_json(files["record.json"], "here", stored=False)
    assert read.counts == outcome.record.counts
    assert confusion_problem(read.counts, read.metrics) == ""
    assert {split: counts.total for split, counts in read.counts.items()} == {
        split: read.data[split] for split in ("test", "validation")
    }


def test_a_search_counts_validation_only_and_leaves_no_test_predictions():
    outcome = run_trial(trial("static", evaluate="validation", recipe={"epochs": 1}))
    assert set(outcome.record.counts) == {"validation"}
    assert "correct.bits" not in outcome.files()


@pytest.mark.parametrize(
    ("bits", "metrics", "problem"),
    [
        (b"\x80", {"test_accuracy": 0.5, "test_macro_f1": 0.9}, "test_macro_f1 is 0.9, and 0.33"),
        (b"\xc0", {"test_accuracy": 0.5}, "correct.bits has 2 right predictions, not 1"),
        (b"\x80", {"test_accuracy": 0.4}, "1 of 2 predictions are right"),
    ],
)
def test_a_trainer_that_contradicts_its_own_counts_is_refused(bits, metrics, problem):
    counts = Counts(correct=1, total=2, confusion=("0:1", "0:1"))
    measures = Measurements(metrics, counts={"test": counts}, correct_bits=bits)
    with pytest.raises(ValueError, match=problem):
        make_outcome(
            trial("static"), measures=measures,
            flops={"inference_dense": 2.0, "inference": 1.0, "training": 6.0}, layers=[],
            timing={}, data={"test": 2}, tensors={}, curves=Curves(), notes=[],
        )  # fmt: skip


def test_a_network_that_predicts_one_class_only_is_noted():
    collapsed, learns = run_trial(trial("resonance")).record, trained(trial("rigl")).record
    assert ONE_CLASS_PREDICTED in collapsed.notes
    assert collapsed.metrics["test_balanced_accuracy"] == pytest.approx(0.1)
    assert ONE_CLASS_PREDICTED not in learns.notes
    assert learns.metrics["test_balanced_accuracy"] > 0.2


def test_curves_hold_losses_validation_and_churn():
    outcome = trained(trial("rigl"))
    table = pl.read_parquet(io.BytesIO(outcome.files()["curves.parquet"]))
    series = set(table["series"].unique())
    assert {"train_loss", "validation_accuracy", "sparsity", "dropped", "grown"} <= series
    assert table.filter(pl.col("series") == "train_loss").height == 4


def test_a_method_is_told_the_validation_accuracy_of_each_epoch_in_percent(monkeypatch):
    told = []
    monkeypatch.setattr(
        Sparsifier, "after_validation", lambda self, step, score: told.append((step, score))
    )
    rows = run_trial(trial("static", recipe={"validation": 0.25})).curves.rows
    recorded = [(r[1], 100 * r[-1]) for r in rows if r[2] == "validation_accuracy"]
    assert told == recorded
    assert len(told) == 4
    assert all(10 < score <= 100 for _, score in told)


@pytest.mark.slow
def test_lottery_ticket_rewinds_weights_and_keeps_the_dense_schedule_and_order(monkeypatch):
    """From the rewind step on, learning rates and batches are those of the dense run."""
    dense = spy_batches(monkeypatch, trial("dense"), rates=True)
    steps = len(dense)
    ticket = trial("lottery_ticket", sparsity=0.36, hyperparameters={"rewind_step": 17})
    seen = spy_batches(monkeypatch, ticket, rates=True)
    assert seen[:steps] == dense
    assert seen[steps : 2 * steps - 17] == dense[17:]
    assert seen[2 * steps - 17 :] == dense[17:]


@pytest.mark.parametrize("rewind", [0, 17])
def test_lottery_ticket_goes_back_to_the_weights_of_the_rewind_step(monkeypatch, rewind):
    import suite.training.rounds as rounds

    starts, real = [], rounds.train

    def watch(training, start, on_step=None):
        starts.append({n: v.clone() for n, v in training.model.state_dict().items()})
        real(training, start, on_step)

    monkeypatch.setattr(rounds, "train", watch)
    outcome = run_trial(
        trial("lottery_ticket", sparsity=0.36, hyperparameters={"rewind_step": rewind})
    )
    assert len(starts) == 3
    if rewind == 0:
        initial = make_model(TrialContext.of(outcome.trial)).state_dict()
        mask = outcome.tensors["mask/1"]
        assert torch.equal(starts[2]["1.weight"], initial["1.weight"] * mask)
        assert torch.equal(starts[2]["1.bias"], initial["1.bias"])
    else:
        nonzero = starts[2]["1.weight"] != 0
        assert torch.equal(starts[1]["1.weight"][nonzero], starts[2]["1.weight"][nonzero])


def test_every_round_is_charged():
    dense = trained(trial("dense")).record.flops["training"]
    ticket = trained(trial("lottery_ticket", sparsity=0.36)).record
    layers = {layer.name: layer.flops for layer in ticket.layers}
    assert dense * 2 < ticket.flops["training"] < dense * 3
    assert sum(layers.values()) == ticket.flops["inference_dense"]


@pytest.mark.parametrize("method", ["magnitude", "rigl"])
def test_a_step_is_charged_at_the_masks_that_it_ran_with(monkeypatch, method):
    """2 f(masks), and the weight gradients: of all weights where the method reads them."""
    charged, real = [], loop._step

    def step(training, number, batch, *rest):
        layers, flops = training.sparsifier.layers, training.ledger.flops
        sparse = sum(flops.layers[x.name] * x.active / x.size for x in layers) + flops.other
        dense = training.sparsifier.wants_dense_gradient(number)
        charged.append((2 * sparse + (flops.dense if dense else sparse)) * len(batch[0]))
        return real(training, number, batch, *rest)

    monkeypatch.setattr(loop, "_step", step)
    record = run_trial(trial(method)).record
    assert len(set(charged)) > 1
    assert record.flops["training"] == pytest.approx(sum(charged), rel=1e-12)


def test_training_on_everything_is_noted_and_turns_validation_off():
    outcome = run_trial(trial("resonance", recipe={"validation": 0}))
    assert outcome.record.data["validation"] == 0
    assert outcome.record.data["train"] == 1437
    assert "validation_accuracy" not in outcome.record.metrics
    assert "accuracy feedback was off" in outcome.record.notes[0]


def test_a_loss_that_is_not_finite_names_step_and_layer():
    with pytest.raises(TrialFailed, match=r"at step \d+, first in layer '\d'"):
        run_trial(trial("dense", recipe={"learning_rate": 1e30}))


def test_a_loss_that_is_checked_later_names_the_step_it_was_of():
    """On a GPU losses are read every so many steps; the first one that is not finite counts."""
    training = prepare(TrialContext.of(trial("dense")))
    batches = training.data.train.batch_source(training.context.recipe, 0).epoch(1)
    losses = torch.ones(40)
    losses[3] = losses[5] = math.nan
    loop._check_finite(training, losses, batches, 0, 2, 43)
    with pytest.raises(TrialFailed, match=r"^loss is nan at step 44, first in layer"):
        loop._check_finite(training, losses, batches, 0, 9, 50)
    with pytest.raises(TrialFailed, match=r"^loss is nan at step 46, first in layer"):
        loop._check_finite(training, losses, batches, 4, 9, 50)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(InvalidInput, match="give at most 1293"):
        run_trial(trial("dense", recipe={"batch_size": 2000}))


def test_a_missing_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInput, match="--device cpu"):
        run_trial(trial("dense", device="cuda"))


def test_accuracies_at_few_bits_are_on_record():
    metrics = trained(trial("resonance")).record.metrics
    assert {"test_accuracy_8bit", "test_accuracy_4bit", "test_accuracy_2bit"} <= set(metrics)


@pytest.mark.slow
def test_digits_are_learnt():
    outcome = run_trial(trial("dense", recipe={"epochs": 20}))
    assert outcome.record.metrics["test_accuracy"] >= 0.96


def test_a_small_dense_trial_has_the_sparse_networks_parameters_and_its_own_operations():
    small, dense = trained(trial("small_dense")).record, trained(trial("dense")).record
    prunable = sum(math.prod(layer.shape) for layer in dense.layers)
    biases = 128 + 64 + 10
    budget = prunable + biases - int(0.9 * prunable)
    weights = sum(math.prod(layer.shape) for layer in small.layers)
    units = sum(layer.shape[0] for layer in small.layers)
    assert 0.9 * budget < weights + units <= budget
    assert small.flops["inference_dense"] == dense.flops["inference_dense"]
    assert small.flops["inference"] == 2 * weights
    assert small.metrics["test_accuracy"] > 0.5


def test_small_dense_needs_a_model_with_a_width(monkeypatch):
    import tasks.models.mlp

    def stiff(shape, classes, *, hidden):
        return torch.nn.Linear(2, 2)

    monkeypatch.setattr(tasks.models.mlp, "mlp", stiff)
    with pytest.raises(InvalidInput, match="takes no 'width'"):
        run_trial(trial("small_dense"))


def test_a_reinitialised_ticket_starts_its_last_round_from_new_weights(monkeypatch):
    seen = []
    original = suite.training.rounds.train

    def watched(training, start, *rest):
        seen.append([p.detach().clone() for p in training.model.parameters()])
        original(training, start, *rest)

    monkeypatch.setattr(suite.training.rounds, "train", watched)
    options = {"control": "reinit", "rate": 0.5}
    ticket = run_trial(trial("lottery_ticket", recipe={"epochs": 1}, hyperparameters=options))
    first, *between, last = seen
    for weights in between:
        for now, before in zip(weights, first, strict=True):
            assert torch.equal(now[now != 0], before[now != 0])
    moved = [bool((now[now != 0] != b[now != 0]).all()) for now, b in zip(last, first, strict=True)]
    assert all(moved)
    assert ticket.record.status == "done"


@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_snip_may_train_from_newly_drawn_weights_under_the_masks_of_the_first(
    monkeypatch, execution
):
    seen = []
    original = suite.training.rounds.train

    def watched(training, start, *rest):
        layers = training.sparsifier.layers
        seen.append([(one.mask.clone(), one.values.detach().clone()) for one in layers])
        original(training, start, *rest)

    monkeypatch.setattr(suite.training.rounds, "train", watched)
    for fresh in (False, True):
        options = {"fresh_weights": fresh}
        of = trial("snip", recipe={"epochs": 1}, hyperparameters=options, execution=execution)
        assert run_trial(of).record.status == "done"
    for (mask, scored), (same, drawn) in zip(*seen, strict=True):
        assert torch.equal(mask, same)
        assert bool((scored[mask] != drawn[mask]).all())
        assert not drawn[~mask].any()


def test_scoring_is_charged_to_the_training_operations():
    plain, scored = (trained(trial(m)).record for m in ("static", "snip"))
    steps = plain.flops["training"] / plain.flops["inference"] / 3
    expected = 3 * scored.flops["inference"] * steps + 3 * 128 * scored.flops["inference_dense"]
    assert scored.flops["training"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("every", [1000, 50])
def test_a_training_too_short_for_an_update_says_so(every):
    outcome = run_trial(
        trial("rigl", recipe={"epochs": 4}, hyperparameters={"update_every": every})
    )
    said = [note for note in outcome.record.notes if "no update falls into these" in note]
    assert len(said) == (1 if every == 1000 else 0)


@pytest.mark.parametrize(
    ("method", "sparsity", "options", "why"),
    [
        # 64 × 128, 128 × 64 and 64 × 10 weights: (4096 + 320) / 17024, and 4096 / 17024.
        ("sr_ste", 0.5, {}, "0.259, not 0.5, because '1' stays dense (uniform_dense=none"),
        (
            "rigl",
            0.5,
            {"pattern": "2:4", "dense_layers": ["5"]},
            "0.241, not 0.5, because '1', '5' stay dense (uniform_dense=none prunes '1' too)",
        ),
        ("small_dense", 0.5, {}, ""),
        ("rigl", 0.5, {}, ""),
    ],
)
def test_a_network_that_ends_below_its_sparsity_says_which_layers_are_dense(
    method, sparsity, options, why
):
    record = run_trial(
        trial(method, sparsity=sparsity, hyperparameters=options, recipe={"epochs": 1})
    ).record
    said = [note for note in record.notes if "the network ends at a sparsity of" in note]
    assert len(said) == bool(why)
    assert why in "".join(said)


def test_methods_of_one_seed_share_a_validation_split_that_follows_the_seed():
    def held(method, seed, **recipe):
        of = trial(method, seed=seed, recipe={"epochs": 1} | recipe)
        return prepare(TrialContext.of(of)).data.validation.x

    follows = {"split_seed": "seed"}
    assert torch.equal(held("static", 3, **follows), held("snip", 3, **follows))
    assert not torch.equal(held("static", 3, **follows), held("static", 4, **follows))
    assert torch.equal(held("static", 3), held("static", 4))
    assert not torch.equal(held("static", 3), held("static", 3, **follows))


def test_the_key_of_a_trial_with_the_fixed_split_is_that_of_before():
    usual = trial("static")
    assert trial("static", recipe={"split_seed": "fixed"}).key == usual.key
    assert trial("static", recipe={"split_seed": "seed"}).key != usual.key
    outcome = trained(trial("static", recipe={"epochs": 1, "split_seed": "seed"}))
    assert recompute(outcome.record).problems == []


@pytest.mark.parametrize("recipe", [{"validation": 0.0}, {}])
def test_a_split_that_cannot_follow_the_seed_is_refused_before_anything_runs(recipe):
    task = "digits/mlp" if recipe else "tinyshakespeare/gpt_small"
    of = Trial.make(
        task=task, method="static", sparsity=0.9, recipe={"split_seed": "seed"} | recipe
    )
    with pytest.raises(InvalidInput, match="leave split_seed out"):
        TrialContext.of(of)
