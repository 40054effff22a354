"""Check and measure what needs an NVIDIA GPU, in about ten minutes (docs/performance.md).

``python -m tests.gpu``; with ``--quick`` at small sizes, on a machine without a GPU with
``--device cpu --quick``. The exit status is 1 if a check fails, 2 if it cannot be run.
"""

import argparse
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch

from suite.core.errors import SparsityWarning
from suite.training.environment import processor
from suite.training.seeding import reproducible
from tests.gpu import agreement, overhead, ranks, readings, synchronisation
from tests.gpu.report import Lines, run

PARTS = ("agreement", "synchronisation", "overhead", "detector", "processes")


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small networks and short trainings")
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="repeatable; all if left out"
    )
    given = parser.parse_args(words)
    if given.device == "cuda" and not torch.cuda.is_available():
        message = "torch sees no NVIDIA GPU here; without one give --device cpu --quick"
        print(f"python -m tests.gpu: --device cuda: {message}", file=sys.stderr)
        return 2
    device = torch.device(given.device)
    parts: dict[str, tuple[str, Callable[[], Lines]]] = {
        "agreement": (
            "Masks of a CPU and of this device, from the same seed, weights and batches",
            partial(agreement.compare, device, given.quick),
        ),
        "synchronisation": (
            "Steps without an update do not wait for the device",
            partial(synchronisation.check, device),
        ),
        "overhead": ("Time and memory of a step", partial(overhead.measure, device, given.quick)),
        "detector": ("Resonance frequencies", partial(readings.measure, device, given.quick)),
        "processes": ("One trial on two processes", partial(ranks.check, device)),
    }
    print(machine(device))
    with warnings.catch_warnings(), reproducible(device, threads=torch.get_num_threads()):
        # The trainings are short: some end at another sparsity than a user expects, and say so.
        warnings.simplefilter("ignore", SparsityWarning)
        return run(parts[name] for name in PARTS if name in (given.part or PARTS))


def machine(device: torch.device) -> str:
    """Return the device and the versions in a line."""
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__}"
    if device.type == "cpu":
        return f"{processor()}, {versions}"
    count, cudnn = torch.cuda.device_count(), torch.backends.cudnn.version()
    name, memory = torch.cuda.get_device_name(), torch.cuda.get_device_properties().total_memory
    return (
        f"{count} × {name}, {memory / 2**30:.0f} GiB, {versions}, CUDA {torch.version.cuda}, "
        f"cuDNN {cudnn}"
    )


if __name__ == "__main__":
    sys.exit(main())
