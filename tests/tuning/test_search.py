"""Tunings that run: what they do, find, refuse and leave."""

import contextlib
import errno
import json
import os
import shutil
import sys

import optuna
import pytest
from optuna.trial import TrialState

from leaderboard.boards import build_boards
from suite.cli import app as cli
from suite.execution.engines import EngineOptions
from suite.execution.runner import Summary, execute
from suite.experiments.trial_config import Trial
from suite.results.store import Store
from suite.results.stored_studies import apart_from_studies
from suite.tuning import journal as journal_module
from suite.tuning import sampling, search, shared_study
from suite.tuning.schema import load_tuning
from suite.tuning.space import spaces_of
from suite.tuning.storage import open_storage
from tests.support import forked
from tests.support.sample_records import done

SHORT = "--task digits/mlp --recipe epochs=1 --engine inline --seeds 1"


def tuned(place, name: str, store: str = "results"):
    return load_tuning(Store(place / store), name)


def test_winner_and_default_are_tested_on_fresh_seeds_and_the_search_never(resonance, place):
    longer = SHORT.replace("epochs=1", "epochs=4")  # the default updates after 100 steps
    result = resonance(f"tune rigl {longer} --budget 5 --final-seeds 2 --name t")
    assert (result.code, result.err) == (0, "")
    found = tuned(place, "t")
    one, store = found.methods["rigl"], Store(place / "results")
    assert [trial.number for trial in one.trials] == list(range(5))
    assert one.trials[0].hyperparameters == {}
    best = max(one.trials, key=lambda trial: (trial.values[0], -trial.number))
    assert one.winner == best.number
    searched = [store.read(key) for trial in one.trials for key in trial.keys]
    assert {record.trial["seed"] for record in searched} == {1000}
    assert not [m for record in searched for m in record.metrics if m.startswith("test_")]
    tested = [store.read(key) for key in (*one.final.winner, *one.final.default)]
    assert {record.trial["seed"] for record in tested} == {0, 1}
    assert all("test_accuracy" in record.metrics for record in tested)
    assert tested[0].trial["hyperparameters"] == store.read(best.keys[0]).trial["hyperparameters"]
    boards, _ = build_boards(store.records(), found.tuned_keys())
    shown = {
        run.key for board in boards for _, row in board.rows for c in row if c for run in c.runs
    }
    assert shown == {*one.final.winner, *one.final.default}
    assert "optuna-dashboard" in result.out
    if one.winner:
        assert "on fresh seeds" in result.out


def test_a_repeated_search_finds_the_same_and_a_larger_budget_goes_on(
    resonance, place, monkeypatch
):
    line = f"tune rigl {SHORT} --final-seeds 0 --name t"
    resonance(f"{line} --budget 6 --store whole")
    resonance(f"{line} --budget 3 --store parts")
    ran = []
    run = search.run
    monkeypatch.setattr(
        search,
        "run",
        lambda trials, *rest, **more: ran.extend(trials) or run(trials, *rest, **more),
    )
    resonance(f"{line} --budget 6 --store parts")
    assert len({trial.key for trial in ran}) == 3
    whole, parts = tuned(place, "t", "whole"), tuned(place, "t", "parts")
    assert whole.methods == parts.methods
    assert whole.methods["rigl"].final is None


@pytest.fixture
def plain(resonance, place, monkeypatch):
    """Return a command whose searches train nothing: dropping more is better, the default worst."""

    def value(record):
        return record.trial["hyperparameters"].get("drop_fraction", 0.0)

    def run(trials, store, *rest, **more):
        store.prepare()
        for trial in trials:
            store.write(trial.key, {"record.json": done(trial).to_json()})
        return Summary(len(trials), [])

    monkeypatch.setitem(search.MEASURED, "accuracy", value)
    monkeypatch.setattr(search, "run", run)
    return lambda more: resonance(f"tune rigl {SHORT} --name t {more}")


def winners(place) -> tuple[dict[str, tuple[str, ...]], int]:
    one = tuned(place, "t")
    return one.tuned_keys(), one.methods["rigl"].winner


def test_runs_that_were_tested_stay_tuned_whatever_is_asked_next(plain, place):
    plain("--budget 2 --final-seeds 2")
    first, number = winners(place)
    assert len(first) == 2
    assert number == 1
    plain("--budget 12 --final-seeds 0")
    kept, number = winners(place)
    assert kept == first
    assert number > 1
    assert tuned(place, "t").methods["rigl"].final is None
    plain("--budget 12 --final-seeds 2")
    both, _ = winners(place)
    assert both.keys() > first.keys()
    assert [one.budget for one in tuned(place, "t").methods["rigl"].tested] == [2, 12]
    before = tuned(place, "t")
    result = plain("--budget 3 --final-seeds 0")
    assert tuned(place, "t") == before
    assert "was searched with --budget 12 before: using that" in result.out


