"""Trials in one process, and tasks that are edited, do not disturb each other."""

import pytest

from suite.core.errors import InvalidInput
from suite.execution.plan import Overwrite, schedule
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.store import Store
from suite.training.trial import run_trial
from tests.support.helpers import trial

TASK = """
from tasks.task import Task

TASK = Task(
    "digits/inplace", "a test", title="t", dataset="digits", model=":build", recipe={recipe}
)


def build(shape, classes):
    from torch import nn

    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, {width}), nn.ReLU(),
                                     nn.Linear({width}, {outputs}))

        def forward(self, x):
            return self.net(x.sub_(0.5))

    return InPlace()
"""


@pytest.fixture
def declare(tmp_path):
    """Return a function that declares the task anew, as an edited plug-in."""
    import suite.core.discovery

    path = tmp_path / "inplace.py"

    def write(width=16, outputs=10, recipe="{'epochs': 2}"):
        text = TASK.replace("{width}", str(width)).replace("{outputs}", str(outputs))
        path.write_text(text.replace("{recipe}", recipe))
        suite.core.discovery._loaded_files.pop(str(path), None)
        registry.use_plugins([str(path)])

    yield write
    registry._plugins.clear()
    registry.use_plugins([])


def test_a_model_that_works_in_place_does_not_spoil_the_data(declare):
    declare()
    before = run_trial(trial("static")).record.digests
    first, second = (run_trial(Trial.make(task="digits/inplace", method="dense")) for _ in "ab")
    assert first.record.metrics == second.record.metrics
    assert run_trial(trial("static")).record.digests == before


def test_an_edited_task_is_another_trial(declare):
    declare()
    key = Trial.make(task="digits/inplace", method="dense").key
    declare(recipe="{'epochs': 3}")
    assert Trial.make(task="digits/inplace", method="dense").key != key


def test_a_model_with_the_wrong_number_of_outputs_is_refused(declare):
    declare(outputs=7)
    with pytest.raises(InvalidInput, match=r"outputs of shape \(7,\).*10 classes"):
        run_trial(Trial.make(task="digits/inplace", method="dense"))


def test_a_record_made_under_another_default_is_run_again(tmp_path):
    store = Store(tmp_path)
    done = run_trial(trial("static"))
    store.write(done.trial.key, done.files())
    assert schedule([done.trial], store, Overwrite.NEVER).to_run == []
    edited = done.record.model_copy(deep=True)
    edited.configuration["recipe"]["momentum"] = 0.8
    store.write(done.trial.key, {**done.files(), "record.json": edited.to_json()})
    assert schedule([done.trial], store, Overwrite.NEVER).to_run == [done.trial]
