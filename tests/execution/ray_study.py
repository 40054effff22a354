"""A study on a real Ray cluster of two nodes, one of which is taken away; run as a script.

Prints one line of JSON. Ray wants a process of its own: it changes signal handlers and warns.
"""

import json
import sys
from pathlib import Path

from suite.execution.ray import RayEngine
from suite.execution.runner import run
from suite.execution.worker_handle import WorkerConfig
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store

HEAD = {"num_cpus": 1, "include_dashboard": False, "include_log_monitor": False}


def main(folder: Path, plugin: str) -> None:
    """Run 4 slow trials and 2 that go wrong; take a node away once two have been finished."""
    from ray.cluster_utils import Cluster

    registry.use_plugins([plugin])
    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    store = Store(folder)
    store.prepare()
    told: dict[str, int] = {}
    nodes = [2]

    def finished(trial: Trial, record: Record) -> None:
        told[trial.key] = told.get(trial.key, 0) + 1
        if len(told) == 2 and nodes == [2]:
            cluster.remove_node(second, allow_graceful=False)  # in the middle of its trial
            nodes.append(1)

    settings = WorkerConfig(str(folder), "10steps", timeout=200.0)
    engine = RayEngine(settings, cluster.address, 1, 0, None, retries=2)
    most = engine.free()
    summary = run(trials(), store, engine, finished, retries=1)
    cluster.shutdown()
    print(json.dumps({
        "done": summary.done,
        "failed": {trial.method: message for trial, message in summary.failed},
        "most": most, "told": sorted(told.values()), "nodes": nodes,
    }))  # fmt: skip


def trials() -> list[Trial]:
    """Return the trials: those that go wrong in between those that do not.

    Two have ended when the first slow one has; on the other node is then the second.
    """
    given = {"task": "stripes/mlp", "sparsity": 0.5}
    slow = [
        Trial.make(**given, method="slow", seed=seed, recipe={"epochs": 6}) for seed in range(4)
    ]
    bad = [Trial.make(**given, method=method) for method in ("raises", "segfaults")]
    return [slow[0], bad[0], slow[1], bad[1], *slow[2:]]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
