"""Reruns: who ran a trial again, and what came out differently."""

import pytest

from leaderboard.bundles.reruns import Rerun, differing, reruns
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
    assert differing(RECORD, again(**changes)) == expected


def test_somebody_else_who_ran_the_trial_has_rerun_it():
    off = again(digests={"model": "1" * 64})
    found = reruns([("A", RECORD)], [("B", again()), ("C", off), ("C", off)])
    assert found == {RECORD.key: [Rerun("B", ()), Rerun("C", ("model",))]}


def test_a_copy_ones_own_trial_and_another_trial_are_no_reruns():
    other = done(make_trial(seed=1))
    assert reruns([("A", RECORD)], [("B", RECORD), ("A", again()), ("B", other)]) == {}
