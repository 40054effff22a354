"""Where a trial's checkpoint is kept, as training sees it."""

from typing import Protocol


class CheckpointStore(Protocol):
    """Where one trial's checkpoint is kept: the latest replaces the one before, or fails whole."""

    def read(self) -> bytes | None:
        """Return the checkpoint; None if there is none."""

    def write(self, content: bytes) -> None:
        """Put a checkpoint in the place of the one before."""
