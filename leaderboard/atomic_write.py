"""Writing a file so that no reader ever sees half of it."""

import contextlib
import os
from pathlib import Path


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it.

    Raises:
        OSError: it cannot be written; the file keeps its old content.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
