"""One trial on several processes: ``torchrun --nproc-per-node 2 -m suite.distributed TASK METHOD``.

Each process (one per GPU, or several on a CPU) takes its share of every batch. The first writes
the record, under a key of its own: adding gradients up in another order rounds differently.
It is a command, as `suite.cli.app` is.
"""

import argparse
import os
import signal
import sys

import torch

from suite.cli.options import DEFAULT_STORE, settings
from suite.core.console import complain, say
from suite.core.errors import InvalidInput, TrialFailed
from suite.execution.checkpoints import Checkpoints
from suite.execution.plan import Overwrite, schedule
from suite.execution.runner import attempt
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.store import Store
from suite.training.checkpoint import Checkpointer, SharedCheckpointStore
from suite.training.checkpoint_interval import CheckpointInterval
from suite.training.parallel import process_group


def main() -> int:
    """Run the command; the exit code is that of `resonance run`."""
    given = _arguments()
    try:
        return _run(given)
    except InvalidInput as error:
        complain(f"error: {error}")
        return 2
    except TrialFailed as error:
        complain(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        complain("stopped; run the same command again to go on")
        return 130


def _run(given: argparse.Namespace) -> int:
    if "WORLD_SIZE" not in os.environ:
        raise InvalidInput(
            "suite.distributed is started by torchrun: `torchrun --nproc-per-node 2 -m "
            "suite.distributed …`; for a single process there is `resonance run`"
        )
    registry.use_plugins(given.plugin)
    trial = Trial.make(
        task=given.task,
        method=given.method,
        sparsity=0.0 if registry.methods()[given.method].dense else given.sparsity,
        seed=given.seed,
        hyperparameters=settings(given.set, "--set"),
        recipe=settings(given.recipe, "--recipe"),
        device=given.device,
        precision=given.precision,
        threads=given.threads,
        processes=int(os.environ["WORLD_SIZE"]),
    )
    interval = CheckpointInterval.parse(given.checkpoint_every)
    store = Store(given.store)
    first = os.environ["RANK"] == "0"
    if not schedule([trial], store, Overwrite(given.overwrite)).to_run:
        if first:
            say(f"{trial.describe()}: done before (--overwrite always runs it again)")
        return 0
    device = torch.device("cpu")
    if trial.device == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):  # torchrun sends one after the other
        signal.signal(number, lambda number, frame: asked.append(number))
    with process_group(device, lambda: bool(asked)) as processes:
        if first:
            store.prepare()
        checkpoints = Checkpoints(store)
        keeper = SharedCheckpointStore(checkpoints.keeper(trial.key), processes)
        record, files = attempt(trial, Checkpointer(trial, keeper, interval, processes.stopping))
        if not first:
            return 0 if record.error is None else 1
        store.write(trial.key, files)
        checkpoints.drop(trial.key)
    if record.error is not None:
        raise TrialFailed(f"{trial.describe()}: {record.error['message']}")
    accuracy = 100 * record.metrics["test_accuracy"]
    say(f"{trial.describe()} on {processes.size} processes: test accuracy {accuracy:.2f} %")
    say(f"  record            {store.where(trial.key)}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="suite.distributed", description=__doc__)
    parser.add_argument("task")
    parser.add_argument("method")
    parser.add_argument("-s", "--sparsity", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", metavar="NAME=VALUE")
    parser.add_argument("--recipe", action="append", metavar="NAME=VALUE")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--store", default=os.environ.get("RESONANCE_STORE", DEFAULT_STORE))
    parser.add_argument("--checkpoint-every", default="60s")
    parser.add_argument("--overwrite", choices=list(Overwrite), default=Overwrite.FAILED)
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
