"""Steps of trainings in rounds."""

import pytest
from torch import nn

from suite.sparsity.plan import Plan
from suite.sparsity.rounds import TrainingProgress
from tests.support.helpers import make


@pytest.mark.parametrize("rewind", [0, 7])
def test_the_steps_of_all_rounds_are_counted_one_by_one(rewind):
    sparsifier = make("lottery_ticket", Plan(20, 0.36, 0, 10), rewind_step=rewind)
    assert sparsifier.rounds == 3
    model, progress = nn.Linear(2, 2), TrainingProgress()
    sparsifier.end_round = lambda number: None
    done = 0
    progress.advance_to(0, sparsifier, model)
    for number in range(sparsifier.rounds):
        if number:
            progress.next_round(sparsifier, model)
        assert progress.steps_done(sparsifier) == done
        for step in range(progress.step + 1, 21):
            done += 1
            progress.advance_to(step, sparsifier, model)
            assert progress.steps_done(sparsifier) == done
    assert done == sparsifier.total_steps == 60 - 2 * rewind


def test_of_one_round_they_are_its_steps():
    sparsifier = make("rigl")
    assert sparsifier.total_steps == sparsifier.plan.steps
    assert TrainingProgress(0, 5).steps_done(sparsifier) == 5