def test_a_run_from_before_a_tuning_that_tests_it_too_is_not_the_tunings_only(plain, place):
    store = Store(place / "results")
    by_hand = Trial.make(
        task="digits/mlp", method="rigl", sparsity=0.9, seed=0, recipe={"epochs": 1}
    )
    store.prepare()
    store.write(by_hand.key, {"record.json": done(by_hand).to_json()})
    for budget in (2, 2, 12):
        plain(f"--budget {budget} --final-seeds 2")
        result = tuned(place, "t").methods["rigl"]
        assert by_hand.key in result.final.default
        apart, _ = apart_from_studies(store)
        assert by_hand.key not in apart
        assert {*result.final.default, *result.final.winner} - {by_hand.key} <= apart.keys()


def test_a_tested_run_of_an_interrupted_tuning_stays_the_tunings(plain, place, monkeypatch):
    run = search.run

    def killed(trials, *rest, **more):
        tests = [trial for trial in trials if trial.evaluate == "test"]
        run(trials[:1], *rest, **more)
        if tests:
            raise KeyboardInterrupt
        return Summary(len(trials), [])

    monkeypatch.setattr(search, "run", killed)
    assert plain("--budget 1 --final-seeds 2").code == 130
    monkeypatch.setattr(search, "run", run)
    assert plain("--budget 1 --final-seeds 2").code == 0
    tested = tuned(place, "t").methods["rigl"].final.default
    assert set(tested) <= apart_from_studies(Store(place / "results"))[0].keys()


def test_the_last_table_shows_the_realised_sparsity_of_winner_and_default(plain):
    result = plain("--budget 2 --final-seeds 2")
    head, row = (
        line.split("\t") for line in result.out.split("on fresh seeds;")[1].splitlines()[1:3]
    )
    assert dict(zip(head, row, strict=True))["zeros"] == "90.00 / 90.00"


def test_a_kill_before_the_tested_runs_leaves_what_was_tested(plain, place, monkeypatch):
    plain("--budget 2 --final-seeds 2")
    before = tuned(place, "t")

    def killed(*rest, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "_run", killed)
    assert plain("--budget 2 --final-seeds 2").code == 130
    assert tuned(place, "t") == before


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("--seed 1 --storage other.journal", "seed: stored 0, now 1"),
        ("-s 0.8 --storage other.journal", "sparsities: stored [0.9], now [0.8]"),
    ],
)
def test_a_document_made_under_other_settings_is_refused(plain, place, more, complaint):
    plain("--budget 2 --final-seeds 2")
    before = tuned(place, "t")
    result = plain(f"--budget 2 {more}")
    assert "tuning t was made under other settings" in result.complaint
    assert complaint in result.complaint
    assert tuned(place, "t") == before
    assert not (place / "other.journal").exists()


def test_another_storage_adds_to_the_document(plain, place):
    plain("--budget 6 --final-seeds 2")
    before = tuned(place, "t")
    assert plain("--budget 3 --final-seeds 0 --storage other.journal").code == 0
    assert tuned(place, "t") == before


def test_every_method_gets_the_same(resonance, place):
    resonance(
        f"tune static dense {SHORT} --recipe learning_rate --budget 3 -s 0.8 -s 0.9 "
        "--final-seeds 1 --name t"
    )
    found = tuned(place, "t")
    assert {name: len(one.trials) for name, one in found.methods.items()} == {
        "static": 3, "dense": 3,
    }  # fmt: skip
    static, dense = found.methods["static"], found.methods["dense"]
    assert [len(trial.keys) for trial in static.trials] == [2, 2, 2]
    assert [len(trial.keys) for trial in dense.trials] == [1, 1, 1]
    assert all("learning_rate" in trial.recipe for trial in static.trials[1:])


def test_several_objectives_give_a_front(resonance, place):
    result = resonance(
        f"tune magnitude {SHORT} --objectives accuracy,train_flops --budget 5 --final-seeds 0 "
        "--name t"
    )
    one = tuned(place, "t").methods["magnitude"]
    assert all(len(trial.values) == 2 for trial in one.trials)
    for number in one.front:
        accuracy, flops = one.trials[number].values
        assert not [t for t in one.trials if t.values[0] >= accuracy and t.values[1] < flops]
        assert f"front {number}" in result.out


