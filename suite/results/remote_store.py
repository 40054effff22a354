"""A store under a URL: ``s3://bucket/results``, ``gs://…``, ``abfs://…``, ``memory://…``.

A folder cannot be renamed in one step there, so a trial is committed by its record: the other files
are written first, into a folder that is named by the record's digest and never written to again,
and ``record.json`` last. Readers start from the record, so they see all or nothing; of several
writers of one trial the last record wins, with the files it was written with. Replaced files stay
until `store compact` finds them more than a day old: a reader or a slow writer may need them.
"""

import contextlib
import datetime
import errno
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from suite.core.errors import InvalidInput
from suite.core.redact import redact, redacted_line
from suite.results.storage_backend import (
    KEY,
    MAX_BYTES,
    MAX_FILE,
    RECORD,
    StoreUnusable,
    checksum_of,
)

T = TypeVar("T")

ATOMIC_PROTOCOLS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss", "memory"}
"""Protocols whose objects become visible whole, when their upload ends."""
GENERATION = re.compile(r"[0-9a-f]{64}")
MIN_AGE = datetime.timedelta(days=1)
BATCH_SIZE = 500


class RemoteStore:
    """Trials on a file system of fsspec. The methods raise what `StorageBackend` says."""

    def __init__(self, url: str) -> None:
        import fsspec

        protocol, rest = url.split("://", 1)
        if "::" in url:
            raise InvalidInput(f"store {url}: chained URLs are not usable; name one file system")
        if re.match(r"[^/@]*:[^/@]*@", rest):
            raise InvalidInput(
                f"store {redact(url)} has a password in it, which would be shown: set it in the "
                "environment or in fsspec's configuration (~/.config/fsspec)"
            )
        self.location = url.rstrip("/")
        try:
            # Cached listings would hide what others write.
            filesystem, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise InvalidInput(
                f"store {url} cannot be opened ({redacted_line(error):.300}): name a folder, or "
                "install what that protocol needs"
            ) from error
        except Exception as error:
            raise InvalidInput(
                f"store {url} cannot be opened: {redacted_line(error):.300}"
            ) from error
        self._fs: Any = filesystem
        self._puts_atomically = protocol in ATOMIC_PROTOCOLS
        if not self._puts_atomically and type(filesystem).mv is fsspec.AbstractFileSystem.mv:
            raise InvalidInput(
                f"store {url}: {protocol} can neither write a file atomically nor rename one, so "
                "readers could see half a result; use a folder, s3, gs or abfs"
            )
        self._root = root.rstrip("/")
        self._trials = f"{self._root}/trials"

    def prepare(self) -> None:
        """Check that the address can be written to."""
        probe = f"{self._root}/.probe-{uuid.uuid4().hex}"
        self._put(probe, b"resonance")
        with self._writing():
            self._fs.rm_file(probe)

    def write(self, key: str, files: Mapping[str, bytes], digest: str) -> None:
        """Write a trial's files, and its record last."""
        for name, content in files.items():
            if name != RECORD:
                self._put(f"{self._trials}/{key}/{digest}/{name}", content)
        self._put(f"{self._trials}/{key}/{RECORD}", files[RECORD])

    def remove(self, key: str) -> None:
        """Remove a trial's record, then its other files."""
        with self._writing():
            self._fs.rm_file(f"{self._trials}/{key}/{RECORD}")
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm(f"{self._trials}/{key}", recursive=True)

    def _put(self, path: str, content: bytes) -> None:
        with self._writing():
            if self._puts_atomically:
                self._fs.pipe_file(path, content)
                return
            temporary = f"{path.rpartition('/')[0]}/.new-{uuid.uuid4().hex}"
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            try:
                self._fs.pipe_file(temporary, content)
                self._fs.mv(temporary, path)
            except BaseException:
                with contextlib.suppress(Exception):
                    self._fs.rm_file(temporary)
                raise

    def load(self, key: str, name: str, digest: str | None, max_bytes: int = MAX_FILE) -> bytes:
        """Return a file of a trial; in a copied local store it is beside the record."""
        limit = MAX_BYTES if name == RECORD else max_bytes
        return self._read(key, name, digest, lambda path: self._get(path, limit))

    def checksum(self, key: str, name: str, digest: str | None, size: int) -> tuple[int, str]:
        """Return size and SHA-256 of a file of a trial, read in blocks if it has that size."""

        def read(path: str) -> tuple[int, str]:
            with self._translated("read", InvalidInput):
                found = int(self._fs.size(path))
                if not found == size <= MAX_FILE:
                    return found, ""
                with self._fs.open(path, "rb") as file:
                    return found, checksum_of(file)

        return self._read(key, name, digest, read)

    def _read(self, key: str, name: str, digest: str | None, read: Callable[[str], T]) -> T:
        paths = [f"{self._trials}/{key}/{name}"]
        if digest and name != RECORD:
            paths.insert(0, f"{self._trials}/{key}/{digest}/{name}")
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                return read(path)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), paths[0])

    def _get(self, path: str, max_bytes: int | None) -> bytes:
        with self._translated("read", InvalidInput):
            if max_bytes is None:
                return bytes(self._fs.cat_file(path))
            content = bytes(self._fs.cat_file(path, start=0, end=max_bytes + 1))
        if len(content) > max_bytes:
            raise InvalidInput(f"{path} is larger than the {max_bytes} bytes allowed")
        return content

    def load_records(self, keys: list[str]) -> Iterator[tuple[str, bytes]]:
        """Yield many records, several requests at a time."""
        for start in range(0, len(keys), BATCH_SIZE):
            paths = {
                f"{self._trials}/{key}/{RECORD}": key for key in keys[start : start + BATCH_SIZE]
            }
            with self._translated("read", InvalidInput):
                contents = self._fs.cat(list(paths), on_error="return")
            for path, key in paths.items():
                content = contents[path]
                if isinstance(content, FileNotFoundError):
                    continue
                if isinstance(content, Exception):
                    raise InvalidInput(
                        f"{path} cannot be read: {redacted_line(content):.300}"
                    ) from content
                yield key, content

    def names(self, key: str, digest: str | None) -> list[str]:
        """Return the names of a trial's files."""
        folder = f"{self._trials}/{key}"
        paths = self._listed(folder)
        if digest:
            paths += self._listed(f"{folder}/{digest}")
        return sorted({name for name in map(_last, paths) if not GENERATION.fullmatch(name)})

    def keys(self) -> list[str]:
        """Return the keys of the trials."""
        return sorted({key for key in map(_last, self._listed(self._trials)) if KEY.fullmatch(key)})

    def _listed(self, folder: str) -> list[str]:
        with self._translated("listed", InvalidInput), contextlib.suppress(FileNotFoundError):
            self._fs.invalidate_cache()
            return [str(path) for path in self._fs.ls(folder, detail=False)]
        return []

    def _all_files(self) -> dict[str, Any]:
        with self._translated("listed", InvalidInput), contextlib.suppress(FileNotFoundError):
            self._fs.invalidate_cache()
            return dict(self._fs.find(self._trials, detail=True))
        return {}

    def versions(self, keys: Sequence[str] | None = None) -> dict[str, str]:
        """Return the file system's metadata of each record: time, size, entity tag."""
        found = {}
        for path, about in self._all_files().items():
            *_, key, name = path.split("/")
            if name == RECORD and KEY.fullmatch(key):
                found[key] = str(sorted((str(k), str(v)) for k, v in about.items()))
        return {
            key: found[key] for key in (sorted(found) if keys is None else keys) if key in found
        }

    def leftovers(self, digests: Mapping[str, str | None]) -> list[str]:
        """Return the paths among the trials that belong to none of their records."""
        return [path for path in self._all_files() if not self._belongs(path, digests)]

    def _belongs(self, path: str, digests: Mapping[str, str | None]) -> bool:
        key, *rest = self._inside(path)
        if not KEY.fullmatch(key) or len(rest) not in (1, 2) or rest[-1].startswith("."):
            return False
        return len(rest) == 1 or digests.get(key) in (None, rest[0])

    def _inside(self, path: str) -> list[str]:
        return path.split(self._trials.strip("/") + "/", 1)[-1].split("/")

    def remove_leftovers(self, digests: Mapping[str, str | None]) -> int:
        """Remove files that were replaced more than a day ago; return how many.

        `digests` holds the digest of each readable record; other trials are left alone.
        """
        removed = 0
        for path in self.leftovers(digests):
            key, *rest = self._inside(path)
            if len(rest) == 2 and digests.get(key) is not None and GENERATION.fullmatch(rest[0]):
                removed += self._remove_if_old(path)
        return removed

    def _remove_if_old(self, path: str) -> bool:
        """Remove a file older than a day; none if the file system does not report times."""
        gone = contextlib.suppress(NotImplementedError, FileNotFoundError)
        with gone, self._translated("cleared", StoreUnusable):
            if _aware(self._fs.modified(path)) < datetime.datetime.now(datetime.UTC) - MIN_AGE:
                self._fs.rm_file(path)
                return True
        return False

    def load_shared(self, name: str, max_bytes: int | None = None) -> bytes:
        """Return a file beside the trials."""
        return self._get(f"{self._root}/{name}", max_bytes)

    def save_shared(self, name: str, content: bytes) -> None:
        """Write a file beside the trials."""
        self._put(f"{self._root}/{name}", content)

    def remove_shared(self, name: str) -> None:
        """Remove a file beside the trials, if it is there."""
        with self._writing(), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{name}")

    def silent_seconds(self, name: str) -> float:
        """Return how long ago a file beside the trials was written; 0 if times are not reported.

        By this machine's clock: object stores refuse requests of machines whose clock is wrong.
        """
        with self._translated("read", InvalidInput), contextlib.suppress(NotImplementedError):
            age = datetime.datetime.now(datetime.UTC) - _aware(
                self._fs.modified(f"{self._root}/{name}")
            )
            return age.total_seconds()
        return 0.0

    def sweep_shared(self, folder: str) -> None:
        """Remove files that were half-written more than a day ago, where files are renamed."""
        for path in self._listed(f"{self._root}/{folder}"):
            if _last(path).startswith(".new-"):
                self._remove_if_old(path)

    def shared_names(self, folder: str) -> list[str]:
        """Return the names of all that is in a folder beside the trials."""
        return sorted(map(_last, self._listed(f"{self._root}/{folder}")))

    def where(self, key: str) -> str:
        """Return the URL of a trial's record's folder."""
        return f"{self.location}/trials/{key}"

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn exceptions into one line, also those of file systems that can only be read."""
        with self._translated("written to", StoreUnusable):
            try:
                yield
            except NotImplementedError as error:
                raise StoreUnusable(
                    f"store {self.location} can only be read: its protocol does not write; choose "
                    "another with --store"
                ) from error
            except FileNotFoundError as error:  # no such bucket, for instance
                raise StoreUnusable(
                    f"store {self.location} cannot be written to: there is no such place "
                    f"({redacted_line(error):.300}); create it, or choose another with --store"
                ) from error

    @contextlib.contextmanager
    def _translated(self, what: str, complaint: type[InvalidInput]) -> Iterator[None]:
        """Turn the exceptions of a file system's library into one line."""
        try:
            yield
        except (FileNotFoundError, NotImplementedError, InvalidInput):
            raise
        except Exception as error:
            raise complaint(
                f"store {self.location} cannot be {what} ({redacted_line(error):.300}): check its "
                "address and your permissions, or choose another with --store"
            ) from error


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _aware(moment: datetime.datetime) -> datetime.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
