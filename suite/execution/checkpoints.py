"""Where the checkpoints of unfinished trials are kept: beside the trials of a store."""

import contextlib
from pathlib import Path

from suite.core.errors import InvalidInput
from suite.results.storage_backend import KEY, StoreUnusable, safe_key
from suite.results.store import Store

FOLDER = "checkpoints"
SUFFIX = ".safetensors"


class Checkpoints:
    """The checkpoints of a store: ``<store>/checkpoints/<key>.safetensors``.

    The store writes each in one go: a reader sees the one before or the new one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._backend = store.backend

    def for_trial(self, key: str) -> "TrialCheckpoint":
        """Return the place of one trial's checkpoint."""
        return TrialCheckpoint(self, key)

    def read(self, key: str) -> bytes | None:
        """Return a trial's checkpoint; None if it has none that can be read."""
        with contextlib.suppress(OSError, InvalidInput):
            return self._backend.load_shared(_path(key))
        return None

    def write(self, key: str, content: bytes) -> None:
        """Replace a trial's checkpoint.

        Raises:
            StoreUnusable: it cannot be written; the one before is still there.
        """
        try:
            self._backend.save_shared(_path(key), content)
        except StoreUnusable as error:
            raise StoreUnusable(f"a checkpoint cannot be written: {error}") from error

    def drop(self, key: str) -> None:
        """Remove a trial's checkpoint, if there is one."""
        with contextlib.suppress(StoreUnusable):
            self._backend.remove_shared(_path(key))

    def keys(self) -> list[str]:
        """Return the keys of the trials that have a checkpoint."""
        names = map(Path, self._backend.shared_names(FOLDER))
        return [n.stem for n in names if n.suffix == SUFFIX and KEY.fullmatch(n.stem)]

    def sweep(self) -> None:
        """Remove the checkpoints of finished trials, which a kill at the very end leaves."""
        for key in self.keys():
            record = self._store.read(key)
            if record is not None and record.status == "done":
                self.drop(key)
        self._backend.sweep_shared(FOLDER)


class TrialCheckpoint:
    """The place of one trial's checkpoint, for `suite.training.checkpoint.Checkpointer`."""

    def __init__(self, checkpoints: Checkpoints, key: str) -> None:
        self._checkpoints = checkpoints
        self._key = key

    def read(self) -> bytes | None:
        """Return the checkpoint; None if there is none."""
        return self._checkpoints.read(self._key)

    def write(self, content: bytes) -> None:
        """Replace the checkpoint.

        Raises:
            StoreUnusable: it cannot be written; the one before is still there.
        """
        self._checkpoints.write(self._key, content)


def _path(key: str) -> str:
    return f"{FOLDER}/{safe_key(key)}{SUFFIX}"
