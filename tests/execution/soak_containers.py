"""Two containers on one store, each killed again and again: part of ``make soak``.

A container is a PID namespace: both have the host's name, and process numbers mean something else
in each. They run one study together, and one more each. A kill ends a whole container at once.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from suite.core.leases import MIN_AGE_SECONDS
from suite.results.store import Store
from tests.execution.soak import STUDY, differences
from tests.support.pid_namespaces import ROOT, namespace

SEEDS = {"both": "[0, 1]", "first": "[2]", "second": "[3]"}
TRIALS = 32
PAUSE = 0.05
LINE = "study {name}.yaml --store {store} --workers 1 --checkpoint-every 20steps"


@dataclass
class Container:
    """A container that runs its studies, one after the other, in a folder with their files."""

    folder: Path
    store: Path
    studies: tuple[str, ...]
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, or start it again."""
        command = f"{sys.executable} -m suite "
        lines = [command + LINE.format(name=name, store=self.store) for name in self.studies]
        words = [*namespace(), "sh", "-c", " && ".join(lines)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (self.folder / f"{self.studies[-1]}.log").open("ab") as log:
            self.process = subprocess.Popen(
                words, cwd=self.folder, env=environment, stdout=log, stderr=log
            )

    def has_ended(self) -> bool:
        """Return whether it has come to its end.

        Raises:
            RuntimeError: a study did not end as it should, without a kill.
        """
        assert self.process is not None
        code = self.process.poll()
        if code:
            log = (self.folder / f"{self.studies[-1]}.log").read_text()
            raise RuntimeError(f"{' and '.join(self.studies)} ended with {code}:\n{log[-2000:]}")
        return code == 0

    def kill(self) -> None:
        """End all of its processes at once, as a container is that uses too much memory."""
        assert self.process is not None
        self.process.kill()  # `unshare --kill-child` takes all others along
        self.process.wait()


def write_studies(folder: Path) -> None:
    """Write the files of the studies."""
    folder.mkdir(parents=True)
    for name, seeds in SEEDS.items():
        text = STUDY.replace("name: soak", f"name: {name}").replace("SEEDS", seeds)
        (folder / f"{name}.yaml").write_text(text)


def run_undisturbed(folder: Path) -> Store:
    """Run all studies in one container, without a kill; return their store."""
    write_studies(folder)
    one = Container(folder, folder / "results", tuple(SEEDS))
    one.start()
    while not one.has_ended():
        time.sleep(PAUSE)
    return Store(one.store)


def kill_and_restart(folder: Path, kills: int, random_seed: int) -> tuple[Store, int]:
    """Run two containers on one store; return it, and how many kills there was time for."""
    write_studies(folder)
    choose, done = random.Random(random_seed), 0
    both = [Container(folder, folder / "results", ("both", name)) for name in ("first", "second")]
    for container in both:
        container.start()
    try:
        for _ in range(kills):
            before, victim = _traces(both[0].store), choose.choice(both)
            while not victim.has_ended() and _traces(victim.store) == before:
                time.sleep(PAUSE)
            time.sleep(choose.uniform(0, 1.5))
            if all(container.has_ended() for container in both):
                break
            if not victim.has_ended():
                victim.kill()
                victim.start()
                done += 1
        while not all(container.has_ended() for container in both):
            time.sleep(PAUSE)
    finally:
        for container in both:
            container.kill()
    return Store(both[0].store), done


def leftovers(store: Store) -> list[str]:
    """Return what is left of unfinished writing, of running trials and of checkpoints."""
    found = {path for path in store.root.rglob("*") if path.name.startswith(".")}
    for name in ("checkpoints", "running"):
        found |= set((store.root / name).rglob("*"))
    return sorted(str(path) for path in found)


def grow_old(store: Store) -> None:
    """Make what was left look as old as it must be for others to remove it."""
    for path in map(Path, leftovers(store)):
        for part in (path, *path.rglob("*")):
            os.utime(part, (time.time() - 100 * MIN_AGE_SECONDS,) * 2)


def _traces(store: Path) -> set[tuple[str, int]]:
    """Return each record, and each state of a checkpoint, that there is."""
    found = set()
    for path in (*store.glob("trials/[0-9a-f]*"), *store.glob("checkpoints/*.safetensors")):
        try:
            found.add((path.name, path.stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return found


def main() -> int:
    """Run the full size; the exit code says whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        whole = run_undisturbed(Path(name) / "whole")
        print(f"undisturbed: {len(whole.keys())} trials in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        store, kills = kill_and_restart(Path(name) / "killed", given.kills, given.seed)
        left = leftovers(store)
        print(
            f"two containers, {kills} kills: {len(store.keys())} trials in "
            f"{time.monotonic() - began:.0f} s; {len(left)} files and folders left by killed ones"
        )
        grow_old(store)
        again = Container(Path(name) / "killed", store.root, tuple(SEEDS))
        again.start()
        while not again.has_ended():
            time.sleep(PAUSE)
        found = differences(whole, store) + leftovers(store)
    met = not found and kills == given.kills and len(store.keys()) == TRIALS
    print(
        "\n".join(found) or "records, curves and weights are equal but for times; nothing is left"
    )
    print("ok" if met else "MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
