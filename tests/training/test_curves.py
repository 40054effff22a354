import copy
import math

import pytest

from suite.training.curves import Curves
from suite.training.serialization import pack, unpack


def update(curves: Curves, step: int, dropped: int, grown: int, active: int, size: int) -> None:
    """Report one layer's update as a sparsifier does; `active` is after it."""
    curves.add(step, "dropped", dropped, "1")
    curves.add(step, "grown", grown, "1")
    curves.add(step, "density", active / size, "1")


def test_churn_is_the_share_of_active_weights_dropped_averaged_over_updates():
    curves = Curves()
    update(curves, 0, 900, 0, 100, 1000)  # the first masks
    update(curves, 10, 30, 30, 100, 1000)
    update(curves, 20, 10, 10, 100, 1000)
    assert curves.churn({"1": 1000}) == pytest.approx(0.2)


def test_churn_of_pruning_is_relative_to_what_was_active_before():
    curves = Curves()
    update(curves, 10, 600, 0, 400, 1000)
    assert curves.churn({"1": 1000}) == pytest.approx(0.6)


def test_rounds_are_separate_updates():
    curves = Curves()
    update(curves, 10, 50, 50, 100, 1000)
    curves.round = 1
    update(curves, 10, 10, 10, 100, 1000)
    assert curves.churn({"1": 1000}) == pytest.approx(0.3)


def test_a_network_whose_connectivity_never_changed_has_no_churn():
    assert Curves().churn({"1": 1000}) is None


def test_what_no_table_can_hold_is_refused_when_it_is_reported():
    with pytest.raises(TypeError, match="give the layer's name"):
        Curves().add(1, "moved", 3.0, object())
    with pytest.raises(TypeError):
        Curves().add(1, "moved", object(), "1")


def example() -> Curves:
    """Return curves with a layer, a histogram and two rounds."""
    curves = Curves()
    update(curves, 10, 30, 30, 100, 1000)
    curves.add(10, "threshold", [0.1, 1 / 3, 2.5], "1")
    curves.begin_round(1)
    curves.add(20, "train_loss", 0.25)
    return curves


def test_a_frame_has_a_row_for_each_value():
    frame = example().to_frame()
    assert frame.columns == ["round", "step", "series", "layer", "index", "value"]
    assert frame.rows() == example().rows
    histogram = frame.filter(series="threshold")
    assert histogram["index"].to_list() == [0, 1, 2]
    assert histogram["value"].to_list() == [0.1, 1 / 3, 2.5]
    assert Curves().to_frame().schema == frame.schema


def test_saved_curves_go_on_where_they_were():
    saved = unpack(pack(example().state_dict()))[0]
    curves = Curves()
    curves.add(1, "density", 1.0, "of a new attachment")
    curves.load_state_dict(saved)
    assert curves == example()
    curves.add(30, "train_loss", math.inf)
    assert curves.rows[-1] == (1, 30, "train_loss", "", 0, math.inf)


def test_curves_without_rows_are_saved_and_restored():
    curves = example()
    curves.load_state_dict(Curves().state_dict())
    assert curves == Curves()


@pytest.mark.parametrize("missing", ["names", "whole", "values", "round"])
def test_a_state_that_lacks_something_changes_nothing(missing):
    state = example().state_dict()
    del state[missing]
    curves = Curves()
    update(curves, 10, 600, 0, 400, 1000)
    before = copy.deepcopy(curves)
    with pytest.raises(KeyError, match=missing):
        curves.load_state_dict(state)
    assert curves == before


def test_what_was_moved_counts_from_the_first_step_on():
    curves = Curves()
    curves.add(0, "dropped", 90, "a")
    curves.add(0, "grown", 10, "a")
    assert not curves.moved()
    curves.add(5, "dropped", 0, "a")
    curves.add(5, "train_loss", 1)
    assert not curves.moved()
    curves.add(6, "grown", 1, "a")
    assert curves.moved()
