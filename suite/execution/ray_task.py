"""What a Ray task runs on its node: a trial, in a worker process that it supervises."""

from typing import Any

from suite.execution.failures import AttemptResult, Transient
from suite.execution.worker_handle import WorkerConfig, WorkerHandle
from suite.experiments import registry
from suite.experiments.trial_config import Trial

_handles: dict[str, WorkerHandle] = {}
"""The worker of this Ray process, kept for its next task: Ray reuses processes."""


def run_task(
    trial: dict[str, Any],
    configuration: dict[str, Any],
    plugins: list[str],
    as_planned: dict[str, Any],
) -> AttemptResult:
    """Run a trial in this node's worker; raise a transient error as one that Ray retries."""
    settings = WorkerConfig(**configuration)
    registry.use_plugins(plugins)
    handle = _handles.get("handle")
    if handle is None or handle.settings != settings:
        if handle is not None:
            handle.close()
        handle = _handles["handle"] = WorkerHandle(settings)
    handle.submit(Trial.make(**trial), as_planned)
    try:
        ended = handle.result()
    except KeyboardInterrupt:  # ray.cancel
        handle.stop()
        ended = handle.result()
    if isinstance(ended.error, Transient):
        raise ConnectionError(str(ended.error))
    return ended
