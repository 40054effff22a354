"""Which records of a bundle are run again."""

import pytest

from suite.cli.check_process import chosen_records
from suite.core.errors import InvalidInput
from tests.support.sample_records import done, make_trial

RECORDS = [done(make_trial(seed=seed)) for seed in range(20)]


def test_a_record_is_named_as_other_verbs_name_it():
    for record in RECORDS:
        assert chosen_records(RECORDS, record.key[:12].upper(), 0) == [record]


def test_a_number_is_of_trials_that_the_seed_draws():
    assert len(chosen_records(RECORDS, "any", 3)) == 1
    drawn = chosen_records(RECORDS, "5", 3)
    assert len({record.key for record in drawn}) == 5
    assert drawn == chosen_records(RECORDS, "5", 3) != chosen_records(RECORDS, "5", 4)
    assert chosen_records(RECORDS, "1", 3) == chosen_records(RECORDS, "any", 3)


def test_four_digits_are_the_start_of_a_key():
    record = RECORDS[0].model_copy(update={"key": f"1234{'a' * 12}"})
    assert chosen_records([*RECORDS, record], "1234", 0) == [record]


@pytest.mark.parametrize("asked", ["0", "21", "999"])
def test_more_trials_than_have_finished_are_refused(asked):
    with pytest.raises(InvalidInput, match=f"--rerun {asked}: 20 trials .* give 1 to 20, or a key"):
        chosen_records(RECORDS, asked, 0)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "no trial is given"),
        ("xyz", "no trial in the file has a key that begins so"),
        (RECORDS[0].key[:4], f"keys in the file begin so \\(.*{RECORDS[0].key}"),
    ],
)
def test_what_names_no_record_or_several_is_refused(name, why):
    same = [done(make_trial(seed=0)).model_copy(update={"key": f"{name}{'0' * 12}"})]
    with pytest.raises(InvalidInput, match=why):
        chosen_records([RECORDS[0], *(same if len(name) == 4 else ())], name, 0)


def test_any_of_none_is_refused():
    with pytest.raises(
        InvalidInput, match="--rerun any: 0 trials of the file have finished: leave"
    ):
        chosen_records([], "any", 0)
