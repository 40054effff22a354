"""Facts of a trial are what boards and tables read of its record, and survive as text."""

import pytest

from leaderboard.boards import Boards, build_boards
from leaderboard.data_frames import trial_frame
from leaderboard.terms import uncounted
from leaderboard.trial_facts import FactsReader, TrialResult, facts_text
from suite.core.errors import TrialFailed
from suite.results.record import Record, failed
from tests.leaderboard.at_equal_flops import at_equal_flops
from tests.leaderboard.sample_boards import hostile, planted
from tests.support.sample_records import done, make_trial, with_counts

SAMPLES = {
    "planted": planted,
    "hostile": hostile,
    "at equal FLOPs": at_equal_flops,
    "counted": lambda: [with_counts(done(make_trial(seed=seed))) for seed in range(3)],
    "failed": lambda: [failed(make_trial(), TrialFailed("no"))],
}


def facts(records: list[Record]) -> list[TrialResult]:
    reader = FactsReader()
    return [reader.read(facts_text(record)) for record in records]


@pytest.mark.parametrize("sample", SAMPLES)
def test_boards_and_tables_of_facts_are_those_of_records(sample):
    records = SAMPLES[sample]()
    found = facts(records)
    assert build_boards(found) == build_boards(records)
    assert trial_frame(found).equals(trial_frame(records))
    assert [*map(uncounted, done_ones(found))] == [*map(uncounted, done_ones(records))]
    one, other = Boards(), Boards()
    placed = [
        (a._replace(record=None), b._replace(record=None))  # type: ignore[arg-type]
        for a, b in ((one.add(x), other.add(y)) for x, y in zip(records, found, strict=True))
    ]
    assert all(a == b for a, b in placed)


def done_ones(found: list) -> list:
    return [one for one in found if one.status == "done"]


def test_what_seeds_share_is_in_memory_once():
    one, other = facts([done(make_trial(seed=0)), done(make_trial(seed=1))])
    assert one.configuration is other.configuration
    assert one.layers is other.layers
    assert (one.trial["seed"], other.trial["seed"]) == (0, 1)


def test_facts_say_which_weights_and_which_record_they_are_of():
    record = done(make_trial())
    record.digests["model"] = "abc"
    (found,) = facts([record])
    assert (found.fingerprint, found.weights) == (record.fingerprint, "abc")