def test_a_trial_is_stopped_between_its_seeds_and_the_default_never(resonance, place):
    resonance(
        "tune static --task digits/mlp --recipe epochs=1 --recipe learning_rate --engine inline "
        "--seeds 2 --budget 12 --pruner median --final-seeds 0 --name t"
    )
    one = tuned(place, "t").methods["static"]
    lengths = {trial.state: {len(trial.keys)} for trial in one.trials}
    assert lengths == {"complete": {2}, "pruned": {1}}
    assert one.trials[0].state == "complete"
    assert one.trials[one.winner].state == "complete"


def test_training_that_diverges_is_a_failed_trial_and_never_wins(resonance, place):
    result = resonance(
        f"tune rigl {SHORT} --recipe learning_rate=1e9 --budget 2 --final-seeds 0 --name t"
    )
    one = tuned(place, "t").methods["rigl"]
    assert [trial.state for trial in one.trials] == ["failed", "failed"]
    assert all("loss is" in trial.reason for trial in one.trials)
    assert one.winner is None
    assert result.code == 1
    assert "no trial was completed" in result.out


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("", "tasks: the list is empty"),
        ("--task digits/mlpp", "did you mean digits/mlp"),
        ("--task digits/mlp --budget 0", "--budget 0: give a whole number from 1"),
        ("--task digits/mlp --seeds 0", "--seeds 0: give 1 to"),
        ("--task digits/mlp --objectives ,", "the list is empty"),
        ("--task digits/mlp --recipe epochs", "declares no search space"),
        ("--task digits/mlp --recipe epoch=1", "did you mean epochs"),
        ("--task digits/mlp -s 1.5", "sparsity=1.5"),
        ("--task digits/mlp --recipe validation=0", "leaves no validation split"),
        ("--task digits/mlp --store memory://r", "is not a folder"),
        ("--task digits/mlp --storage /proc/x/t.journal", "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_written(
    resonance, place, more, complaint
):
    result = resonance(f"tune rigl --engine inline {more}")
    assert complaint in result.complaint
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("engine", ["", "--workers 2 --engine local"])
def test_no_method_is_searched_if_the_space_of_another_is_impossible(
    resonance, place, engine, monkeypatch
):
    monkeypatch.setattr(sampling, "MAX_ATTEMPTS", 100)
    line = f"tune static rigl {SHORT} --recipe max_steps=5 --budget 4 --name t {engine}"
    result = resonance(line)
    assert "method rigl: none of 100 configurations" in result.complaint
    assert list(place.iterdir()) == []


def test_no_method_is_searched_if_one_was_measured_by_a_version_that_lacks_the_metric(
    resonance, place
):
    old = Trial.make(
        task="digits/mlp", method="rigl", sparsity=0.9, seed=1000, recipe={"epochs": 1},
        evaluate="validation",
    )  # fmt: skip
    store = Store(place / "results")
    store.prepare()
    store.write(old.key, {"record.json": done(old).to_json()})
    result = resonance(f"tune static rigl {SHORT} --budget 2 --objectives macro_f1 --name t")
    assert f"trial {old.key} was made by an earlier version" in result.complaint
    assert store.keys() == [old.key]


def test_no_study_is_made_if_that_of_another_method_has_other_settings(resonance, place):
    line = f"tune {{}} {SHORT} --budget 1 --final-seeds 0 --name t --storage t.journal --store {{}}"
    assert resonance(line.format("static", "first")).code == 0
    before = (place / "t.journal").read_bytes()
    result = resonance(line.format("rigl static --seed 1", "second"))
    assert "study t/static was made under other settings (" in result.complaint
    assert "seed: stored 0, now 1" in result.complaint
    assert (place / "t.journal").read_bytes() == before
    assert not (place / "second").exists()


