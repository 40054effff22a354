"""Trials as Weights & Biases runs (id = key, group = study, job type = method), and tables.

wandb is imported only when a run is made. This module runs in a separate process
(`suite.tracking.tracker`), because wandb may hang, exit or fill its pipes.
"""

import hashlib
import io
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core.errors import InvalidInput
from suite.results.storage_backend import StorageBackend
from suite.results.store import Store
from suite.tracking.view import ARTIFACT_FILES, View, view

if TYPE_CHECKING:
    import polars as pl

POLL_SECONDS, STABLE_POLLS, MAX_WAIT_SECONDS = 0.05, 3, 30.0
"""Wait for another process's file: poll until its size was equal this many times."""
PROJECT = "resonance-bench"
SERVER = "api.wandb.ai"
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
START_SECONDS, FINISH_SECONDS = 30.0, 120.0


class Mode(StrEnum):
    """Where runs go: to the server, to a folder for `wandb sync`, or nowhere."""

    ONLINE = "online"
    OFFLINE = "offline"
    OFF = "off"


@dataclass(frozen=True)
class WandbConfig:
    """How runs are published.

    Attributes:
        mode: see `Mode`.
        project: W&B's project.
        entity: W&B's user or team; None is W&B's default.
        group: the study's name, by which runs are grouped.
        artifacts: whether to upload weights and masks.
        folder: where wandb writes its files.
    """

    mode: Mode = Mode.OFF
    project: str = PROJECT
    entity: str | None = None
    group: str | None = None
    artifacts: bool = False
    folder: str = "."

    def __post_init__(self) -> None:
        for field, name in (("project", self.project), ("entity", self.entity)):
            if name is not None and not NAME.fullmatch(name):
                raise InvalidInput(
                    f"W&B {field} {name!r:.60} is not usable: give letters, digits, '.', '_', '-'"
                )

    @classmethod
    def for_store(cls, store: Store, **given: Any) -> "WandbConfig":
        """Return settings with files in the store's folder, or in ``.`` if the store is a URL."""
        return cls(**{"folder": str(store.root.absolute()) if store.local else "."} | given)


def publish(store: Store, key: str, settings: WandbConfig) -> str:
    """Make a trial's run, unless it is published already; return its address.

    A run is written as a whole from the finished trial, so a trial that was interrupted and resumed
    has one run. Offline, where W&B cannot resume, a newer run replaces the older one.

    Raises:
        InvalidInput: there is no such trial, or its record is damaged.
        Exception: any that wandb raises.
    """
    found = view(store, key)
    if found is None:
        raise InvalidInput(f"trial {key} has no record in {store.location}")
    if (where := published(store.backend, found, settings)) is not None:
        return where
    where = _write(store, found, settings)
    mark = {"digest": found.record.fingerprint, "where": where, "artifacts": settings.artifacts}
    store.backend.save_shared(_mark(key, settings), json.dumps(mark).encode())
    return where


def published(backend: StorageBackend, found: View, settings: WandbConfig) -> str | None:
    """Return the address of this record's run; None if it has not been published."""
    try:
        mark = json.loads(backend.load_shared(_mark(found.record.key, settings)))
        where, same = str(mark["where"]), mark["digest"] == found.record.fingerprint
        enough = bool(mark["artifacts"]) or not settings.artifacts
    except (OSError, ValueError, KeyError, TypeError):
        return None
    exists = settings.mode is Mode.ONLINE or _written_bytes(Path(where)) > 0
    return where if same and enough and exists else None


def _mark(key: str, settings: WandbConfig) -> str:
    where = "offline"
    if settings.mode is Mode.ONLINE:
        where = re.sub(r"[^A-Za-z0-9.-]+", "_", os.environ.get("WANDB_BASE_URL") or SERVER)
    entity = settings.entity or "default"
    return f"published/wandb/{where}/{entity}/{settings.project}/{key}.json"


def _written_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.wandb"))


def _wait_until_written(folder: Path) -> bool:
    """Wait until wandb's own process has written a run; return False after a timeout.

    `finish` asks that process to close the run's file and does not wait for it.
    """
    sizes = [-1]
    for _ in range(int(MAX_WAIT_SECONDS / POLL_SECONDS)):
        sizes.append(_written_bytes(folder))
        if sizes[-1] > 0 and set(sizes[-STABLE_POLLS:]) == {sizes[-1]}:
            return True
        time.sleep(POLL_SECONDS)
    return sizes[-1] > 0


