"""Checkpoints of unfinished trials, stored beside the trials of a store."""

import contextlib
from pathlib import Path

from suite.core.errors import InvalidInput
from suite.results.storage_backend import KEY, StorageBackend, StoreUnusable, safe_key
from suite.results.store import Store

FOLDER = "checkpoints"
SUFFIX = ".safetensors"


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
        for key in self.keys():
            record = self._store.read(key)
            if record is not None and record.status == "done":
                self.for_trial(key).drop()
        self._store.backend.sweep_shared(FOLDER)


class TrialCheckpoint:
    """Reads and writes one trial's checkpoint, for `suite.training.checkpoint.Checkpointer`."""

    def __init__(self, backend: StorageBackend, key: str) -> None:
        self._backend = backend
        self._name = f"{FOLDER}/{safe_key(key)}{SUFFIX}"

    def read(self) -> bytes | None:
        """Return the checkpoint; None if there is none that can be read."""
        with contextlib.suppress(OSError, InvalidInput):
            return self._backend.load_shared(self._name)
        return None

    def write(self, content: bytes) -> None:
        """Replace the checkpoint: a reader sees the previous one or the new one.

        Raises:
            StoreUnusable: it cannot be written; the previous one is kept.
        """
        try:
            self._backend.save_shared(self._name, content)
        except StoreUnusable as error:
            raise StoreUnusable(f"a checkpoint cannot be written: {error}") from error

    def drop(self) -> None:
        """Remove the checkpoint, if there is one."""
        with contextlib.suppress(StoreUnusable):
            self._backend.remove_shared(self._name)