@pytest.mark.parametrize("harm", ["removed", "full"])
def test_a_journal_that_is_lost_midway_is_one_line_and_the_search_resumes(
    plain, place, monkeypatch, harm
):
    plain("--budget 6 --final-seeds 0 --store whole")
    journal = place / "results" / "tuning" / "t.journal"
    run, writes, trained = search.run, os.write, []

    def full(descriptor, content):
        if len(content) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return writes(descriptor, content[:20])

    def harmful(trials, *rest, **more):
        trained.extend(trial.key for trial in trials)
        ended = run(trials, *rest, **more)
        if harm == "full":
            monkeypatch.setattr(journal_module.os, "write", full)
        else:
            journal.unlink()
        return ended

    with monkeypatch.context() as patched:
        patched.setattr(search, "run", harmful)
        result = plain("--budget 6 --final-seeds 0")
    monkeypatch.setattr(journal_module.os, "write", writes)
    assert f"journal {journal} cannot be " in result.complaint
    assert "run the same command to resume" in result.complaint
    assert len(trained) > 0
    if harm == "full":
        assert journal.read_bytes().endswith(b"\n")
        assert [p.name for p in journal.parent.iterdir()] == ["t.journal"]
    # A journal that was full could not say that what was claimed is free again.
    monkeypatch.setattr(shared_study, "GRACE_SECONDS", 0.0)
    again = plain("--budget 6 --final-seeds 0")
    assert again.code == 0, again.err
    assert tuned(place, "t").methods == tuned(place, "t", "whole").methods


def test_a_search_space_that_has_changed_is_refused_and_the_study_untouched(
    resonance, place, monkeypatch
):
    line = f"tune rigl {SHORT} --budget 2 --final-seeds 0 --name t"
    resonance(line)
    journal = place / "results" / "tuning" / "t.journal"
    before = journal.read_bytes()
    spaces = search.spaces_of

    def changed(*given):
        found = spaces(*given)
        found["rigl"][2] = found["rigl"][2].model_copy(update={"high": 0.9})
        return found

    monkeypatch.setattr(search, "spaces_of", changed)
    result = resonance(line)
    assert "stored 0.05 to 0.6, now 0.05 to 0.9" in result.complaint
    assert journal.read_bytes() == before


def test_the_document_is_printed_for_programs(resonance, place):
    result = resonance(f"tune rigl {SHORT} --budget 1 --final-seeds 0 --name t --json")
    assert json.loads(result.out) == tuned(place, "t").model_dump(mode="json")


EPOCHS = (
    "tune static --task digits/mlp --recipe epochs=6 --recipe learning_rate --budget 7 "
    "--pruner median --prune-after epoch --final-seeds 0 --name t"
)


@pytest.fixture(scope="module")
def pruned_by_epoch(tmp_path_factory):
    """Return the folder of a search with two seeds whose trials are pruned after epochs."""
    folder = tmp_path_factory.mktemp("pruned")
    words = f"{EPOCHS} --seeds 2 --engine inline --store {folder / 'results'}".split()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["resonance", *words])
        with contextlib.suppress(SystemExit):
            cli.main()
    return folder


def test_a_trial_is_stopped_during_its_training_and_costs_its_share(pruned_by_epoch):
    one, store = tuned(pruned_by_epoch, "t").methods["static"], Store(pruned_by_epoch / "results")
    assert [trial.state for trial in one.trials[:4]] == ["complete"] * 4
    stopped = [trial for trial in one.trials if trial.state == "pruned"]
    assert one.pruned == len(stopped) > 0
    assert one.tried == len(one.trials) > 7
    assert one.spent == pytest.approx(sum(trial.share for trial in one.trials))
    assert 6 < one.spent <= 7
    for trial in stopped:
        trained = 6 * len(trial.keys) + len(trial.curve) * (len(trial.keys) == 0)
        assert len(trial.keys) < 2
        assert trial.share >= trained / 12
        assert trial.values == []
    assert all(trial.share == 1 for trial in one.trials if trial.state == "complete")
    assert one.trials[one.winner].state == "complete"
    assert sorted(store.keys()) == sorted({key for trial in one.trials for key in trial.keys})
    assert not list((pruned_by_epoch / "results").rglob("*.safetensors.tmp"))


def test_the_study_has_metric_names_and_values_after_each_epoch(pruned_by_epoch):
    journal = str(pruned_by_epoch / "results" / "tuning" / "t.journal")
    study = optuna.load_study(study_name="t/static", storage=open_storage(journal))
    assert study.metric_names == ["accuracy"]
    found = {trial.number: trial for trial in tuned(pruned_by_epoch, "t").methods["static"].trials}
    shown = {trial.user_attrs["number"]: trial for trial in study.get_trials()}
    for number, trial in found.items():
        assert list(shown[number].intermediate_values.values()) == trial.curve
        assert list(shown[number].intermediate_values) == list(range(1, len(trial.curve) + 1))
    states = {trial.state for trial in shown.values()}
    assert {TrialState.COMPLETE, TrialState.PRUNED} <= states


