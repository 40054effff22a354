"""Reruns: who ran a trial again, and what came out differently."""

import pytest

from leaderboard.bundles.bundle_file import Bundle, Header, Sender, each_once
from leaderboard.bundles.reruns import Rerun, differing_values, reruns
from leaderboard.bundles.signature import UNSIGNED, Signature
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


def sender(name, signer=""):
    signature = Signature("signed", signer, f"ED25519 {signer}") if signer else UNSIGNED
    return Sender(Header.make(name=name), signature)


def test_somebody_else_who_ran_the_trial_has_rerun_it():
    off = again(digests={"model": "1" * 64})
    others = [(sender("B"), again()), (sender("C"), off), (sender("C"), off)]
    expected = (Rerun(sender("B"), ()), Rerun(sender("C"), ("model",)))
    assert reruns(RECORD, sender("A"), others) == expected
    assert reruns(RECORD, None, others) == expected


def test_a_copy_and_ones_own_trial_are_no_reruns():
    assert reruns(RECORD, sender("A"), [(sender("B"), RECORD), (sender("A"), again())]) == ()
    signed = sender("A", "a@x")
    assert reruns(RECORD, signed, [(sender("other name", "a@x"), again())]) == ()


def test_a_name_without_a_signature_hides_nobody_who_has_signed():
    off = again(digests={"model": "1" * 64})
    bob = sender("Bob", "bob@x")
    others = [(sender("Bob"), again()), (bob, off)]
    assert reruns(RECORD, sender("A"), others) == (Rerun(bob, ("model",)), Rerun(sender("Bob"), ()))
    assert [one.by for one in reruns(RECORD, bob, [(sender("Bob"), off)])] == [sender("Bob")]


def test_a_signed_record_stands_before_an_unsigned_one_of_an_earlier_file():
    mallory = Bundle(Header.make(name="M"), [again(), done(make_trial(seed=1))], [])
    alice = Bundle(Header.make(name="A"), [RECORD], [], {}, sender("A", "a@x").signature)
    shown = each_once([mallory, alice])
    assert [[r.trial["seed"] for r in bundle.records] for bundle in shown] == [[1], [0]]
    assert shown[1].records == [RECORD]
