"""A study that is killed again and again, against one that is not: ``make soak``.

Kills are SIGKILL at random moments to all processes of the study, as a machine that dies does.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.execution.checkpoints import Checkpoints
from suite.results.store import Store
from tests.support import forked

STUDY = """
name: soak
question: Does anything get lost?
tasks: [digits/mlp]
methods:
  - dense
  - static
  - {name: set}
  - {name: rigl, set: {update_every: 10}}
  - {name: magnitude, set: {update_every: 20}}
  - {name: resonance, set: {window: 8, update_every: 5}}
  - {name: lottery_ticket, set: {rewind_step: 17}}
  - {name: resonance_shuffled, set: {window: 8, update_every: 5}}
sparsities: [0.5]
seeds: SEEDS
recipe: {epochs: 4}
"""
TIMES = {"timing", "environment"}
"""What may differ: times, and whether files of the project were edited while this ran."""


@dataclass
class Killed:
    """A study that was killed, in the end complete."""

    store: Store
    kills: int
    resumed: int

    def leftovers(self) -> list[str]:
        """Return what is left of unfinished writing: hidden folders, checkpoints."""
        hidden = [str(path) for path in self.store.root.rglob(".*")]
        return hidden + Checkpoints(self.store).keys()


def start(folder: Path, seeds: int) -> forked.ForkedCommand:
    """Start the study in a folder, in a session of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "soak.yaml").write_text(STUDY.replace("SEEDS", str(seeds)))
    line = ["study", "soak.yaml", "--workers", "2", "--checkpoint-every", "20steps"]
    return forked.start(line, cwd=folder, stderr=subprocess.STDOUT, new_session=True)


def run_whole(folder: Path, seeds: int) -> Store:
    """Run the study without a kill; return its store."""
    output, _ = (process := start(folder, seeds)).communicate()
    assert process.returncode == 0, output.decode()
    return Store(folder / "results")


def kill_and_restart(folder: Path, seeds: int, kills: int, random_seed: int) -> Killed:
    """Run the study, killed `kills` times while trials were running, to its end.

    A kill is aimed at a random moment after the first trial of this start has left something, so
    that kills do not all fall into imports. Where the study was faster, it has ended.
    """
    choose = random.Random(random_seed)
    store = Store(folder / "results")
    done = resumed = 0
    for _ in range(kills):
        process = start(folder, seeds)
        before = _traces(store)
        while process.poll() is None and _traces(store) == before:
            time.sleep(0.005)
        time.sleep(choose.uniform(0, 0.6))
        if process.poll() is not None:
            process.communicate()
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        done += 1
        resumed += len(Checkpoints(store).keys())
    output, _ = (process := start(folder, seeds)).communicate()
    assert process.returncode == 0, output.decode()
    return Killed(store, done, resumed)


def _traces(store: Store) -> set[Any]:
    """Return what trials have left so far: records, and each state of a checkpoint."""
    folder = store.root / "checkpoints"
    found: set[Any] = {p.name for p in store.trials.iterdir()} if store.trials.exists() else set()
    for path in folder.glob("[0-9a-f]*"):
        try:
            found.add((path.name, path.stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return found


def differences(whole: Store, other: Store) -> list[str]:
    """Return in what two stores differ, times left out: records, curves, weights."""
    found = []
    if whole.keys() != other.keys():
        found.append(f"trials: {whole.keys()} and {other.keys()}")
    for key in sorted(set(whole.keys()) & set(other.keys())):
        a, b = whole.read(key), other.read(key)
        if a is None or b is None:
            continue
        first, second = a.model_dump(exclude=TIMES), b.model_dump(exclude=TIMES)
        found += [f"{key}: {name}" for name in first if first[name] != second[name]]
        for name in ("trial.json", "curves.parquet", "model.safetensors")[: 3 if a.metrics else 1]:
            if whole.load(key, name) != other.load(key, name):
                found.append(f"{key}: {name}")
    return found


def main() -> int:
    """Run the full size; the exit code says whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5, help="8 trials each")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        whole = run_whole(Path(name) / "whole", given.seeds)
        print(f"uninterrupted: {len(whole.keys())} trials in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        killed = kill_and_restart(Path(name) / "killed", given.seeds, given.kills, given.seed)
        found = differences(whole, killed.store) + killed.leftovers()
        print(
            f"killed {killed.kills} times, {killed.resumed} checkpoints found by the next start: "
            f"{len(killed.store.keys())} trials in {time.monotonic() - began:.0f} s"
        )
        complete = len(whole.keys()) == 8 * given.seeds
    met = not found and killed.kills == given.kills and complete
    print("\n".join(found) or "records, curves and weights are equal but for times")
    print("ok" if met else "MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
