"""Where a search is stored: a journal file, an SQLite file or a PostgreSQL database."""

import contextlib
import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError

from suite.core.errors import InvalidInput
from suite.core.redact import redact
from suite.tuning.journal import open_journal, reason

CONNECT_SECONDS = 10
CREATE_ATTEMPTS = 5
SQLITE_SECONDS = 30
"""How long one thread of this process waits for another that writes to an SQLite file."""

RACE = re.compile("already exists|duplicate key|DuplicateTable")
"""Two processes that create a database's tables at the same time can collide once."""

POSTGRESQL = re.compile(r"^postgres(ql)?(\+psycopg)?://")
SQLITE = re.compile(r"^sqlite:///(?!:memory:|file:)[^?]+$")
URL = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class StorageLost(InvalidInput):
    """The connection to a study's database was lost during the search."""


def check_location(location: str) -> None:
    """Check that a location is of a kind that can store a search; opens nothing.

    Raises:
        InvalidInput: it is a URL of another kind.
    """
    if URL.match(location) and not (POSTGRESQL.match(location) or SQLITE.match(location)):
        raise InvalidInput(
            f"--storage {redact(location)}: give a journal file, sqlite:///FILE (for one "
            "`resonance tune` at a time) or postgresql://HOST/DATABASE"
        )


@contextlib.contextmanager
def opened_storage(location: str) -> Iterator[Any]:
    """Yield the Optuna storage at a location, and close it; its errors become one line.

    Raises:
        InvalidInput: it cannot be reached or opened, or is an SQLite file that another process
            uses.
        StorageLost: the connection was lost.
        JournalLost: a journal could not be written or read.
    """
    with _sole_user(location), report_lost_storage(location):
        storage = open_storage(location)
        try:
            yield storage
        finally:
            if isinstance(storage, optuna.storages.RDBStorage):
                storage.remove_session()
                storage.engine.dispose()


def open_storage(location: str) -> Any:
    """Return an Optuna storage: a database given by URL, or a journal file.

    Raises:
        InvalidInput: it cannot be reached or opened.
    """
    check_location(location)
    if not URL.match(location):
        return open_journal(Path(location).resolve())
    url = POSTGRESQL.sub("postgresql+psycopg://", location)
    sqlite = SQLITE.match(location) is not None
    arguments = {"timeout": SQLITE_SECONDS} if sqlite else {"connect_timeout": CONNECT_SECONDS}
    kwargs = {"connect_args": arguments, "pool_pre_ping": True}
    for attempt in range(CREATE_ATTEMPTS):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=kwargs)
        except Exception as error:
            if attempt + 1 < CREATE_ATTEMPTS and RACE.search(str(error)):
                time.sleep(0.5)
                continue
            check = "the folder" if sqlite else "its address, the server"
            raise InvalidInput(
                f"--storage {redact(location)} cannot be opened ({reason(error, location)}): check "
                f"{check} and your permissions, or leave --storage out for a file"
            ) from error
    raise AssertionError


@contextlib.contextmanager
def report_lost_storage(location: str) -> Iterator[None]:
    """Turn database errors inside the context into one line.

    Raises:
        StorageLost: the connection was lost.
    """
    from sqlalchemy.exc import SQLAlchemyError

    # The pool logs every connection that it cannot return; one message is enough.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise StorageLost(
            f"--storage {redact(location)} was lost ({reason(cause, location)}); finished trials "
            f"are kept: check the {'disk' if SQLITE.match(location) else 'server'}, then run the "
            "same command to resume"
        ) from error


@contextlib.contextmanager
def _sole_user(location: str) -> Iterator[None]:
    """Keep other processes from an SQLite file; does nothing for storages that can be shared.

    Raises:
        InvalidInput: another process uses it.
    """
    if not SQLITE.match(location):
        yield
        return
    path = Path(location.removeprefix("sqlite:///")).resolve()
    lock = path.with_name(f"{path.name}.lock")
    descriptor = _lock(lock, location)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(lock: Path, location: str) -> int:
    """Lock a file for this process, and return its descriptor."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise InvalidInput(
                f"--storage {location} cannot be opened ({error.strerror}): check the folder and "
                "your permissions, or leave --storage out for a file"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise InvalidInput(
                f"--storage {location} is used by another process, and SQLite is for one: wait for "
                "it, or share a journal file or postgresql://…"
            ) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        os.close(descriptor)  # it was removed in the meantime by the process that had it
