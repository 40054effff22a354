"""Reruns: who ran a trial again, and what came out differently."""

import pytest

from leaderboard.bundles.bundle_file import Header, Sender
from leaderboard.bundles.reruns import Rerun, differing_values, reruns
from tests.support.sample_records import done, make_trial

RECORD = done(make_trial())


def again(**changes):
    """Return another record of the trial, made a day later."""
    timing = {**RECORD.timing, "started": "2025-01-02T00:00:00+00:00"}
    return RECORD.model_copy(update={"timing": timing} | changes)


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, ()),
    ({"metrics": {**RECORD.metrics, "test_nll": 0.31}}, ("test_nll",)),
    ({"metrics": {**RECORD.metrics, "extra": 1.0}}, ()),
    ({"digests": {"model": "1" * 64}}, ("model",)),
    ({"flops": {**RECORD.flops, "training": 1.0}}, ("training",)),
    ({"status": "failed"}, ("status",)),
])  # fmt: skip
def test_only_values_that_both_have_differ(changes, expected):
    assert differing_values(RECORD, again(**changes)) == expected


def sender(name):
    return Sender(Header.make(name=name))


def test_somebody_else_who_ran_the_trial_has_rerun_it():
    off = again(digests={"model": "1" * 64})
    others = [(sender("B"), again()), (sender("C"), off), (sender("C"), off)]
    expected = (Rerun(sender("B"), ()), Rerun(sender("C"), ("model",)))
    assert reruns(RECORD, sender("A"), others) == expected
    assert reruns(RECORD, None, others) == expected


def test_a_copy_and_ones_own_trial_are_no_reruns():
    assert reruns(RECORD, sender("A"), [(sender("B"), RECORD), (sender("A"), again())]) == ()
