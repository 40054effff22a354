"""What the number of test examples leaves open, where a board shows an accuracy."""

import numpy as np
import pytest

from leaderboard.board_groups import board_groups
from leaderboard.board_markdown import board_markdown
from leaderboard.boards import build_boards
from leaderboard.pages.task_and_method_pages import board_views, task_page
from leaderboard.sampling_error import half_width, sampling_error_text
from tests.support.sample_records import done, done_real, make_trial


def board(*records):
    (one,) = build_boards(records)[0]
    return one


def static(accuracy=0.95, **data):
    record = done(make_trial("static"), accuracy)
    return record.model_copy(update={"data": record.data | data})


def test_the_half_width_is_that_of_drawn_test_sets():
    drawn = np.random.default_rng(0).binomial(360, 0.95, 200_000) / 360
    assert half_width(0.95, 360) == pytest.approx(1.96 * drawn.std(), rel=0.01)
    assert round(100 * half_width(0.95, 360), 1) == 2.3
    assert half_width(0.5, 10_000) == pytest.approx(0.0098)


def test_a_difference_on_the_same_examples_has_less():
    """Two networks that are right on mostly the same examples: simulated, and by the formula."""
    generator = np.random.default_rng(1)
    shared = generator.random((20_000, 360))
    one, two = shared < 0.95, np.where(generator.random(shared.shape) < 0.9, shared < 0.93, True)
    paired = 1.96 * (one.mean(1) - two.mean(1)).std()
    assert paired < half_width(0.95, 360)


def test_a_board_states_it_at_the_accuracy_of_the_dense_network():
    dense = done(make_trial("dense"), 0.976)
    text = sampling_error_text(board(static(), dense))
    assert text.startswith("Test set: 360 examples, a sampling error of ± 1.6 points at 97.60 %")
    assert "differences between methods, tested on the same examples, have less" in text
    assert "± 2.3 points at 95.00 %" in sampling_error_text(board(static()))


def test_tables_and_pages_have_the_sentence():
    given = static()
    one, text = board(given), sampling_error_text(board(given))
    assert text in board_markdown(one)
    (view,) = board_views(*board_groups([one]), [])
    assert "a sampling error of ± 2.3 points" in task_page(view)


@pytest.mark.parametrize("data", [{"test": 0}, {"test": True}, {"test": "many"}, {"test": None}])
def test_without_a_number_of_examples_nothing_is_said(data):
    assert sampling_error_text(board(static(**data))) == ""


def test_other_numbers_of_examples_in_one_board_say_nothing():
    other = done(make_trial("set"), 0.9)
    other = other.model_copy(update={"data": other.data | {"test": 100}})
    assert sampling_error_text(board(static(), other)) == ""


def test_other_metrics_and_perfect_scores_say_nothing():
    real = done_real(make_trial("static", task="diabetes/mlp"))
    assert sampling_error_text(board(real)) == ""
    assert sampling_error_text(board(static(1.0))) == ""
    text = static()
    text.metrics["test_bits_per_character"] = 1.0
    assert sampling_error_text(board(text)) == ""
