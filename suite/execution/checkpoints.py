"""Checkpoints of unfinished trials, stored beside the trials of a store.

Several machines may train the same trial. Each one that has read or written its checkpoint holds a
lease, ``<key>-OWNER.lease``, and the checkpoint is removed only when nobody else holds one.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from suite.core.errors import InvalidInput
from suite.core.leases import Heartbeat, Owner, is_abandoned
from suite.results.storage_backend import KEY, StorageBackend, StoreUnusable, safe_key
from suite.results.store import Store

FOLDER = "checkpoints"
SUFFIX = ".safetensors"
LEASE = re.compile(rf"({KEY.pattern})-.+\.lease")


class Checkpoints:
    """The checkpoints of a store, by trial: ``<store>/checkpoints/<key>.safetensors``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def for_trial(self, key: str) -> "TrialCheckpoint":
        """Return the object that reads and writes one trial's checkpoint."""
        return TrialCheckpoint(self._store.backend, key)

    def keys(self) -> list[str]:
        """Return the keys of the trials that have a checkpoint."""
        names = map(Path, self._store.backend.shared_names(FOLDER))
        return [n.stem for n in names if n.suffix == SUFFIX and KEY.fullmatch(n.stem)]

    def sweep(self) -> None:
        """Remove the checkpoints of finished trials whose process was killed at the very end."""
        backend = self._store.backend
        in_use = set()
        for key, lease in _leases(backend):
            if _is_held(backend, lease):
                in_use.add(key)
            else:
                backend.remove_shared(lease)
        for key in set(self.keys()) - in_use:
            record = self._store.read(key)
            if record is not None and record.status == "done":
                self.for_trial(key).drop()
        backend.sweep_shared(FOLDER)


class TrialCheckpoint:
    """Reads and writes one trial's checkpoint, for `suite.training.checkpoint.Checkpointer`.

    As a context manager it holds a lease from the first reading or writing to the end.
    """

    def __init__(self, backend: StorageBackend, key: str) -> None:
        self._backend = backend
        self._key = safe_key(key)
        self._name = f"{FOLDER}/{self._key}{SUFFIX}"
        self._lease = ""
        self._heart: Heartbeat | None = None

    def __enter__(self) -> "TrialCheckpoint":
        self._lease = f"{FOLDER}/{self._key}-{Owner.current().label()}.lease"
        return self

    def __exit__(self, *error: object) -> None:
        self._release()

    def read(self) -> bytes | None:
        """Return the checkpoint; None if there is none that can be read."""
        with contextlib.suppress(OSError, InvalidInput):
            content = self._backend.load_shared(self._name)
            with contextlib.suppress(StoreUnusable):
                self._hold()
            return content
        return None

    def write(self, content: bytes) -> None:
        """Replace the checkpoint: a reader sees the previous one or the new one.

        Raises:
            StoreUnusable: it cannot be written; the previous one is kept.
        """
        try:
            self._hold()
            self._backend.save_shared(self._name, content)
        except StoreUnusable as error:
            raise StoreUnusable(f"a checkpoint cannot be written: {error}") from error

    def drop(self) -> None:
        """Remove the checkpoint, if there is one and no other process uses it."""
        self._release()
        with contextlib.suppress(InvalidInput):
            others = [lease for key, lease in _leases(self._backend) if key == self._key]
            if not any(_is_held(self._backend, lease) for lease in others):
                self._backend.remove_shared(self._name)

    def _hold(self) -> None:
        if self._lease and self._heart is None:
            self._beat()
            self._heart = Heartbeat(self._beat)

    def _beat(self) -> None:
        self._backend.save_shared(self._lease, b"held\n")

    def _release(self) -> None:
        if self._heart is not None:
            self._heart.stop()
            self._heart = None
            with contextlib.suppress(StoreUnusable):
                self._backend.remove_shared(self._lease)


def _leases(backend: StorageBackend) -> Iterator[tuple[str, str]]:
    """Yield the key and the name of each lease."""
    for name in backend.shared_names(FOLDER):
        if match := LEASE.fullmatch(name):
            yield match[1], f"{FOLDER}/{name}"


def _is_held(backend: StorageBackend, lease: str) -> bool:
    with contextlib.suppress(FileNotFoundError):  # given up in this moment
        owner = lease.removesuffix(".lease")
        return not is_abandoned(owner, lambda: backend.silent_seconds(lease))
    return False
