"""Finished trials as W&B runs (id = key), and the tables of a leaderboard."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core.errors import InvalidInput
from suite.results.record import Record
from suite.results.storage_backend import StorageBackend, StoreUnusable
from suite.results.storage_errors import one_line
from suite.results.store import Store
from suite.tracking.view import View, tags_of, view
from suite.tracking.wandb import Mode, WandbConfig
from suite.tracking.wandb_run import WandbRun, log_history, written_bytes

if TYPE_CHECKING:
    import polars as pl

SERVER = "api.wandb.ai"


def publish(store: Store, key: str, settings: WandbConfig) -> str:
    """Make a trial's run, unless it is published already; return its address.

    The run is written as a whole from the finished trial: it replaces one that ended early, when
    the process that followed the trial died, and one of an older record.

    Raises:
        InvalidInput: there is no such trial, or its record is damaged.
        Exception: any that wandb raises.
    """
    found = stored_view(store, key)
    if (where := published(store.backend, found.record, settings)) is not None:
        return where
    run = open_run(settings, key, found.record.title, found.record.trial, found.config())
    try:
        log_history(run, found, list(found.history()))
        where = run.complete(store, found)
    except BaseException:
        run.abandon()
        raise
    mark_published(store, found, settings, where)
    return where


def make_writable(store: Store, keys: Iterable[str], settings: WandbConfig) -> None:
    """Check that runs and marks can be written, if any of these trials is still to be published.

    Without the check, W&B would be sent runs that the store does not know of, again at each push.

    Raises:
        StoreUnusable: the store, or the folder of the runs, cannot be written.
    """
    if all(_is_published(store, key, settings) for key in keys):
        return
    copy = f"; to publish from a copy: `resonance store merge {store.location} COPY`"
    try:
        store.prepare()
    except StoreUnusable as error:
        raise StoreUnusable(f"{error}{copy}") from error
    folder = Path(settings.folder) / "wandb"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnusable(one_line(error, folder, "written") + copy) from error


def _is_published(store: Store, key: str, settings: WandbConfig) -> bool:
    try:
        record = store.read(key)
    except InvalidInput:  # damaged: nothing of it is written
        return True
    return record is None or published(store.backend, record, settings) is not None


def stored_view(store: Store, key: str) -> View:
    """Return the view of a trial.

    Raises:
        InvalidInput: it has no record, or a damaged one.
    """
    if (found := view(store, key)) is None:
        raise InvalidInput(f"trial {key} has no record in {store.location}")
    return found


def open_run(
    settings: WandbConfig,
    key: str,
    title: str,
    trial: Mapping[str, Any],
    config: Mapping[str, Any],
) -> WandbRun:
    """Begin the run of a trial, finished or not."""
    return WandbRun(
        settings,
        id=key,
        name=title,
        job_type=settings.job_type.value,
        tags=tags_of(trial),
        config=dict(config),
    )


def mark_published(store: Store, found: View, settings: WandbConfig, where: str) -> None:
    """Note in the store which record has been published where."""
    mark = {
        "digest": found.record.fingerprint,
        "where": where,
        "artifacts": settings.artifacts,
        "group": settings.group,
    }
    name = _mark(found.record.key, settings)
    store.backend.save_shared(name, json.dumps(mark).encode())


def published(backend: StorageBackend, record: Record, settings: WandbConfig) -> str | None:
    """Return the address of this record's run; None if it has not been published.

    A run in another group counts, unless this one is asked for by name.
    """
    try:
        mark = json.loads(backend.load_shared(_mark(record.key, settings)))
        where, same = str(mark["where"]), mark["digest"] == record.fingerprint
        enough = bool(mark["artifacts"]) or not settings.artifacts
        grouped = settings.group is None or mark.get("group") == settings.group
    except (OSError, ValueError, KeyError, TypeError):
        return None
    exists = settings.mode is Mode.ONLINE or written_bytes(Path(where)) > 0
    return where if same and enough and grouped and exists else None


def publish_tables(tables: "Mapping[str, pl.DataFrame]", settings: WandbConfig) -> str:
    """Make a run with a leaderboard's tables; return its address.

    The run's id is a digest of the tables, so equal tables are one run.

    Raises:
        Exception: any that wandb raises.
    """
    content = hashlib.sha256()
    for name, table in tables.items():
        content.update(f"{name}\n{table.write_csv()}".encode())
    about = {"name": "leaderboard", "job_type": "leaderboard"}
    name = f"leaderboard-{content.hexdigest()[:16]}"
    run = WandbRun(settings, own_summary=False, id=name, **about)
    try:
        run.log_tables(tables)
        return run.finish()
    except BaseException:
        run.abandon()
        raise


def _mark(key: str, settings: WandbConfig) -> str:
    where = "offline"
    if settings.mode is Mode.ONLINE:
        where = re.sub(r"[^A-Za-z0-9.-]+", "_", os.environ.get("WANDB_BASE_URL") or SERVER)
    entity = settings.entity or "default"
    return f"published/wandb/{where}/{entity}/{settings.project}/{key}.json"