def publish_tables(tables: Mapping[str, "pl.DataFrame"], settings: WandbConfig) -> str:
    """Make a run with a leaderboard's tables; return its address.

    The run's id is a digest of the tables, so equal tables are one run.

    Raises:
        Exception: any that wandb raises.
    """
    content = hashlib.sha256()
    for name, table in tables.items():
        content.update(f"{name}\n{table.write_csv()}".encode())

    def log(wandb: Any, run: Any) -> None:
        run.log({name: _table(wandb, table) for name, table in tables.items()})
        for name, table in tables.items():
            run.summary[f"rows/{name}"] = len(table)

    return _in_run(
        settings,
        log,
        id=f"leaderboard-{content.hexdigest()[:16]}",
        name="leaderboard",
        job_type="leaderboard",
    )


def _write(store: Store, found: View, settings: WandbConfig) -> str:
    def log(wandb: Any, run: Any) -> None:
        _log(wandb, run, found)
        if settings.artifacts:
            run.log_artifact(_artifact(wandb, store, found))

    return _in_run(
        settings,
        log,
        exit_code=int(found.record.status == "failed"),
        id=found.record.key,
        name=found.record.title,
        job_type=found.record.trial["method"],
        tags=found.tags,
        config=found.config(),
    )


def _in_run(
    settings: WandbConfig, log: Callable[[Any, Any], None], exit_code: int = 0, **about: Any
) -> str:
    """Make a run, let `log` fill it, and return its address."""
    folder = Path(settings.folder).resolve()  # wandb remembers the folder it started in
    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("WANDB_SILENT", "true")  # the setting below comes too late for the login
    # Where artifacts wait for `wandb sync`; the default is the home folder.
    os.environ.setdefault("WANDB_DATA_DIR", str(folder / "wandb" / "data"))
    import wandb

    run = wandb.init(
        mode=settings.mode.value,  # type: ignore[arg-type]
        project=settings.project,
        entity=settings.entity,
        group=settings.group,
        dir=str(folder),
        reinit="create_new",
        settings=_quiet_settings(wandb),
        **about,
    )
    try:
        log(wandb, run)
    except BaseException:
        run.finish(exit_code=1)
        raise
    where = Path(run.settings.sync_dir)
    url = str(run.url) if settings.mode is Mode.ONLINE else ""  # offline, reading it logs a warning
    run.finish(exit_code=exit_code)
    if settings.mode is Mode.ONLINE:
        return url
    if folder not in where.resolve().parents or not _wait_until_written(where):
        raise OSError(f"wandb wrote nothing to {folder}")
    for older in (folder / "wandb").glob(f"offline-run-*-{about['id']}"):
        if older.resolve() != where.resolve():
            shutil.rmtree(older, ignore_errors=True)
    return str(where)


def _quiet_settings(wandb: Any) -> Any:
    """Return settings with which wandb prints nothing and collects nothing about this machine."""
    logging.getLogger("wandb").setLevel(logging.CRITICAL)
    return wandb.Settings(
        silent=True,
        console="off",
        program="resonance",
        disable_git=True,
        save_code=False,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        init_timeout=START_SECONDS,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
    )


def _log(wandb: Any, run: Any, found: View) -> None:
    from PIL import Image

    run.define_metric("*", step_metric="step")
    for row in found.history():
        run.log({name: _value(wandb, value) for name, value in row.items()})
    figures = {
        f"figures/{name}": wandb.Image(Image.open(io.BytesIO(content)))
        for name, content in found.pictures().items()
    }
    figures |= {f"masks/{name}": wandb.Image(mask) for name, mask in found.masks.items()}
    if figures:
        run.log(figures)
    for name, value in found.summary().items():
        run.summary[name] = value


def _table(wandb: Any, table: "pl.DataFrame") -> Any:
    return wandb.Table(columns=table.columns, data=table.rows(), allow_mixed_types=True)


def _value(wandb: Any, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    edges = [number / len(value) for number in range(len(value) + 1)]
    return wandb.Histogram(np_histogram=(value, edges))


def _artifact(wandb: Any, store: Store, found: View) -> Any:
    key = found.record.key
    artifact = wandb.Artifact(f"trial-{key}", type="model", metadata={"key": key})
    for name in ARTIFACT_FILES:
        try:
            content = store.load(key, name)
        except FileNotFoundError:
            continue
        with tempfile.NamedTemporaryFile() as file:  # wandb copies it
            file.write(content)
            file.flush()
            artifact.add_file(file.name, name=name)
    return artifact
