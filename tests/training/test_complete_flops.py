"""A record from before a method's own arithmetic was charged is completed, exactly."""

import pytest

from leaderboard.board_columns import NAMED_COLUMNS
from suite.training.complete_flops import with_own_arithmetic
from suite.training.verify_record import recompute
from tests.support.helpers import trained, trial


def earlier(record):
    """Return a record as it was written before the method's own arithmetic was charged."""
    flops = {name: value for name, value in record.flops.items() if name != "method"}
    flops["training"] -= record.flops["method"]
    return record.model_copy(update={"flops": flops})


@pytest.mark.parametrize("method", ["resonance", "chts", "sparsegpt"])
def test_a_record_without_it_is_valid_shows_no_cost_and_is_completed(method):
    record = trained(trial(method)).record
    assert record.flops["method"] > 0
    old = earlier(record)
    assert recompute(old).problems == []
    column = NAMED_COLUMNS["training_flops"]
    assert column.value(old) is None
    new = with_own_arithmetic(old)
    assert new.flops == pytest.approx(record.flops, rel=1e-12)
    assert column.value(new) == pytest.approx(record.flops["training"])
    assert recompute(new).problems == []


def test_what_needs_nothing_stays_the_same_object():
    done = trained(trial("rigl")).record
    whole = trained(trial("resonance")).record
    settings = whole.configuration | {"method_revision": 0}
    other = earlier(whole).model_copy(update={"configuration": settings})
    failed = whole.model_copy(update={"status": "failed", "flops": {}})
    for record in (done, earlier(done), whole, other, failed):
        assert with_own_arithmetic(record) is record
    assert NAMED_COLUMNS["training_flops"].value(earlier(done)) == done.flops["training"]
