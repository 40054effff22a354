"""A study on a Ray cluster that loses workers, nodes and its head, again and again.

A part of ``make soak``; a process of its own, as Ray changes signal handlers and warns. Its last
line is JSON. The cluster has a head and two nodes, all on this machine.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from suite.execution.checkpoints import Checkpoints
from suite.results.store import Store
from tests.execution import soak

ROOT = Path(__file__).parents[2]
KINDS = ("worker", "node", "head")
IMPATIENT = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": "3",
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}
"""Settings of Ray: it otherwise waits for a minute for a head that is gone."""
SECONDS = 120.0


def start(folder: Path, seeds: int, kills: int, random_seed: int) -> soak.Killed:
    """Run `main` in a process of its own; return how the study ended."""
    folder.mkdir()
    words = map(str, (folder, seeds, kills, random_seed))
    done = subprocess.run(
        [sys.executable, "-m", "tests.execution.ray_soak", *words],
        cwd=ROOT, env=os.environ | IMPATIENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    return soak.Killed(Store(folder / "results"), Counter(told["kinds"]), told["resumed"])


class RayStudy:
    """A cluster, and the command that runs the study on it."""

    def __init__(self, folder: Path, seeds: int) -> None:
        self.folder, self.seeds = folder, seeds
        self.store = Store(folder / "results")
        self.restart()

    def restart(self) -> None:
        """Start a cluster, and the command."""
        from ray.cluster_utils import Cluster

        self.cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(2)]
        self.cluster.wait_for_nodes()
        (self.folder / "soak.yaml").write_text(soak.STUDY.replace("SEEDS", str(self.seeds)))
        words = ["-m", "suite", "study", "soak.yaml", "--engine", "ray", "--retries", "100"]
        words += ["--address", self.cluster.address, "--checkpoint-every", "20steps"]
        self.log = (self.folder / "log.txt").open("ab")
        self.command = subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=self.log,
            stderr=self.log,
        )

    def kill(self, kind: str, choose: random.Random) -> bool:
        """Kill a worker, a node or the head; return whether there was one to kill."""
        if kind == "worker":
            workers = trial_processes()
            if workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(choose.choice(workers), signal.SIGKILL)
            return bool(workers)
        if kind == "node":
            node = self.nodes.pop(choose.randrange(len(self.nodes)))
            self.cluster.remove_node(node, allow_graceful=False)
            self.nodes.append(self.cluster.add_node(num_cpus=1))
            return True
        self.cluster.remove_node(self.cluster.head_node, allow_graceful=False)
        self.command.wait(SECONDS)
        self.close()
        self.restart()
        return True

    def close(self) -> None:
        """End the cluster."""
        with contextlib.suppress(AssertionError):  # the head is gone
            self.cluster.shutdown()
        self.log.close()


def trial_processes() -> list[int]:
    """Return the processes on this machine that fork servers of Ray's processes have started."""
    parents, servers = {}, set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            pid = int(path.parent.name)
            parents[pid] = int(path.read_text().rpartition(")")[2].split()[1])
            if b"multiprocessing.forkserver" in path.with_name("cmdline").read_bytes():
                servers.add(pid)
    of_ray = {pid for pid in servers if b"ray::" in _title(parents[pid])}
    return [pid for pid, parent in parents.items() if parent in of_ray]


def _title(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def main(folder: Path, seeds: int, kills: int, random_seed: int) -> None:
    """Run the study to its end, with `kills` kills while trials were running."""
    choose = random.Random(random_seed)
    study = RayStudy(folder, seeds)
    done, resumed = Counter[str](), 0
    for number in range(kills):
        before = soak.traces(study.store)
        while study.command.poll() is None and soak.traces(study.store) == before:
            time.sleep(0.02)
        time.sleep(choose.uniform(0, 0.6))
        if study.command.poll() is not None:
            break
        kind = KINDS[number % len(KINDS)]
        done[kind] += study.kill(kind, choose)
        resumed += len(Checkpoints(study.store).keys())
    code = study.command.wait()
    study.close()
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    print(json.dumps({"kinds": done, "resumed": resumed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
