"""A study that is killed again and again, against one that is not: ``make soak``.

Kills are SIGKILL at random moments: to all processes of the study, as a machine that dies does, to
the command, or to a worker; on a Ray cluster to a worker, a node or the head (`ray_soak`).
``--matrix`` runs `stop_matrix` instead.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
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
    """A study that was killed, in the end complete; `kinds` says how often by what."""

    store: Store
    kinds: Counter[str]
    resumed: int

    @property
    def kills(self) -> int:
        """Return how many kills there were."""
        return self.kinds.total()


def start(folder: Path, seeds: int, **given: Any) -> forked.ForkedCommand:
    """Start the study in a folder, in a session of its own; `given` is as for `forked.start`."""
    folder.mkdir(exist_ok=True)
    (folder / "soak.yaml").write_text(STUDY.replace("SEEDS", str(seeds)))
    line = ["study", "soak.yaml", "--workers", "2", "--checkpoint-every", "20steps"]
    line += ["--retries", "100"]
    return forked.start(line, cwd=folder, stderr=subprocess.STDOUT, new_session=True, **given)


def run_whole(folder: Path, seeds: int) -> Store:
    """Run the study without a kill; return its store."""
    output, _ = (process := start(folder, seeds)).communicate()
    assert process.returncode == 0, output.decode()
    return Store(folder / "results")


def kill_and_restart(
    folder: Path,
    seeds: int,
    kills: int,
    random_seed: int,
    kinds: Sequence[str],
) -> Killed:
    """Run the study, killed `kills` times while trials were running, to its end.

    A kill is aimed at a random moment after trials have left something since the one before, so
    that kills do not all fall into imports. Where the study was faster, it has ended.
    """
    choose = random.Random(random_seed)
    store = Store(folder / "results")
    done, resumed = Counter[str](), 0
    process = start(folder, seeds)
    for number in range(kills):
        before = traces(store)
        while process.poll() is None and traces(store) == before:
            time.sleep(0.005)
        time.sleep(choose.uniform(0, 0.6))
        kind = kinds[number % len(kinds)]
        workers = grandchildren(process.pid) if kind == "worker" else []
        if process.poll() is not None:
            break
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(choose.choice(workers), signal.SIGKILL)
        elif kind == "command":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        done[kind] += 1
        if not workers:
            process.communicate()
            while group(process.pid):
                time.sleep(0.005)
            resumed += len(Checkpoints(store).keys())
            process = start(folder, seeds)
    output, _ = process.communicate()
    assert process.returncode == 0, output.decode()
    return Killed(store, done, resumed)


def group(number: int) -> dict[int, int]:
    """Return the processes of a group, with the parent of each; those that have ended left out."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            state, parent, process_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == number and state != "Z":
                found[int(path.parent.name)] = int(parent)
    return found


def grandchildren(command: int) -> list[int]:
    """Return the processes that the children of a command have started: its workers."""
    found = group(command)
    return [pid for pid, parent in found.items() if found.get(parent) == command]


def traces(store: Store) -> set[Any]:
    """Return what trials have left so far: records, and each state of a checkpoint."""
    found: set[Any] = set()
    with contextlib.suppress(FileNotFoundError):
        found |= {path.name for path in store.trials.iterdir()}
    with contextlib.suppress(FileNotFoundError):  # the folder is removed when it is empty
        for path in list((store.root / "checkpoints").iterdir()):
            with contextlib.suppress(FileNotFoundError):
                found.add((path.name, path.stat().st_mtime_ns))
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


def leftovers(store: Store) -> list[str]:
    """Return what is left of unfinished writing: hidden folders, checkpoints."""
    return [str(path) for path in store.root.rglob(".*")] + Checkpoints(store).keys()


def main() -> int:
    """Run the full size; the exit code says whether the bar is met."""
    from tests.execution import ray_soak, stop_matrix

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=28, help="on the local engine")
    parser.add_argument("--ray-kills", type=int, default=12, help="on a Ray cluster")
    parser.add_argument("--seeds", type=int, default=5, help="8 trials each")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--matrix", action="store_true", help="run the matrix of events instead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if given.matrix:
            return 0 if stop_matrix.run_matrix(Path(name)) else 1
        began = time.monotonic()
        whole = run_whole(Path(name) / "whole", given.seeds)
        print(f"uninterrupted: {len(whole.keys())} trials in {time.monotonic() - began:.0f} s")
        met = len(whole.keys()) == 8 * given.seeds
        kinds = ("group", "command", "worker")
        met &= _report("local", given.kills, whole, lambda: kill_and_restart(
            Path(name) / "local", given.seeds, given.kills, given.seed, kinds,
        ))  # fmt: skip
        if given.ray_kills:
            met &= _report("Ray", given.ray_kills, whole, lambda: ray_soak.start(
                Path(name) / "ray", given.seeds, given.ray_kills, given.seed,
            ))  # fmt: skip
    print("ok" if met else "MISSED")
    return 0 if met else 1


def _report(engine: str, kills: int, whole: Store, run: Callable[[], Killed]) -> bool:
    """Run a study that is killed, and print how it ended; return whether the bar is met."""
    began = time.monotonic()
    killed = run()
    found = differences(whole, killed.store) + leftovers(killed.store)
    kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(killed.kinds.items()))
    print(
        f"{engine}: killed {killed.kills} times ({kinds}), {killed.resumed} checkpoints found by "
        f"the next start: {len(killed.store.keys())} trials in {time.monotonic() - began:.0f} s"
    )
    print("\n".join(found) or "records, curves and weights are equal but for times", flush=True)
    return not found and killed.kills == kills


if __name__ == "__main__":
    sys.exit(main())
