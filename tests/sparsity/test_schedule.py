import pytest

from suite.sparsity.schedule import CosineDecay, CubicRamp, UpdateSchedule


def test_the_last_update_happens_even_where_the_interval_does_not_divide():
    schedule = UpdateSchedule(every=30, start=0, end=100, close=True)
    assert [t for t in range(1, 200) if schedule.is_update(t)] == [30, 60, 90, 100]


def test_without_closing_the_last_update_lies_on_the_interval():
    schedule = UpdateSchedule(every=30, start=30, end=100)
    assert [t for t in range(1, 200) if schedule.is_update(t)] == [30, 60, 90]


def test_the_cubic_ramp_is_zhu_and_guptas():
    ramp = CubicRamp(initial=0.2, final=0.9, start=10, end=110)
    assert ramp(5) == ramp(10) == pytest.approx(0.2)
    assert ramp(60) == pytest.approx(0.9 + (0.2 - 0.9) * 0.5**3)
    assert ramp(110) == ramp(500) == 0.9


def test_the_cosine_decay_is_rigls():
    fraction = CosineDecay(initial=0.3, end=100)
    assert fraction(0) == pytest.approx(0.3)
    assert fraction(50) == pytest.approx(0.15)
    assert fraction(100) == fraction(150) == 0


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize(
    ("every", "start", "end"),
    [(30, 0, 100), (30, 30, 100), (7, 7, 6), (5, -12, 20), (1, 1, 9), (10, 10, 100), (4, -30, -2)],
)
def test_updates_are_counted_without_going_through_them(every, start, end, close):
    schedule = UpdateSchedule(every, start, end, close=close)
    assert schedule.count == len(list(schedule.updates()))
    assert UpdateSchedule(1, 1, 10**15).count == 10**15
