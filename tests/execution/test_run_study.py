import dataclasses

import pytest

from suite.core.errors import InvalidInput
from suite.core.leases import Owner
from suite.execution import run_study as module
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.plan import Overwrite
from suite.execution.run_study import Silent, plan_study, run_study
from suite.experiments.study import Study, TaskEntry
from suite.results.record_index import FOLDER, RecordIndex
from suite.results.stored_studies import stored_study, study_keys

INLINE = EngineOptions(EngineName.INLINE)


class Told(Silent):
    """Writes down what it is told."""

    def __init__(self):
        self.words = []

    def planned(self, plan):
        self.words.append(f"planned {plan}")

    def started(self, trial):
        self.words.append(f"started {trial.method} {trial.seed}")

    def finished(self, trial, record):
        self.words.append(f"{record.status} {trial.method} {trial.seed}")


@pytest.fixture
def study(trial) -> Study:
    """Return a study of a method that works and one that raises."""
    return Study.make(
        name="two", question="?", tasks=["stripes/mlp"], methods=["good", "raises"],
        sparsities=[0.5], seeds=1,
    )  # fmt: skip


def test_an_observer_is_told_everything_and_nothing_is_printed(study, store, capsys):
    told = Told()
    result = run_study(study, store, INLINE, observer=told)
    assert told.words == [
        "planned 0 done · 2 to run",
        "started good 0",
        "done good 0",
        "started raises 0",
        "failed raises 0",
    ]
    assert result.done == 1
    assert [(t.method, why) for t, why in result.failed] == [
        ("raises", "RuntimeError: the update broke")
    ]
    assert sum(result.notes.values()) > 0
    assert capsys.readouterr() == ("", "")


def test_what_failed_before_and_is_not_run_again_is_a_failure_of_the_study(study, store):
    first = run_study(study, store, INLINE)
    told = Told()
    again = run_study(study, store, INLINE, Overwrite.NEVER, told)
    assert told.words == ["planned 1 done · 0 to run · 1 failed before"]
    assert again.done == 0
    assert again.failed == first.failed
    assert len(run_study(study, store, INLINE, Overwrite.FAILED).failed) == 1


def test_a_finished_study_clears_what_a_killed_process_left(study, store):
    key = study.trials()[0].key
    run_study(study, store, INLINE)
    dead = dataclasses.replace(Owner.current(), pid=2**22 + 1).label()
    store.backend.save_shared(f"checkpoints/{key}.safetensors", b"state")
    store.backend.save_shared(f"checkpoints/{key}-{dead}.lease", b"held")
    (store.trials / f".new-{key}-{dead}").mkdir()
    run_study(study, store, INLINE, Overwrite.NEVER)
    assert not (store.root / "checkpoints").exists()
    assert store.keys() == sorted(path.name for path in store.trials.iterdir())


def test_trials_of_other_thread_counts_have_an_engine_of_their_own(study, store, monkeypatch):
    made = []
    make = EngineOptions.make

    def noted(self, store, device, threads, *more):
        made.append((device, threads))
        return make(self, store, device, threads, *more)

    monkeypatch.setattr(EngineOptions, "make", noted)
    trials = study.trials()
    trials.append(trials[0].model_copy(update={"threads": 2}))
    monkeypatch.setattr(Study, "trials_by_key", lambda self: {t.key: t for t in trials})
    assert run_study(study, store, INLINE).done == 2
    assert made == [("cpu", 1), ("cpu", 2)]


def test_an_option_that_cannot_be_used_is_refused_before_anything_is_written(study, tmp_path):
    from suite.results.store import Store

    nowhere = Store(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="--timeout -1"):
        run_study(study, nowhere, EngineOptions(timeout=-1))
    assert not (tmp_path / "nowhere").exists()


def test_a_plan_writes_nothing(study, tmp_path):
    from suite.results.store import Store

    assert len(plan_study(study, Store(tmp_path / "nowhere")).to_run) == 2
    assert not (tmp_path / "nowhere").exists()


def test_the_records_of_a_large_study_are_indexed_while_it_runs_and_at_its_end(
    study, store, monkeypatch
):
    indexed = []

    class Watching(Silent):
        def finished(self, trial, record):
            indexed.append(len(RecordIndex(store.backend)))

    monkeypatch.setattr(module, "INDEX_EVERY", 3)
    monkeypatch.setattr(module, "LEAST_INDEXED", 2)
    eight = study.model_copy(update={"seeds": (0, 1, 2, 3)})
    run_study(eight, store, INLINE, observer=Watching())
    assert indexed == [0, 0, 0, 3, 3, 3, 6, 6]
    assert len(RecordIndex(store.backend)) == 8
    again = run_study(eight, store, INLINE, Overwrite.NEVER)
    assert (len(again.plan.done), len(again.plan.failed)) == (4, 4)


def test_a_small_study_needs_no_index(study, store):
    run_study(study, store, INLINE)
    assert not (store.root / FOLDER).exists()


def test_a_study_does_without_an_index_that_cannot_be_written(study, store, monkeypatch):
    monkeypatch.setattr(module, "LEAST_INDEXED", 1)
    (store.root / FOLDER).write_text("a file")
    assert run_study(study, store, INLINE).done == 1


def test_the_store_remembers_the_whole_study_when_a_part_is_run(study, store):
    whole = study.model_copy(update={"tasks": (*study.tasks, TaskEntry(name="digits/mlp"))})
    part = whole.on_tasks(["stripes/mlp"])
    for _ in range(2):  # trials run, then all are done
        result = run_study(part, store, INLINE, Overwrite.NEVER, part_of=whole)
        assert len(result.plan.by_key) == 2
        assert study_keys(store, "two") == list(whole.trials_by_key())
        assert Study.make(**stored_study(store, "two").study) == whole
        assert stored_study(store, "two").earlier == ()
    assert len(store.keys()) == 2
