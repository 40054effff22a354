"""Dataset files: locations, checksums, downloads, and members of archives.

Archives are never unpacked to disk: their members are read one by one, so nothing can be written.
Links, devices and paths outside the archive are rejected nevertheless.
"""

import hashlib
import os
import resource
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from suite.core.errors import InvalidInput
from suite.core.files import atomic_file

MAX_MEMBER_BYTES = 2**30
"""Largest uncompressed size of an archive member, in bytes."""

DOWNLOAD_TIMEOUT = 60
"""Seconds without data after which a download fails."""

UNREADABLE = (
    OSError,
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    NotImplementedError,
    MemoryError,
)
"""What reading a damaged archive may raise."""


def cache_folder() -> Path:
    """Return the folder of downloads and decoded data: $RESONANCE_CACHE, or the user's cache.

    That is $XDG_CACHE_HOME, by default ~/.cache, and in it ``resonance-bench``.
    """
    if given := os.environ.get("RESONANCE_CACHE"):
        return Path(given)
    caches = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(caches) if Path(caches).is_absolute() else _home_cache()) / "resonance-bench"


def _home_cache() -> Path:
    return Path.home() / ".cache"


def locate(*names: str) -> Path | None:
    """Return the first of these files or folders in $RESONANCE_DATA or the cache."""
    places = [Path(data)] if (data := os.environ.get("RESONANCE_DATA")) else []
    places += [cache_folder(), _home_cache() / "resonance-bench"]
    candidates = (place / name for place in places for name in names)
    return next((path for path in candidates if path.exists()), None)


def fetch(name: str, url: str, digests: tuple[str, str], dataset: str) -> Path:
    """Return a published file from $RESONANCE_DATA or the cache, or download it into the cache.

    `digests` is the kind of checksum and its hexadecimal value, ``("sha256", "…")``.

    Raises:
        InvalidInput: it is missing and cannot be downloaded, or has a wrong checksum.
    """
    path = locate(name)
    if path is None:
        path = cache_folder() / name
        _download(url, path, digests, dataset)
    verify(path, digests)
    return path


def verify(path: Path, digests: tuple[str, str]) -> None:
    """Check a file's checksum.

    Raises:
        InvalidInput: it is wrong.
    """
    kind, expected = digests
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, kind).hexdigest()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from error
    if digest != expected:
        raise InvalidInput(
            f"{path} is not the published file ({kind} {digest}, not {expected}): delete it and "
            "fetch it again"
        )


def _download(url: str, path: Path, digests: tuple[str, str], dataset: str) -> None:
    import urllib.request

    try:
        with (
            urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT) as response,
            atomic_file(path) as file,
        ):
            while block := response.read(2**20):
                file.write(block)
            file.flush()
            verify(Path(file.name), digests)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"dataset {dataset} was not found: either set RESONANCE_DATA to a folder that holds "
            f"{path.name}, or connect to the network for a download from {url} (which failed: "
            f"{reason})"
        ) from error


def is_archive(path: Path) -> bool:
    """Return whether a file's name is that of a tar or zip archive."""
    name = path.name.lower()
    return name.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip"))


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of each file in a tar or zip archive, in its order.

    Raises:
        InvalidInput: it cannot be read, or contains a link, a device, a path outside the archive,
            or a member of more than `MAX_MEMBER_BYTES` bytes.
    """
    try:
        if archive.name.lower().endswith(".zip"):
            yield from _zip_members(archive)
        else:
            yield from _tar_members(archive)
    except UNREADABLE as error:
        raise InvalidInput(f"archive {archive} cannot be read: {error}") from error


def _tar_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    # Not as a stream: tarfile would accept a truncated archive as complete.
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            _check_path(archive, member.name)
            if member.isdir():
                continue
            if not member.isreg():
                raise InvalidInput(
                    f"archive {archive}: '{member.name}' is a link or a device, not a file: pack "
                    "the files themselves"
                )
            _check_size(archive, member.name, member.size)
            file = tar.extractfile(member)
            assert file is not None
            yield member.name.removeprefix("./"), file.read()


def _zip_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            _check_path(archive, member.filename)
            if member.is_dir():
                continue
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                raise InvalidInput(
                    f"archive {archive}: '{member.filename}' is a link, not a file: pack the files "
                    "themselves"
                )
            _check_size(archive, member.filename, member.file_size)
            yield member.filename, packed.read(member)


def _check_path(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        raise InvalidInput(
            f"archive {archive}: '{name}' is a path outside the archive: use relative paths"
        )


def _check_size(archive: Path, name: str, size: int) -> None:
    if size > MAX_MEMBER_BYTES:
        raise InvalidInput(
            f"archive {archive}: '{name}' unpacks to {size:,} bytes, more than the "
            f"{MAX_MEMBER_BYTES:,} that are read: pack smaller files"
        )


def memory_bytes() -> int:
    """Return the memory that a process may use: of the machine, its container and `ulimit -v`."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if (allowed := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        limits.append(allowed)
    with suppress(OSError, ValueError):  # no container, or "max"
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits)


def check_memory(size: int, what: str, instead: str) -> None:
    """Check that `size` bytes fit in the memory that there is (`memory_bytes`).

    Raises:
        InvalidInput: they do not; `what` they are and what to do `instead` are in the message.
    """
    memory = memory_bytes()
    if size > memory:
        raise InvalidInput(
            f"{what} takes {size / 2**30:,.1f} GiB, and this machine has {memory / 2**30:,.1f}: "
            f"{instead}"
        )


def check_file(path: Path, what: str, times: int = 1) -> int:
    """Check that a path is a plain file that fits in memory; return its size in bytes.

    `times` its size are needed at least to use it. Opening a pipe would wait for ever, and a
    device has no end.

    Raises:
        InvalidInput: there is none, it is something else, or too large; `what` begins the message.
    """
    try:
        about = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"{what} cannot be read: {reason}") from error
    if not stat.S_ISREG(about.st_mode):
        kind = "a folder" if stat.S_ISDIR(about.st_mode) else "a pipe, a socket or a device"
        raise InvalidInput(f"{what} cannot be read: it is {kind}: give a plain file")
    check_memory(times * about.st_size, what, "give fewer examples, or use a larger machine")
    return about.st_size
