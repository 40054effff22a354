"""What `resonance doctor` checks: whether this machine has what a study needs."""

import importlib.util
import math
import netrc
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from suite.core.errors import InvalidInput
from suite.core.redact import redact
from suite.execution.local import cores
from suite.experiments import registry
from suite.results.store import Store
from tasks.task import Dataset

OLDEST_PYTHON = (3, 11)
CONNECT_SECONDS = 3.0
MIN_FREE = 2**30
WANDB_URL = "https://api.wandb.ai"
RAY_PORT = 6379

State = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class HealthCheck:
    """What was checked, what was found, and what to do.

    Something `missing` is needed by some studies only; something `broken` stops every study.
    """

    what: str
    state: State
    found: str
    remedy: str = ""


def examine(store: str, *, network: bool = True) -> Iterator[HealthCheck]:
    """Run all checks in order; without `network`, open no connections."""
    checks = {
        "python": _python(),
        "torch": _torch(),
        "threads": _threads(),
        "declarations": _declarations(),
        "data": _data(),
        "store": _store(store),
        "wandb": _wandb(network=network),
        "ray": _ray(network=network),
        "slurm": _slurm(),
    }
    for name, check in checks.items():
        try:
            yield from check
        except Exception as error:  # one check that fails must not hide the others
            line = redact(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
            yield HealthCheck(name, "broken", line, "report this as a bug, with this line")


def _python() -> Iterator[HealthCheck]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        yield HealthCheck("python", "broken", found, f"install Python {oldest} or newer")
    else:
        yield HealthCheck("python", "ok", found)


def _torch() -> Iterator[HealthCheck]:
    remedy = "`make setup`, or `pip install --force-reinstall torch torchvision`"
    for package in ("torch", "torchvision"):
        try:
            importlib.import_module(package)
        except Exception as error:  # a broken build may raise anything
            line = (str(error).splitlines() or [""])[0]
            yield HealthCheck(package, "broken", f"{type(error).__name__}: {line}", remedy)
            return
        yield HealthCheck(package, "ok", version(package))
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield HealthCheck("devices", "ok", f"cpu, cuda: {', '.join(names)}")
    elif shutil.which("nvidia-smi"):
        built = torch.version.cuda or "none"
        found = f"cpu; torch (built for CUDA {built}) sees no GPU"
        remedy = "check that `nvidia-smi` lists one, with a driver new enough for torch's CUDA"
        yield HealthCheck("devices", "missing", found, remedy)
    else:
        yield HealthCheck("devices", "ok", "cpu (there is no GPU)")


def _threads() -> Iterator[HealthCheck]:
    usable = usable_cores()
    given = os.environ.get("OMP_NUM_THREADS")
    found = f"{usable} cores" + (f", OMP_NUM_THREADS={given}" if given else "")
    if given and given.isdigit() and int(given) > usable:
        remedy = f"set OMP_NUM_THREADS to {usable} at most: more threads than cores are slower"
        yield HealthCheck("threads", "missing", found, remedy)
    else:
        yield HealthCheck("threads", "ok", f"{found}: {usable} trials of one thread at once")


def usable_cores(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many cores this process may use: by affinity, and by its container's quota."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return max(1, min(cores(), math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return cores()


def _declarations() -> Iterator[HealthCheck]:
    try:
        found = f"{len(registry.methods())} methods, {len(registry.tasks())} tasks"
        found += f", {len(registry.plugins())} plug-ins" if registry.plugins() else ""
    except InvalidInput as error:
        remedy = "correct what it names, or leave it out"
        yield HealthCheck("declarations", "broken", str(error), remedy)
        return
    yield HealthCheck("declarations", "ok", found)


def _data() -> Iterator[HealthCheck]:
    if (given := os.environ.get("RESONANCE_DATA")) and not Path(given).is_dir():
        found = f"{given} is not a folder"
        yield HealthCheck("RESONANCE_DATA", "broken", found, "set it to one, or unset it")
    for dataset in registry.datasets():
        where = find_data(dataset)
        if where is not None:
            yield HealthCheck(f"data {dataset.name}", "ok", where)
            continue
        names = _file_names(dataset)
        remedy = f"set RESONANCE_DATA to a folder that holds {' or '.join(names)}"
        if hint := dataset.options.get("system_hint"):
            remedy += f", or {hint}"
        if any(key in dataset.options for key in ("url", "torchvision")):
            remedy += "; with a network it is downloaded when first used"
        yield HealthCheck(f"data {dataset.name}", "missing", "not on this machine", remedy)


def find_data(dataset: Dataset) -> str | None:
    """Return where a dataset is, without reading it; None if this machine does not have it."""
    from tasks.datasets.files import locate

    if "path" in dataset.options:
        path = Path(dataset.options["path"])
        return str(path) if path.exists() else None
    if "folders" in dataset.options:
        from tasks.datasets.idx import find

        found = find(dataset)
    elif names := _file_names(dataset):
        found = locate(*names)
    else:
        return "comes with the packages"
    return str(found) if found is not None else None


def _file_names(dataset: Dataset) -> list[str]:
    for option in ("files", "folders", "file", "archive", "path"):
        if option in dataset.options:
            given = dataset.options[option]
            return [given] if isinstance(given, str) else list(map(str, given))
    return []


def _store(location: str) -> Iterator[HealthCheck]:
    remedy = "choose another with --store, or RESONANCE_STORE"
    try:
        store = Store(location)
        if not store.local:
            store.prepare()
            yield HealthCheck("store", "ok", f"{store.location} can be written to")
            return
        trials = len(store.keys())
    except InvalidInput as error:
        yield HealthCheck("store", "broken", str(error), remedy)
        return
    root = store.root.absolute()
    folder = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    found = f"{root}: {trials} trials, {free / 2**30:.1f} GiB free"
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield HealthCheck("store", "broken", f"{folder} cannot be written to", remedy)
    elif free < MIN_FREE:
        yield HealthCheck("store", "broken", found, f"free disk space, or {remedy}")
    else:
        yield HealthCheck("store", "ok", found)


def _wandb(*, network: bool) -> Iterator[HealthCheck]:
    if (found := _installed("wandb")) is None:
        yield HealthCheck("wandb", "missing", "not installed", "`pip install wandb`")
        return
    url = os.environ.get("WANDB_BASE_URL") or WANDB_URL
    host = urlsplit(url).hostname or url
    if not (os.environ.get("WANDB_API_KEY") or _netrc_has(host)):
        remedy = "`wandb login`, or set WANDB_API_KEY; `--wandb offline` needs none"
        yield HealthCheck("wandb", "missing", f"{found}, no API key", remedy)
    elif network and (trouble := _unreachable(url, 443)):
        remedy = "check the network; or `--wandb offline`, and `resonance wandb push` later"
        yield HealthCheck("wandb", "missing", f"{found}, {trouble}", remedy)
    else:
        yield HealthCheck("wandb", "ok", f"{found}, an API key is set, {host}")


def _ray(*, network: bool) -> Iterator[HealthCheck]:
    if (found := _installed("ray")) is None:
        remedy = "`pip install resonance-bench[ray]`, for --engine ray"
        yield HealthCheck("ray", "missing", "not installed", remedy)
        return
    address, trouble = os.environ.get("RAY_ADDRESS"), ""
    if network and address and address not in ("auto", "local"):
        trouble = _unreachable(address if "://" in address else f"ray://{address}", RAY_PORT)
    if trouble:
        remedy = "`ray start`, or unset RAY_ADDRESS"
        yield HealthCheck("ray", "missing", f"{found}, {trouble}", remedy)
    else:
        yield HealthCheck("ray", "ok", found + (f", {address}" if address else ""))


def _slurm() -> Iterator[HealthCheck]:
    found, sbatch = _installed("submitit"), shutil.which("sbatch")
    if sbatch is None:
        yield HealthCheck("slurm", "missing", "no sbatch found", "run on a cluster's login node")
    elif found is None:
        remedy = "`pip install submitit`, for --engine slurm"
        yield HealthCheck("slurm", "missing", f"{sbatch}, submitit is not installed", remedy)
    else:
        yield HealthCheck("slurm", "ok", f"{sbatch}, submitit {found}")


def _installed(package: str) -> str | None:
    if importlib.util.find_spec(package) is None:
        return None
    try:
        return version(package)
    except PackageNotFoundError:
        return "of an unknown version"


def _netrc_has(host: str) -> bool:
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _unreachable(url: str, port: int) -> str:
    """Return why connecting to a URL's host fails; empty if it succeeds."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        port = parts.port or (80 if parts.scheme == "http" else port)
        with socket.create_connection((host, port), CONNECT_SECONDS):
            return ""
    except (OSError, ValueError) as error:
        return f"{host}:{port} cannot be reached ({error})"
