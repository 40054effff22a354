from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from suite.core.errors import InvalidInput
from suite.execution import run_group as module
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.estimate import Estimate
from suite.execution.plan import Overwrite
from suite.execution.run_group import GroupPlan, plan_group, run_group
from suite.execution.run_study import StudyResult
from suite.experiments.study import Study
from suite.experiments.study_group import StudyGroup
from suite.results.store import Store
from suite.results.stored_studies import stored_studies, study_keys
from tests.execution.test_run_study import Told

INLINE = EngineOptions(EngineName.INLINE)


@pytest.fixture
def group(trial) -> StudyGroup:
    """Return two studies that have the trials of a method that raises in common."""
    shared = {"question": "?", "tasks": ["stripes/mlp"], "sparsities": [0.5], "seeds": 1}
    first = Study.make(name="first", methods=["good", "raises"], **shared)
    second = Study.make(name="second", methods=["raises", "dense"], **shared)
    return StudyGroup.make(name="both", question="?", studies=[first, second])


class Watched:
    """Says which study runs; each has an observer of its own."""

    def __init__(self) -> None:
        self.words: list[str] = []

    @contextmanager
    def __call__(self, study: Study) -> Iterator[Told]:
        told = Told()
        self.words.append(f"begin {study.name}")
        yield told
        self.words += [*told.words, f"end {study.name}"]


def run(
    group: StudyGroup, store: Store, overwrite: Overwrite = Overwrite.FAILED
) -> tuple[GroupPlan, list[StudyResult], list[str]]:
    """Plan and run a group; return the plan, how each study ended, and what was told."""
    watched = Watched()
    plan = plan_group(group, store, INLINE, overwrite)
    return plan, list(run_group(group, plan, store, INLINE, overwrite, watched)), watched.words


def test_each_study_is_planned_and_what_they_share_counts_once(group, store):
    plan = plan_group(group, store, INLINE)
    assert [(study.name, str(one)) for study, one in plan.studies] == [
        ("first", "0 done · 2 to run"),
        ("second", "0 done · 2 to run"),
    ]
    assert str(plan.total) == "0 done · 3 to run"
    assert plan.shared == 1
    assert store.keys() == []


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_a_trial_of_two_studies_runs_once_and_fails_in_both(group, store, overwrite, capsys):
    _, results, words = run(group, store, overwrite)
    assert words == [
        "begin first", "planned 0 done · 2 to run", "started good 0", "done good 0",
        "started raises 0", "failed raises 0", "end first",
        "begin second", "planned 0 done · 1 to run · 1 failed before", "started dense 0",
        "done dense 0", "end second",
    ]  # fmt: skip
    assert [(r.study.name, r.done, len(r.failed)) for r in results] == [
        ("first", 1, 1), ("second", 1, 1),
    ]  # fmt: skip
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("overwrite", "again"),
    [
        (Overwrite.NEVER, []),
        (Overwrite.FAILED, ["raises"]),
        (Overwrite.ALWAYS, ["good", "raises", "dense"]),
    ],
)
def test_the_same_group_again_runs_each_trial_at_most_once(group, store, overwrite, again):
    run(group, store)
    plan, results, words = run(group, store, overwrite)
    assert [trial.method for trial in plan.total.to_run] == again
    started = [word.split()[1] for word in words if word.startswith("started")]
    assert started == again
    assert [len(result.failed) for result in results] == [1, 1]


def test_everything_is_checked_before_the_first_study_runs(group, store, monkeypatch):
    last = Study.make(
        name="last", question="?", tasks=["promised/mlp"], methods=["dense"], seeds=1
    )  # its data are not what its declaration says
    more = group.model_copy(update={"studies": (*group.studies, last)})
    watched = Watched()
    plan = plan_group(more, store, INLINE)
    with pytest.raises(InvalidInput, match="promised"):
        next(run_group(more, plan, store, INLINE, Overwrite.FAILED, watched))
    assert watched.words == []
    assert store.keys() == []
    assert stored_studies(store) == ([], [])


def test_the_store_remembers_the_studies_and_not_the_group(group, store):
    run(group, store)
    remembered, _ = stored_studies(store)
    assert [one.name for one in remembered] == ["first", "second"]


def test_of_a_part_the_store_remembers_the_whole_studies(group, store):
    wider = [
        Study.make(**study.model_dump(mode="json") | {"tasks": ["stripes/mlp", "digits/mlp"]})
        for study in group.studies
    ]
    whole = StudyGroup.make(name="both", question="?", studies=wider)
    part = whole.on_tasks(["stripes/mlp"])
    plan = plan_group(part, store, INLINE)
    assert len(plan.total.by_key) == 3
    list(run_group(part, plan, store, INLINE, Overwrite.FAILED, Watched(), part_of=whole))
    for study in wider:
        assert study_keys(store, study.name) == list(study.trials_by_key())


def test_the_most_trials_are_those_that_would_run(group, store, monkeypatch):
    takes = Estimate(60.0, 1, "by a guess")
    monkeypatch.setattr(module, "estimate_trials", lambda *_, partly: takes)
    assert len(plan_group(group, store, INLINE, max_trials=3).total.to_run) == 3
    with pytest.raises(InvalidInput) as refused:
        plan_group(group, store, INLINE, max_trials=2)
    assert str(refused.value) == (
        "group both has 3 trials to run, more than --max-trials 2 (about 1 min with 1 worker "
        "(without their start), by a guess): run fewer tasks (--task) or single studies, or raise "
        "--max-trials"
    )
    run(group, store)
    assert plan_group(group, store, INLINE, Overwrite.NEVER, max_trials=1).total.to_run == []


def test_an_option_that_cannot_be_used_is_refused(group, store):
    with pytest.raises(InvalidInput, match="--timeout -1"):
        plan_group(group, store, EngineOptions(timeout=-1))
