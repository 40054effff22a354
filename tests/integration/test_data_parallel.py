"""Two replicas with different data keep the same masks, those of one process with all of it."""

import socket
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support import forked
from tests.support.helpers import SPARSE_METHODS

pytestmark = pytest.mark.slow


def launch(out, rank: int, replicas: int, port: int) -> forked.ForkedCommand:
    arguments = [str(out), str(rank), str(replicas), str(port)]
    main = "tests.integration.replicas:main"
    return forked.start(arguments, cwd=Path(), stderr=subprocess.STDOUT, call=main)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runs = {name: folder / f"{name}.safetensors" for name in ("first", "second", "alone")}
    jobs = [launch(runs["first"], 0, 2, port), launch(runs["second"], 1, 2, port)]
    jobs.append(launch(runs["alone"], 0, 1, port))
    try:
        for job in jobs:
            output, _ = job.communicate(timeout=240)
            assert job.returncode == 0, output.decode()[-2000:]
    finally:
        for job in jobs:
            job.kill()
            job.wait()
    return {name: load_file(path) for name, path in runs.items()}


@pytest.mark.parametrize("method", SPARSE_METHODS)
def test_replicas_agree_with_each_other_and_with_one_process(trained, method):
    first, second, alone = (
        {n: t for n, t in trained[name].items() if n.startswith(f"{method}/")}
        for name in ("first", "second", "alone")
    )
    assert len(first) == 5
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        if name.endswith(("/weights", "/norms")):
            assert torch.allclose(tensor, alone[name], atol=1e-9)
        else:
            assert torch.equal(tensor, alone[name]), name
