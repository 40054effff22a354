"""What a training costs, added up by hand from its method's course."""

import pytest

from suite.sparsity import training_cost as module
from suite.sparsity.cost_bounds import FlopsBounds, TrainingSetup, Zeros
from suite.sparsity.flops import ForwardFlops
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.training_cost import any_course_cost, steps_cost, training_cost

FORWARD = ForwardFlops({"0": 200.0}, other=30.0)  # 2 per weight
BATCH = 4


class TwoRounds(Sparsifier):
    """Dense to step 3; then 50 zeros, 60 in the second round, which begins after step 2."""

    rounds, rewind_step = 2, 2

    def wants_dense_gradient(self, step):
        return step == 5

    def zeros_in_training(self, number, setup):
        yield 0, Zeros.none(setup.shapes) if number == 0 else Zeros.exactly({"0": 60})
        yield 3, Zeros.exactly({"0": 50}) if number == 0 else setup.final

    def scoring_cost(self, setup):
        return FlopsBounds(7.0, 9.0)

    def method_cost(self, setup):
        return FlopsBounds(5.0, 5.0)


def setup(final: Zeros) -> TrainingSetup:
    return TrainingSetup({"0": (10, 10)}, FORWARD, BATCH, 100, 10, False, final)


def by_hand(final_zeros: int) -> float:
    def step(zeros: int, *, dense: bool = False) -> float:
        sparse = 30 + 2 * (100 - zeros)
        return 2 * sparse + (230 if dense else sparse)

    first = 3 * step(0) + step(50) + step(50, dense=True) + step(50)
    second = step(60) + step(final_zeros) + step(final_zeros, dense=True) + step(final_zeros)
    return BATCH * (first + second)


METHOD = TwoRounds(Plan(6, 0.8, 0, 6), {})


def test_rounds_updates_dense_gradients_scoring_and_own_arithmetic_are_added_up():
    assert METHOD.total_steps == 10
    found = training_cost(METHOD, setup(Zeros.exactly({"0": 80})))
    assert found == pytest.approx((by_hand(80) + 12, by_hand(80) + 14))


def test_final_zeros_of_which_only_bounds_are_known_give_bounds():
    found = training_cost(METHOD, setup(Zeros({"0": 70}, {"0": 90})))
    assert found == pytest.approx((by_hand(90) + 12, by_hand(70) + 14))


@pytest.mark.parametrize("name", ["Finished", "Cost", "Course", "Zeros", "unchanging"])
def test_a_method_that_imports_a_former_name_is_told_the_new_one(name):
    with pytest.raises(ImportError, match=rf"'{name}' any more: import \w+.* from .*cost_bounds"):
        exec(f"from suite.sparsity.training_cost import {name}", {})


def test_what_was_never_there_is_an_attribute_error():
    assert not hasattr(module, "typo")


class WithoutDeclaration(TwoRounds):
    """A variant that does not say again what zeros its masks may have."""


def test_bounds_where_there_is_too_much_to_follow_hold_the_exact_cost(monkeypatch):
    exact = training_cost(METHOD, setup(Zeros.exactly({"0": 80})))
    undeclared = training_cost(WithoutDeclaration(METHOD.plan, {}), setup(Zeros.none("0")))
    assert undeclared == (3 * 30 * 10 * BATCH, 3 * 230 * 10 * BATCH)  # of steps without scoring
    for limit in ("MOST_STEPS", "MOST_CHANGES"):
        monkeypatch.setattr(module, limit, 1)
        found = training_cost(METHOD, setup(Zeros.exactly({"0": 80})))
        assert found.least < exact.least
        assert exact.most < found.most
        monkeypatch.undo()


def test_the_steps_of_a_round_in_parts_cost_what_they_cost_together():
    of = setup(Zeros.exactly({"0": 80}))
    whole = steps_cost(METHOD, of, 0, 6)
    for middle in range(7):
        parts = steps_cost(METHOD, of, 0, middle) + steps_cost(METHOD, of, middle, 6)
        assert parts == pytest.approx(whole)
    assert steps_cost(METHOD, of, 4, 4) == (0, 0)


def test_zeros_that_are_known_take_the_place_of_the_course():
    of = setup(Zeros.exactly({"0": 80}))
    sparse = 30 + 2 * (100 - 70)
    known = Zeros.exactly({"0": 70})
    expected = BATCH * (2 * 3 * sparse + 2 * sparse + 230)  # steps 4, 6, and 5 reads all
    assert steps_cost(METHOD, of, 3, 6, zeros=known) == pytest.approx((expected, expected))
    without = BATCH * 9 * sparse
    found = steps_cost(METHOD, of, 3, 6, zeros=known, reads=False)
    assert found == pytest.approx((without, without))


def test_of_a_changed_plan_every_step_may_be_any_of_the_course():
    class OneRound(TwoRounds):
        rounds, rewind_step = 1, 0
        zeros_in_training = TwoRounds.zeros_in_training

    found = any_course_cost(OneRound(METHOD.plan, {}), setup(Zeros.exactly({"0": 80})))
    assert found == pytest.approx((6 * BATCH * 3 * 130, 6 * BATCH * 3 * 230))
    undeclared = WithoutDeclaration(METHOD.plan, {})
    least, most = any_course_cost(undeclared, setup(Zeros.none("0")))
    steps = undeclared.total_steps
    assert (least, most) == pytest.approx((steps * BATCH * 3 * 30, steps * BATCH * 3 * 230))
