import pytest

from suite.training.curves import Curves


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
