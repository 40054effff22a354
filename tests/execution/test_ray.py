"""Real Ray, in a process of its own: two nodes on this machine, one of which is taken away."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from suite.core.errors import InvalidInput
from suite.execution.runner import execute
from suite.execution.worker_handle import WorkerConfig
from suite.results.store import Store
from tests.conftest import require
from tests.execution.ray_study import trials
from tests.execution.soak import differences


@pytest.fixture
def needs_ray() -> None:
    """Need Ray, an extra."""
    present = importlib.util.find_spec("ray") is not None
    require("ray", present, "pip install 'resonance-bench[ray]'")


def test_all_trials_finish_on_a_cluster_that_loses_a_node(
    needs_ray, trial, store, tmp_path: Path, monkeypatch
):
    done = subprocess.run(
        [sys.executable, "-m", "tests.execution.ray_study", str(tmp_path / "ray"),
         str(tmp_path / "oddities.py")],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-5000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["nodes"] == [2, 1]
    assert told["done"] == 4, told["failed"]
    assert told["most"] == 4  # two for each of the two places, however many trials wait
    assert told["failed"].keys() == {"raises", "segfaults"}
    assert told["told"] == [1] * 6
    found = Store(tmp_path / "ray")
    (dead,) = (one for one in found.records() if one.trial["method"] == "segfaults")
    assert dead.error is not None
    assert dead.error["type"] == "Crashed"
    assert "SIGSEGV" in dead.error["message"] == told["failed"]["segfaults"]
    assert "Segmentation fault" in found.load(dead.key, "error.txt").decode()
    monkeypatch.setenv("RESONANCE_TEST_HURRY", "1")
    for one in trials():
        if one.key == dead.key:  # it would be the end of this process
            store.write(one.key, {name: found.load(one.key, name) for name in found.names(one.key)})
        else:
            execute(one, store)
    assert differences(store, found) == []


def test_a_cluster_that_does_not_answer_is_one_line(needs_ray, resonance):
    result = resonance("study quickstart --engine ray --address 127.0.0.1:1")
    assert "no Ray cluster answers" in result.complaint


def test_without_ray_the_remedy_is_named(monkeypatch, store):
    from suite.execution.ray import RayEngine

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InvalidInput, match=r"pip install 'resonance-bench\[ray\]'"):
        RayEngine(WorkerConfig(store.location), None, 1, 0, None, 0)
