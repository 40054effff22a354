"""Which record of a bundle is run again."""

import pytest

from suite.cli.check_process import one_of
from suite.core.errors import InvalidInput
from tests.support.sample_records import done, make_trial

RECORDS = [done(make_trial(seed=seed)) for seed in range(20)]


def test_a_record_is_named_as_other_verbs_name_it():
    for record in RECORDS:
        assert one_of(RECORDS, record.key[:12].upper(), 0) is record
    assert one_of(RECORDS, "any", 3) in RECORDS


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "no trial is given"),
        ("xyz", "no trial in the file has a key that begins so"),
        (RECORDS[0].key[0], f"keys in the file begin so \\(.*{RECORDS[0].key}"),
    ],
)
def test_what_names_no_record_or_several_is_refused(name, why):
    same = [done(make_trial(seed=0)).model_copy(update={"key": f"{name}{'0' * 15}"})]
    with pytest.raises(InvalidInput, match=why):
        one_of([RECORDS[0], *(same if len(name) == 1 else ())], name, 0)


def test_any_of_none_is_refused():
    with pytest.raises(InvalidInput, match="--rerun any: no trial of the file has finished"):
        one_of([], "any", 0)