def test_a_budget_for_more_than_the_space_has_ends(resonance, place):
    line = "tune static --task digits/mlp --recipe epochs=2 --engine inline --seeds 1 --budget 10"
    resonance(f"{line} --pruner median --prune-after epoch --final-seeds 0 --name t")
    one = tuned(place, "t").methods["static"]
    assert {trial.hyperparameters.get("distribution", "erk") for trial in one.trials} == {
        "er",
        "erk",
    }
    assert 10 <= one.tried <= 11
    assert one.spent > 9


def test_workers_and_a_stop_midway_change_nothing(resonance, place, pruned_by_epoch, monkeypatch):
    line = f"{EPOCHS} --seeds 2"
    ran = []
    run = search.run

    def stopped(trials, *rest, **more):
        ran.extend(trials)
        if len(ran) > 12:
            raise KeyboardInterrupt
        return run(trials, *rest, **more)

    monkeypatch.setattr(search, "run", stopped)
    assert resonance(f"{line} --engine inline").code == 130
    # It goes on with workers, which are forked from a process that has imported torch.
    ended = forked.start([*line.split(), "--workers", "2"], cwd=place, text=True)
    _, err = ended.communicate(timeout=300)
    assert ended.returncode == 0, err
    assert tuned(place, "t").methods == tuned(pruned_by_epoch, "t").methods


def test_trainings_that_another_search_finished_are_judged_by_their_curves(
    resonance, place, pruned_by_epoch
):
    shutil.copytree(pruned_by_epoch / "results" / "trials", place / "results" / "trials")
    store = Store(place / "results")
    (place / "results" / "tuning").mkdir()
    found = tuned(pruned_by_epoch, "t").methods["static"]
    stopped = next(trial for trial in found.trials if trial.state == "pruned" and not trial.keys)
    config = tuned(pruned_by_epoch, "t").settings
    space = spaces_of(["static"], config.tasks, config.tuned_recipe)["static"]
    whole = search.Search(config, "static", space, store, EngineOptions())
    chosen = {"hyperparameters": stopped.hyperparameters, "recipe": stopped.recipe}
    for trial in whole.rungs(chosen)[0]:
        execute(trial, store)
    resonance(f"{EPOCHS} --seeds 2 --engine inline")
    again = tuned(place, "t").methods["static"].trials[stopped.number]
    assert again.model_copy(update={"keys": []}) == stopped


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("--recipe epochs=1 --pruner median --prune-after epoch", "trains for 1 epoch"),
        ("--pruner median --prune-after epoch --engine slurm", "--prune-after epoch: a Slurm job"),
        ("--recipe flops_budget=0.5 --pruner median --prune-after epoch", "under a flops_budget"),
        ("--pruner median --seeds 1", "prunes nothing"),
        ("--sampler bayes", "unknown sampler 'bayes'"),
        ("--sampler cmaes", "needs 2 numbers to tune"),
    ],
)
def test_pruners_and_samplers_that_do_not_fit_are_refused(resonance, place, more, complaint):
    result = resonance(f"tune static --recipe learning_rate --task digits/mlp {more}")
    assert complaint in result.complaint
    assert list(place.iterdir()) == []


def test_a_study_of_an_earlier_version_is_resumed_and_its_pruned_trials_count_as_whole_ones(
    resonance, place
):
    line = (
        "tune static --task digits/mlp --recipe epochs=1 --recipe learning_rate --engine inline "
        "--seeds 2 --budget 8 --pruner median --final-seeds 0 --name t"
    )
    resonance(line)
    now = tuned(place, "t").methods["static"]
    journal = place / "results" / "tuning" / "t.journal"
    asked, names, lines = 0, 0, []
    for text in journal.read_text().splitlines():
        entry = json.loads(text)
        if "study:metric_names" in entry.get("system_attr", {}):
            names += 1
            continue
        entry.get("user_attr", {}).get("told", {}).pop("share", None)
        asked += "asked" in entry.get("user_attr", {}) and "prune_after" not in text
        lines.append(json.dumps(entry))
    assert names == 1
    assert asked > 0
    assert now.pruned > 0
    journal.write_text("\n".join(lines) + "\n")
    (place / "results" / "tuning" / "t.json").unlink()
    assert resonance(line).code == 0
    then = tuned(place, "t").methods["static"]
    assert then.tried == 8
    assert then.spent == 8
    assert [one.values for one in then.trials] == [one.values for one in now.trials[:8]]
