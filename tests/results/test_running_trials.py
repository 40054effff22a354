"""What is said of the trials that are being trained."""

import pytest

from suite.results.running_file import RunningFile, running_path
from suite.results.running_trials import TAIL_BYTES, RunningTrial, running_trials
from suite.results.store import Store
from tests.results.test_running_file import ABOUT, KEY

STEP = {"step": 40, "seconds": 2.5, "loss": 0.75}


@pytest.fixture
def file(tmp_path) -> RunningFile:
    file = RunningFile(tmp_path, KEY)
    file.begin(**ABOUT)
    return file


def test_a_trial_that_has_just_begun_is_at_step_0(tmp_path, file):
    assert running_trials(Store(tmp_path)) == [
        RunningTrial(KEY, "digits/mlp", "rigl", 0.9, 0, step=0, steps=100, loss=None, seconds=0.0)
    ]


@pytest.mark.parametrize("rows", [0, 1000])
def test_the_latest_progress_is_found_however_long_the_curves_are(tmp_path, file, rows):
    file.add(**STEP, rows=[(0, 40, "frequency", "1", index, 1.0) for index in range(rows)])
    (found,) = running_trials(Store(tmp_path))
    assert (found.step, found.loss, found.seconds) == (40, 0.75, 2.5)


def test_steps_that_were_forecast_again_replace_those_of_the_heading(tmp_path, file):
    file.add(**STEP, steps=90)
    (found,) = running_trials(Store(tmp_path))
    assert (found.step, found.steps) == (40, 90)
    file.add(**STEP)
    (found,) = running_trials(Store(tmp_path))
    assert found.steps == 100


def test_a_half_written_line_leaves_the_progress_before_it(tmp_path, file):
    file.add(**STEP)
    with running_path(tmp_path, KEY).open("a") as appended:
        appended.write('{"rows":[' + "[0,80,1,1,1,1]," * TAIL_BYTES)
    (found,) = running_trials(Store(tmp_path))
    assert found.step == 40


def test_a_store_without_running_trials_has_none(tmp_path):
    assert running_trials(Store(tmp_path / "none")) == []
    assert running_trials(Store("memory://p6")) == []
