import json
import os
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from suite.cli import health_checks as doctor
from suite.cli.health_checks import examine, find_data, usable_cores
from suite.experiments import registry
from suite.results.store import Store

SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


@pytest.fixture(autouse=True)
def plain(place, monkeypatch) -> None:
    """Take away what this machine may have set."""
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "RAY_ADDRESS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(place / "no-netrc"))


def findings(store: str = "results", *, network: bool = False) -> dict[str, doctor.HealthCheck]:
    return {finding.what: finding for finding in examine(store, network=network)}


def test_a_sound_machine_has_nothing_broken():
    found = findings()
    assert [f for f in found.values() if f.state == "broken"] == []
    assert found["python"].found == ".".join(map(str, sys.version_info[:3]))
    assert found["torch"].found == torch.__version__.split("+")[0]
    assert {f"data {d.name}" for d in registry.datasets()} < set(found)
    assert found["data digits"].state == "ok"


def test_whatever_is_not_well_comes_with_what_to_do():
    assert all(f.remedy for f in findings().values() if f.state != "ok")


def test_looking_changes_nothing_on_disk(place):
    findings()
    assert list(place.iterdir()) == []


def test_one_part_that_goes_wrong_does_not_hide_the_others(monkeypatch):
    def fail() -> None:
        raise RuntimeError(f"two\nlines {SECRET}")

    monkeypatch.setenv("SOME_TOKEN", SECRET)
    monkeypatch.setattr(doctor, "usable_cores", fail)
    found = findings()
    assert found["threads"].state == "broken"
    assert found["threads"].found == "RuntimeError: two lines [secret]"
    assert found["store"].state == "ok"


# ---------------------------------------------------------------- data


def test_a_dataset_is_found_where_it_would_be_read(place, monkeypatch):
    cifar = registry.datasets()["cifar10-jpeg"]
    monkeypatch.setenv("RESONANCE_CACHE", str(place / "cache"))
    assert find_data(cifar) is None
    assert "RESONANCE_DATA" in findings()["data cifar10-jpeg"].remedy
    assert "cifar10-jpeg.tar.xz" in findings()["data cifar10-jpeg"].remedy
    (place / "data").mkdir()
    (place / "data" / "cifar10-jpeg.tar.xz").write_bytes(b"")
    monkeypatch.setenv("RESONANCE_DATA", str(place / "data"))
    assert find_data(cifar) == str(place / "data" / "cifar10-jpeg.tar.xz")
    assert findings()["data cifar10-jpeg"].state == "ok"


def test_idx_files_are_found_in_the_systems_folders(place, monkeypatch):
    mnist = registry.datasets()["mnist"]
    monkeypatch.setenv("RESONANCE_CACHE", str(place / "cache"))
    bare = replace(mnist, options=dict(mnist.options) | {"system_folders": (str(place),)})
    assert find_data(bare) is None
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (place / f"{name}-ubyte.gz").write_bytes(b"")
    assert find_data(bare) == str(place)


def test_a_data_folder_that_is_none_is_broken(monkeypatch):
    monkeypatch.setenv("RESONANCE_DATA", "/nowhere/at/all")
    assert findings()["RESONANCE_DATA"].state == "broken"


# ---------------------------------------------------------------- threads, store


def test_cores_are_what_the_container_allows(tmp_path):
    here = len(os.sched_getaffinity(0))
    for text, cores in [("max 100000", here), ("50000 100000", 1), ("99900000 100000", here)]:
        (tmp_path / "cpu.max").write_text(text)
        assert usable_cores(tmp_path) == cores
    assert usable_cores(tmp_path / "none") == here


def test_more_threads_than_cores_are_told(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "9999")
    assert findings()["threads"].state == "missing"


def test_a_store_that_is_there_is_counted(store):
    assert "0 trials" in findings()["store"].found


@pytest.mark.parametrize("location", ["taken", "taken/inside", "nonsense://x"])
def test_a_store_that_cannot_be_used_is_broken(place, location):
    (place / "taken").write_text("")
    found = findings(location)["store"]
    assert found.state == "broken"
    assert "--store" in found.remedy


def test_a_folder_without_rights_is_broken(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert findings()["store"].state == "broken"


def test_a_full_disk_is_broken(monkeypatch):
    usage = doctor.shutil.disk_usage("/")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    found = findings()["store"]
    assert (found.state, "free the disk" in found.remedy) == ("broken", True)


def test_a_store_under_a_url_is_tried():
    assert findings("memory://doctor")["store"].state == "ok"
    assert Store("memory://doctor").keys() == []


# ---------------------------------------------------------------- services


@pytest.fixture
def server():
    """Return the port of something that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_accept, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1]


def _accept(listening: socket.socket) -> None:
    try:
        while True:
            listening.accept()[0].close()
    except OSError:
        return


def test_wandb_without_a_key_is_missing_and_offline_is_named():
    found = findings()["wandb"]
    assert (found.state, "no API key" in found.found) == ("missing", True)
    assert "--wandb offline" in found.remedy


def test_wandb_with_a_key_is_reached_and_the_key_is_not_shown(monkeypatch, server):
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server}")
    assert findings(network=True)["wandb"].state == "ok"
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    found = findings(network=True)["wandb"]
    assert (found.state, "cannot be reached" in found.found) == ("missing", True)
    assert SECRET not in str(findings(network=True))


def test_a_key_in_netrc_counts(place, monkeypatch):
    (place / "netrc").write_text(f"machine api.wandb.ai login user password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(place / "netrc"))
    assert findings()["wandb"].state == "ok"


def test_a_ray_cluster_that_does_not_answer_is_told(monkeypatch, server):
    monkeypatch.setattr(doctor, "_installed", lambda package: "2.50")
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server}")
    assert findings(network=True)["ray"].state == "ok"
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    assert findings(network=True)["ray"].state == "missing"
    assert findings(network=False)["ray"].state == "ok"


def test_slurm_needs_sbatch_and_submitit(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(doctor, "_installed", lambda package: None)
    assert "pip install submitit" in findings()["slurm"].remedy
    monkeypatch.setattr(doctor, "_installed", lambda package: "1.5")
    assert findings()["slurm"].state == "ok"


# ---------------------------------------------------------------- the command


def test_the_command_shows_it_and_exits_with_1_where_something_is_broken(resonance, place):
    result = resonance("doctor --offline")
    assert result.code == 0, result.out
    assert result.out.splitlines()[-1].startswith("0 broken, ")
    (place / "taken").write_text("")
    result = resonance("doctor --offline --json --store taken")
    assert result.code == 1
    broken = [f["what"] for f in json.loads(result.out) if f["state"] == "broken"]
    assert broken == ["store"]


def test_a_broken_torch_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    found = findings()["torchvision"]
    assert found.state == "broken"
    assert "pip install" in found.remedy


def test_what_it_says_fits_a_path_that_is_a_path(place):
    assert str(Path("results").absolute()) in findings()["store"].found
