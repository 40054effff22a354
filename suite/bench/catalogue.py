"""Every benchmark, by name; its module is imported when it is run."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

from suite.bench.measurement import Measurement


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: `function` names a function without parameters that yields measurements.

    `minutes` is about how long it takes on two cores; a `long` one runs only when asked for.
    """

    name: str
    about: str
    function: str
    minutes: float
    long: bool = False

    def run(self) -> Iterator[Measurement]:
        """Import the module, and yield the measurements as they come."""
        module, _, name = self.function.partition(":")
        yield from getattr(importlib.import_module(module), name)()


BENCHMARKS = (
    Benchmark("step", "what each method adds to a dense step of LeNet-300-100",
              "suite.bench.overhead:lenet", 1.5),
    Benchmark("own-loop", "what sparsify adds to a step of a loop of one's own",
              "suite.bench.own_loop:run", 1),
    Benchmark("resnet", "what each method adds to a dense step of ResNet-20",
              "suite.bench.overhead:resnet_20", 3),
    Benchmark("memory", "memory that resonance adds", "suite.bench.overhead:memory", 0.5),
    Benchmark("update", "one update of each method", "suite.bench.update:run", 1),
    Benchmark("detector", "resonance frequencies against chunked torch.fft",
              "suite.bench.detector:run", 0.5),
    Benchmark("loop", "the training loop against a bare one", "suite.bench.loop:against_bare", 0.5),
    Benchmark("epoch", "an epoch outside of forward, backward and step",
              "suite.bench.loop:share", 0.5),
    Benchmark("pipeline", "batches with augmentation against a torchvision loader",
              "suite.bench.pipeline:against_torchvision", 1),
    Benchmark("csr", "truly sparse training against dense", "suite.bench.csr:run", 2),
    Benchmark("csr-kernel", "the compiled product at chosen places against PyTorch's",
              "suite.bench.csr:kernel", 0.1),
    Benchmark("condensed", "a condensed layer against dense and CSR",
              "suite.bench.condensed:run", 0.5),
    Benchmark("corruptions", "test images corrupted", "suite.bench.robustness:corrupted", 0.5),
    Benchmark("measures", "what measures of a trained network add to a trial",
              "suite.bench.robustness:added", 0.5),
    Benchmark("local-engine", "scheduling a trial on local processes",
              "suite.bench.engine:local", 0.5),
    Benchmark("ray", "scheduling a trial on Ray", "suite.bench.engine:ray", 0.5),
    Benchmark("records", "reading 10,000 records", "suite.bench.store:records", 1),
    Benchmark("commands", "coming back to a store of 10,000 trials",
              "suite.bench.store:fewer_trials", 2),
    Benchmark("site", "building the site of 10,000 trials", "suite.bench.site:site", 2),
    Benchmark("page", "sorting and filtering 2,000 rows of a page in Chromium",
              "suite.bench.page:page", 0.5),
    Benchmark("csr-break-even", "densities at which one layer is faster in csr",
              "suite.bench.csr:break_even", 1, long=True),
    Benchmark("csr-convolution", "convolutions as CSR products", "suite.bench.convolution:run", 2,
              long=True),
    Benchmark("csr-chart", "speed-up over sparsity and width", "suite.bench.csr_chart:run", 10,
              long=True),
    Benchmark("large-commands", "coming back to a store of 100,000 trials",
              "suite.bench.store:commands", 10, long=True),
    Benchmark("growth", "how commands grow from 1,000 to 100,000 trials",
              "suite.bench.growth:growth", 15, long=True),
)  # fmt: skip
"""In the order in which they are run and printed."""
