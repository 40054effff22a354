"""Which trial of a search is whose, and what happens to those of the dead."""

import dataclasses

import optuna
import pytest
from optuna.trial import TrialState

from suite.core.errors import InvalidInput
from suite.core.leases import Owner
from suite.tuning import shared_study as module
from suite.tuning.sampling import Proposal
from suite.tuning.schema import Dimension
from suite.tuning.shared_study import SharedStudy
from suite.tuning.storage import open_storage

SPACE = [Dimension(name="share", parameter="share", low=0, high=1)]
BATCH = {n: Proposal({"share": n / 4}, {}, n) for n in range(4)}
DEAD = dataclasses.replace(Owner.current(), pid=2**22 + 1)  # above the largest of Linux
REUSED = dataclasses.replace(Owner.current(), started="1")


@pytest.fixture
def path(tmp_path) -> str:
    return str(tmp_path / "t.journal")


def open_study(path: str, asked: object = "a") -> SharedStudy:
    settings = {"space": asked}
    return SharedStudy(open_storage(path), "t/rigl", ["maximize"], settings, ["accuracy"])


def test_a_trial_is_claimed_once(path):
    one, two = open_study(path), open_study(path)
    one.enqueue(SPACE, BATCH)
    assert one.claim(range(4), 3) == [0, 1, 2]
    assert two.claim(range(4), 3) == [3]
    assert two.claim(range(4), 3) == []


def test_a_batch_that_two_add_at_once_counts_once(path):
    one, two = open_study(path), open_study(path)
    one.enqueue(SPACE, BATCH)
    two.enqueue(SPACE, BATCH)
    assert sorted(one.claim(range(4), 9) + two.claim(range(4), 9)) == [0, 1, 2, 3]
    waiting = [t for t in one._study.get_trials() if t.state == TrialState.WAITING]
    assert waiting == []


def test_what_was_told_is_there_for_others(path):
    one = open_study(path)
    one.enqueue(SPACE, BATCH)
    one.claim([0], 1)
    one.tell(0, TrialState.COMPLETE, [0.5], [0.4, 0.5], {"keys": ["k"], "curve": [0.4, 0.5]})
    trial = open_study(path).trials()[0]
    assert (trial.state, trial.values) == (TrialState.COMPLETE, [0.5])
    assert module.finished_trial(trial).curve == [0.4, 0.5]
    assert trial.intermediate_values == {1: 0.4, 2: 0.5}


@pytest.mark.parametrize("owner", [lambda: DEAD, lambda: REUSED])
def test_a_dead_process_gives_up_its_claim_at_once(path, owner):
    one, two = open_study(path), open_study(path)
    one._me = owner().label()
    one.enqueue(SPACE, BATCH)
    one.claim([0, 1], 2)
    assert two.reclaim(range(4)) == [0, 1]
    assert sorted(two.trials()) == [2, 3]
    two.enqueue(SPACE, {n: BATCH[n] for n in (0, 1)})
    assert two.claim(range(2), 2) == [0, 1]
    one.tell(0, TrialState.COMPLETE, [0.1], [], {})
    two.tell(0, TrialState.COMPLETE, [0.9], [], {})
    assert two.trials()[0].values == [0.9]


@pytest.mark.parametrize(
    "worker",
    [Owner("0a1b2c3d4e5f", 1, "7").label(), ["an earlier version's", 1, "x"]],
    ids=["another place", "an earlier version"],
)
def test_a_process_elsewhere_is_given_up_only_when_its_heart_stops(path, monkeypatch, worker):
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    one, two = open_study(path), open_study(path)
    one._me = worker
    one.enqueue(SPACE, BATCH)
    one.claim([0], 1)
    for beat in range(5):
        assert two.reclaim([0]) == []
        clock[0] += module.GRACE_SECONDS - 1
        one._storage.set_trial_user_attr(one.trials()[0]._trial_id, module.HEARTBEAT_ATTR, beat)
    assert two.reclaim([0]) == []
    clock[0] += module.GRACE_SECONDS + 1
    assert two.reclaim([0]) == [0]


def test_the_heart_beats_while_claims_are_held_and_what_is_left_is_given_up(path, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    one, two = open_study(path), open_study(path)
    one.enqueue(SPACE, BATCH)
    one.claim([0, 1], 2)
    with one.heartbeat([0, 1]):
        until = module.time.monotonic() + 300
        while module.HEARTBEAT_ATTR not in two.trials()[1].user_attrs:
            assert module.time.monotonic() < until
        one.tell(0, TrialState.COMPLETE, [0.5], [], {})
    assert sorted(two.trials()) == [0, 2, 3]


def test_a_study_that_was_asked_something_else_is_refused_with_both_shown(path):
    open_study(path, "one of 16, 32")
    before = open_study(path, "one of 16, 32")._study.user_attrs
    with pytest.raises(InvalidInput, match="stored one of 16, 32, now one of 16, 64"):
        open_study(path, "one of 16, 64")
    assert open_study(path, "one of 16, 32")._study.user_attrs == before


def test_a_line_that_a_killed_process_did_not_finish_is_cut_off(path, tmp_path):
    open_study(path).enqueue(SPACE, BATCH)
    with (tmp_path / "t.journal").open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    again = open_study(path)
    assert again.claim(range(4), 4) == [0, 1, 2, 3]
    assert len(optuna.load_study(study_name="t/rigl", storage=open_storage(path)).trials) == 4
