"""Trials as Weights & Biases runs: id = key, group = study, job type = method; tables as one more.

This module imports wandb when a run is made, not before. It runs in a process of its own
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

LOOK, SAME_LOOKS, LONGEST_WAIT = 0.05, 3, 30.0
"""How a file of another process is waited for: seconds between looks, looks that are alike."""
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
        entity: W&B's user or team; its own default if None.
        group: what runs are grouped by, a study's name.
        artifacts: whether weights and masks are kept there too.
        folder: where wandb keeps its files.
    """

    mode: Mode = Mode.OFF
    project: str = PROJECT
    entity: str | None = None
    group: str | None = None
    artifacts: bool = False
    folder: str = "."

    def __post_init__(self) -> None:
        for what, name in (("project", self.project), ("entity", self.entity)):
            if name is not None and not NAME.fullmatch(name):
                raise InvalidInput(
                    f"W&B {what} {name!r:.60} is not usable: give letters, digits, '.', '_', '-'"
                )

    @classmethod
    def for_store(cls, store: Store, **given: Any) -> "WandbConfig":
        """Return settings whose files lie with the store, or here if it is under a URL."""
        return cls(**{"folder": str(store.root.absolute()) if store.local else "."} | given)


def publish(store: Store, key: str, settings: WandbConfig) -> str:
    """Make a trial's run; return where it is. What is published already is left as it is.

    A run is written whole from the finished trial. So one that was interrupted and resumed has one
    run, and offline, where W&B cannot resume, a newer run takes the place of the older one.

    Raises:
        InvalidInput: there is no such trial, or its record is damaged.
        Exception: whatever wandb raises.
    """
    found = view(store, key)
    if found is None:
        raise InvalidInput(f"trial {key} has no record in {store.location}")
    if (where := published(store.backend, found, settings)) is not None:
        return where
    where = _write(store, found, settings)
    mark = {"digest": found.digest, "where": where, "artifacts": settings.artifacts}
    store.backend.save_shared(_mark(key, settings), json.dumps(mark).encode())
    return where


def published(place: StorageBackend, found: View, settings: WandbConfig) -> str | None:
    """Return where a run of this very record is; None if it has not been published."""
    try:
        mark = json.loads(place.load_shared(_mark(found.record.key, settings)))
        where, same = str(mark["where"]), mark["digest"] == found.digest
        enough = bool(mark["artifacts"]) or not settings.artifacts
    except (OSError, ValueError, KeyError, TypeError):
        return None
    there = settings.mode is Mode.ONLINE or _whole(Path(where))
    return where if same and enough and there else None


def _mark(key: str, settings: WandbConfig) -> str:
    where = "offline"
    if settings.mode is Mode.ONLINE:
        where = re.sub(r"[^A-Za-z0-9.-]+", "_", os.environ.get("WANDB_BASE_URL") or SERVER)
    entity = settings.entity or "default"
    return f"published/wandb/{where}/{entity}/{settings.project}/{key}.json"


def _whole(folder: Path) -> bool:
    return any(path.stat().st_size > 0 for path in folder.glob("*.wandb"))


def _settles(folder: Path) -> bool:
    """Wait until wandb's own process has written a run; False if it never does.

    `finish` tells that process to close the run's file and does not wait until it has.
    """
    sizes = [-1]
    for _ in range(int(LONGEST_WAIT / LOOK)):
        sizes.append(sum(path.stat().st_size for path in folder.glob("*.wandb")))
        if sizes[-1] > 0 and set(sizes[-SAME_LOOKS:]) == {sizes[-1]}:
            return True
        time.sleep(LOOK)
    return sizes[-1] > 0


def publish_tables(tables: Mapping[str, "pl.DataFrame"], settings: WandbConfig) -> str:
    """Make a run that holds a leaderboard's tables, by name; return where it is.

    Equal tables are one run: their digest is its id.

    Raises:
        Exception: whatever wandb raises.
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
        group=settings.group,
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
        name=found.name,
        group=settings.group,
        job_type=found.record.trial["method"],
        tags=found.tags,
        config=found.config(),
    )


def _in_run(
    settings: WandbConfig, log: Callable[[Any, Any], None], exit_code: int = 0, **about: Any
) -> str:
    """Make a run about something, let `log` fill it, and return where it is."""
    folder = Path(settings.folder).resolve()  # wandb keeps its own notion of where it started
    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("WANDB_SILENT", "true")  # the setting comes too late for its login
    # Artifacts wait here for `wandb sync`; by default in the home folder, far from their run.
    os.environ.setdefault("WANDB_DATA_DIR", str(folder / "wandb" / "data"))
    import wandb

    run = wandb.init(
        mode=settings.mode.value,  # type: ignore[arg-type]
        project=settings.project,
        entity=settings.entity,
        dir=str(folder),
        reinit="create_new",
        settings=_quiet(wandb),
        **about,
    )
    try:
        log(wandb, run)
    except BaseException:
        run.finish(exit_code=1)
        raise
    where = Path(run.settings.sync_dir)
    url = str(run.url) if settings.mode is Mode.ONLINE else ""  # offline it complains
    run.finish(exit_code=exit_code)
    if settings.mode is Mode.ONLINE:
        return url
    if folder not in where.resolve().parents or not _settles(where):
        raise OSError(f"wandb wrote nothing to {folder}")
    for older in (folder / "wandb").glob(f"offline-run-*-{about['id']}"):
        if older.resolve() != where.resolve():
            shutil.rmtree(older, ignore_errors=True)
    return str(where)


def _quiet(wandb: Any) -> Any:
    """Return settings under which wandb prints nothing and looks at nothing of this machine."""
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
    run.define_metric("*", step_metric="step")
    for row in found.history():
        run.log({name: _value(wandb, value) for name, value in row.items()})
    figures = {
        f"figures/{name}": _image(wandb, content) for name, content in found.pictures().items()
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


def _image(wandb: Any, content: bytes) -> Any:
    from PIL import Image

    return wandb.Image(Image.open(io.BytesIO(content)))


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
