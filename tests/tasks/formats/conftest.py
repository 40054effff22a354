"""Task files on data that a test has written."""

import pytest
import yaml

from suite.core.errors import InvalidInput
from tasks.loading import load_arrays
from tasks.taskfile import read_task_file


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Go to an empty folder, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESONANCE_DATA", raising=False)
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path


class TaskFile:
    """Reads what a task file with these fields under ``data:`` declares and loads."""

    def __init__(self, folder):
        self.path = folder / "mine.yaml"

    def __call__(self, **data):
        """Return the dataset and its arrays."""
        content = {"name": "mine/mlp", "model": "mlp", "model_options": {"hidden": [8]}}
        self.path.write_text(yaml.safe_dump({**content, "data": data}))
        dataset, _ = read_task_file(self.path)
        return dataset, load_arrays(dataset)[0]

    def refusal(self, **data):
        """Return why the data is refused, in one line."""
        with pytest.raises(InvalidInput) as refused:
            self(**data)
        assert "\n" not in str(refused.value)
        return str(refused.value)


@pytest.fixture
def read(place):
    """Return what reads a task file."""
    return TaskFile(place)
