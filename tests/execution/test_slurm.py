"""The Slurm engine on submitit's local executor, which speaks the same protocol as Slurm's."""

import importlib.util
import os
import shlex
import subprocess
import time

import pytest

from suite.core.errors import InvalidInput
from suite.execution import slurm
from suite.execution.checkpoints import Checkpoints
from suite.execution.runner import execute, run
from suite.execution.slurm import SlurmEngine, parse_options
from suite.execution.worker_handle import WorkerConfig
from suite.results.store import Store
from tests.conftest import require
from tests.execution import forked_jobs
from tests.execution.soak import differences

pytestmark = pytest.mark.filterwarnings("ignore")  # submitit leaves files and processes open


@pytest.fixture
def engine(store, tmp_path, monkeypatch):
    """Return a function that makes the engine, on this machine."""
    require("submitit", importlib.util.find_spec("submitit") is not None, "the extra slurm")
    monkeypatch.setattr(slurm, "FOLDER", tmp_path / "jobs")
    forked_jobs.use(monkeypatch)

    def make(every="60s"):
        settings = WorkerConfig(store.location, every)
        return SlurmEngine(settings, {"timeout_min": 5}, 1, 0, None, cluster="local")

    return make


def test_jobs_leave_records_as_workers_do(engine, trial, store, tmp_path):
    trials = [trial("good"), trial("segfaults"), trial("raises")]
    summary = run(trials, store, engine(), lambda trial, record: None, retries=0)
    assert summary.done == 1
    failed = {t.method: message for t, message in summary.failed}
    assert failed["raises"] == "RuntimeError: the update broke"
    assert "SIGSEGV" in failed["segfaults"]
    assert (tmp_path / "jobs").stat().st_mode & 0o777 == 0o700


def test_a_preempted_job_goes_on_from_its_checkpoint(engine, trial, store, tmp_path, monkeypatch):
    lasting = trial("lasts", recipe={"epochs": 4})
    submitted = engine("1steps")
    submitted.submit(lasting)
    ((_, job),) = submitted._running.values()
    end = time.monotonic() + 900
    while not Checkpoints(store).keys():
        assert time.monotonic() < end
        time.sleep(0.05)
    job._interrupt()
    # Until its process is gone: its result is there before, while it still holds the checkpoint.
    job._process.wait(timeout=900)
    assert store.read(lasting.key) is None
    assert Checkpoints(store).keys() == [lasting.key]
    monkeypatch.setenv("RESONANCE_TEST_HURRY", "1")
    requeue(job, submitted)
    assert store.read(lasting.key) is not None
    whole = Store(tmp_path / "whole")
    whole.prepare()
    execute(lasting, whole)
    assert differences(whole, store) == []


def requeue(job, submitted: SlurmEngine) -> None:
    """Do what Slurm does with a job that asks to be queued again; the local executor does not.

    The job is a process of its own, started by the command that the engine gave.
    """
    names = {"JOB_ID": job.job_id, "NTASKS": 1, "JOB_NUM_NODES": 1, "NODEID": 0, "GLOBALID": 0,
             "LOCALID": 0}  # fmt: skip
    variables = {f"SUBMITIT_LOCAL_{name}": str(value) for name, value in names.items()}
    subprocess.run(
        shlex.split(submitted._executor._executor._submitit_command_str),
        env={**os.environ, **variables, "SUBMITIT_EXECUTOR": "local"}, check=True, timeout=900,
        capture_output=True,
    )  # fmt: skip


def test_slurm_options_are_read():
    assert parse_options("partition=gpu,timeout_min=240,mem_gb=8") == {
        "slurm_partition": "gpu", "timeout_min": 240, "mem_gb": 8,
    }  # fmt: skip
    assert parse_options("") == {}


@pytest.mark.parametrize("text", ["partition", "timeout_min=soon", "nodes=3", "partition="])
def test_other_slurm_options_are_refused(text):
    with pytest.raises(InvalidInput, match="give Slurm options as name=value"):
        parse_options(text)
