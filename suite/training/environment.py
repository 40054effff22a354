"""Where and how long a trial ran: versions, commit, hardware, time; no secrets, no paths."""

import contextlib
import datetime
import os
import platform
import statistics
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import suite
from suite.core.own_version import commit


def processor() -> str:
    """Return the name of the processor, and its family and model if Linux says them.

    Virtual machines give processors of several generations one name, and results differ in bits.
    """
    name = _proc("cpuinfo", "model name")
    family, model = _proc("cpuinfo", "cpu family"), _proc("cpuinfo", "model")
    if name and family and model:
        return f"{name} (family {family}, model {model})"
    return name or platform.processor() or platform.machine()


def _proc(file: str, name: str) -> str:
    """Return the first value of `name` in a file of Linux's /proc; empty without one."""
    with contextlib.suppress(OSError):
        for line in Path("/proc", file).read_text().splitlines():
            field, _, value = line.partition(":")
            if field.strip() == name:
                return value.strip()
    return ""


def environment(device: torch.device, libraries: Sequence[str] = ()) -> dict[str, Any]:
    """Return versions and hardware, for the record; also the versions of more `libraries`."""
    made_by = commit()
    return {
        "suite": suite.__version__,
        "commit": made_by.head if made_by else None,
        "dirty": made_by.dirty if made_by else None,
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        **{name: version(name) for name in libraries},
        "system": platform.system(),
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


class Stopwatch:
    """When a trial started, how long it took and how much memory; starts when constructed."""

    def __init__(self, device: torch.device) -> None:
        self._started = datetime.datetime.now(datetime.UTC)
        self._began = time.perf_counter()
        self._device = device
        self._counts_memory = True
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")  # Linux: resets the high-water mark
        except OSError:
            self._counts_memory = False

    def timing(
        self,
        seconds_per_step: Sequence[float],
        started: datetime.datetime | None = None,
        earlier: float = 0.0,
    ) -> dict[str, float | str | None]:
        """Return the record's timing.

        Args:
            seconds_per_step: of each epoch.
            started: when the first attempt started, where this one resumed it.
            earlier: seconds that earlier attempts took.
        """
        return {
            "started": (started or self._started).isoformat(timespec="seconds"),
            "seconds": earlier + time.perf_counter() - self._began,
            "seconds_per_step": statistics.median(seconds_per_step),
            "peak_memory_bytes": self._peak_memory(),
        }

    def _peak_memory(self) -> float | None:
        """Return the peak of this process or its GPU; None where the system does not report it."""
        if self._device.type == "cuda":
            return float(torch.cuda.max_memory_allocated(self._device))
        peak = _proc("self/status", "VmHWM") if self._counts_memory else ""
        return float(peak.split()[0]) * 1024 if peak else None
