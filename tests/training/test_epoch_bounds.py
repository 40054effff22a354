"""A trial ends below its bound, and is as without bounds if it never is."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from suite.core.errors import Interrupted, TrialPruned
from suite.execution.checkpoints import Checkpoints
from suite.execution.local import LocalEngine
from suite.execution.runner import Inline, execute, run
from suite.execution.worker_handle import WorkerConfig
from suite.results.running_trials import running_trials
from suite.results.store import Store
from suite.training.epoch_bounds import EpochBounds
from suite.tuning.trained import epoch_scores
from tests.support import forked
from tests.support.sample_records import make_trial

EPOCHS = 4


@pytest.fixture
def searched():
    return make_trial("rigl", recipe={"epochs": EPOCHS}, evaluate="validation")


def test_the_best_or_the_latest_score_must_reach_the_bound():
    scores = [0.5, 0.3, 0.6]
    assert EpochBounds((None, 0.4), best=False).ends_after(scores) == 2
    assert EpochBounds((None, 0.4), best=True).ends_after(scores) is None
    assert EpochBounds((0.5,), best=False).ends_after(scores) is None
    assert EpochBounds((0.6, 0.6), best=True).ends_after(scores) == 1
    assert EpochBounds((), best=True).ends_after(scores) is None


def test_a_pruned_trial_leaves_nothing_in_the_store(searched, store):
    with pytest.raises(TrialPruned) as end:
        execute(searched, store, every="1steps", bounds=EpochBounds((None, 2.0), best=True))
    assert len(end.value.scores) == 2
    assert store.keys() == []
    assert Checkpoints(store).keys() == []
    assert running_trials(store) == []


def test_a_trial_above_its_bounds_is_as_without_them(searched, store):
    plain = execute(searched, store)
    scores = epoch_scores(store, plain)
    free = EpochBounds((0.0, 0.0, 0.0, 2.0), best=True)  # the last epoch has no bound
    bounded = execute(searched, store, bounds=free)
    assert bounded.digests == plain.digests
    assert bounded.metrics == plain.metrics
    assert epoch_scores(store, bounded) == scores
    assert len(scores) == EPOCHS


def test_a_trial_that_is_resumed_ends_at_the_same_epoch(searched, store):
    bounds = EpochBounds((0.0, 0.0, 2.0), best=True)
    with pytest.raises(TrialPruned) as whole:
        execute(searched, store, bounds=bounds)
    calls = iter(range(10**6))
    with pytest.raises(Interrupted) as stopped:
        execute(searched, store, stopping=lambda: next(calls) == 50, bounds=bounds)
    assert not isinstance(stopped.value, TrialPruned)
    assert Checkpoints(store).keys() == [searched.key]
    with pytest.raises(TrialPruned) as resumed:
        execute(searched, store, bounds=bounds)
    assert resumed.value.scores == whole.value.scores
    assert Checkpoints(store).keys() == []


def bounded(kind: str, store: Store) -> dict[str, Any]:
    """Run three trials, of which the second one is pruned; return the summary and what was told."""
    trials = [
        make_trial("rigl", seed=seed, recipe={"epochs": 2}, evaluate="validation")
        for seed in range(3)
    ]
    key = trials[1].key
    if kind == "inline":
        engine = Inline(store, bounds={key: EpochBounds((2.0,), best=False)})
    else:
        given = {key: {"lowest": [2.0], "best": False}}
        engine = LocalEngine(WorkerConfig(store.location, bounds=given), 2)
    told = []
    summary = run(trials, store, engine, lambda trial, record: told.append(trial.key))
    return {
        "keys": [trial.key for trial in trials],
        "told": told,
        "done": summary.done,
        "failed": len(summary.failed),
        "pruned": {key: list(scores) for key, scores in summary.pruned.items()},
    }


def bounded_in_workers() -> None:
    """Do so with the local engine on the store that the command line names."""
    print(json.dumps(bounded("local", Store(sys.argv[1]))))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["inline", "local"])
def test_engines_return_the_scores_of_pruned_trials_and_run_the_others(kind, store):
    if kind == "inline":
        found = bounded("inline", store)
    else:  # in a process whose workers are forked from one that has imported torch
        process = forked.start(
            [store.location], cwd=Path.cwd(), text=True, call=f"{__name__}:bounded_in_workers"
        )
        out, err = process.communicate(timeout=300)
        assert out, err
        found = json.loads(out.splitlines()[-1])
    first, key, last = found["keys"]
    assert found["done"] == 2
    assert found["failed"] == 0
    assert list(found["pruned"]) == [key]
    assert len(found["pruned"][key]) == 1
    assert sorted(store.keys()) == sorted(found["told"]) == sorted([first, last])
