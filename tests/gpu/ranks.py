"""One trial trained by two processes: both end with the same masks.

NCCL takes one process on each GPU. On a single GPU both processes use it, and gloo averages their
gradients; on a CPU gloo does too. ``python -m tests.gpu.ranks`` is one of the two processes, with
the environment that torchrun sets.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from suite.execution.distributed import rank
from suite.experiments.trial_config import Trial
from suite.sparsity.rounds import TrainingProgress
from suite.training.context import TrialContext
from suite.training.parallel import process_group
from suite.training.rounds import train_rounds
from suite.training.seeding import reproducible
from suite.training.setup import prepare
from tests.gpu.report import Check, Lines
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
RANKS, SECONDS = 2, 300
METHODS = {"rigl": {"update_every": 10}, "resonance": {"window": 8, "update_every": 5, "bits": 1}}
"""By method: options under which it updates several times in two epochs of the digits."""


def trial(method: str, device: str) -> Trial:
    """Return the trial of a method that both processes train."""
    return Trial.make(
        task="digits/mlp",
        method=method,
        sparsity=0.8,
        hyperparameters=METHODS[method],
        recipe={"epochs": 2},
        device=device,
        processes=RANKS,
    )


def backend(device: torch.device) -> str:
    """Return what averages the gradients of two processes on this machine."""
    return "nccl" if device.type == "cuda" and torch.cuda.device_count() >= RANKS else "gloo"


def check(device: torch.device) -> Lines:
    """Yield a check of every method's masks."""
    chosen = backend(device)
    if device.type == "cuda" and chosen == "gloo":
        yield "one GPU for two processes: NCCL takes one on each, so gloo averages the gradients"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        errors = run_all(folder, ["--device", device.type, "--backend", chosen])
        for number, error in enumerate(errors):
            if error:
                yield Check(f"process {number} of {RANKS}, {chosen}", False, error)
        if not any(errors):
            masks = [load_file(masks_of(folder, number)) for number in range(RANKS)]
            yield from (compare(method, chosen, masks) for method in METHODS)


def masks_of(folder: Path, number: int) -> Path:
    """Return the file that a process writes its masks to."""
    return folder / f"{number}.safetensors"


def run_all(folder: Path, words: Sequence[str]) -> list[str]:
    """Run the processes to their end; return of each why it failed, empty if it did not.

    If one fails, those that wait for it are ended.
    """
    logs = [folder / f"{number}.txt" for number in range(RANKS)]
    started = []
    with free_port() as port:
        group = {"WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        try:
            for number, log in enumerate(logs):
                own = {"RANK": str(number), "LOCAL_RANK": str(number)}
                started.append(start([str(masks_of(folder, number)), *words], group | own, log))
            end = time.monotonic() + SECONDS
            while any(process.poll() is None for process in started):
                if time.monotonic() > end or any(process.poll() for process in started):
                    break
                time.sleep(0.05)
            stopped = [process.poll() is None for process in started]
        finally:
            for process in started:
                process.kill()
    return [
        _why(process.wait(), log, was_stopped)
        for process, log, was_stopped in zip(started, logs, stopped, strict=True)
    ]


def start(words: Sequence[str], environment: Mapping[str, str], log: Path) -> Any:
    """Start one of the processes, which writes its errors to `log`."""
    with log.open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.gpu.ranks", *words],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )


def _why(code: int, log: Path, was_stopped: bool) -> str:
    """Return why a process failed, in one line: its last error; empty if it did not."""
    if code == 0:
        return ""
    lines = log.read_text(errors="replace").strip().splitlines()
    found = [line for line in lines if "Error" in line] or lines
    if found:
        return found[-1]
    return "ended, as it did not end by itself" if was_stopped else f"ended with {code}"


def compare(method: str, chosen: str, masks: Sequence[Mapping[str, torch.Tensor]]) -> Check:
    """Check that all processes have the same masks, and that these are not those of the start."""
    names = [name for name in masks[0] if name.startswith(f"{method}/last/")]
    differ = sum(int((masks[0][n] ^ other[n]).sum()) for other in masks[1:] for n in names)
    moved = sum(int((masks[0][n] ^ masks[0][n.replace("/last/", "/first/")]).sum()) for n in names)
    active = sum(int(masks[0][n].sum()) for n in names)
    return Check(
        f"masks of two processes, {method}, {chosen}",
        bool(names) and differ == 0 and moved > 0,
        f"{differ:,} of {active:,} active places differ; {moved:,} have changed since the start",
    )


def train(method: str, device: torch.device) -> dict[str, torch.Tensor]:
    """Train as one of the processes; return the masks before and after."""
    training = prepare(TrialContext.of(trial(method, device.type)))
    found = {f"{method}/first/{w.name}": w.mask.cpu() for w in training.sparsifier.layers}
    train_rounds(training, TrainingProgress())
    return found | {f"{method}/last/{w.name}": w.mask.cpu() for w in training.sparsifier.layers}


def main() -> None:
    """Be one of the processes: train with every method and write the masks to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--backend", choices=("nccl", "gloo"), required=True)
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type == "cuda":
        device = torch.device("cuda", rank() % torch.cuda.device_count())
        torch.cuda.set_device(device)
    found: dict[str, torch.Tensor] = {}
    with reproducible(device, threads=1), process_group(device, lambda: False, given.backend):
        for method in METHODS:
            found |= train(method, device)
    save_file(found, given.out)


if __name__ == "__main__":
    main()
