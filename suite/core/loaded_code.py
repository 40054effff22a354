"""Which of the user's modules were really imported for a trial, beside those in its syntax."""

import contextlib
from collections.abc import Collection, Iterator

from suite.core.code_files import OwnCode, loaded_files
from suite.core.discovery import when_dropped

MAX_UNSEEN = 100
_loaded: dict[str, dict[str, str]] = {}
"""Origin → file → name of what was imported while it was in use in this process."""


@contextlib.contextmanager
def noting(origins: Collection[str], code: OwnCode) -> Iterator[None]:
    """Note what is imported meanwhile as code of these origins, beside their `code`.

    Which of several origins has imported a module is not known, so it counts for each; files in
    `code` do not, as where one origin is a task's plug-in and another one a method's.
    """
    before = set(loaded_files().values()) if origins else set()
    try:
        yield
    finally:
        if origins:
            known = before | code.files
            new = {path: name for name, path in loaded_files().items() if path not in known}
            for origin in origins:
                _loaded.setdefault(origin, {}).update(new)


def unseen(origins: Collection[str], code: OwnCode) -> list[str]:
    """Return the modules that were imported for these origins and are not in `code`, sorted.

    Results do not notice when they change: an import that is made at run time, by name.
    """
    found = {
        name
        for origin in origins
        for path, name in _loaded.get(origin, {}).items()
        if path not in code.files
    }
    return sorted(found)[:MAX_UNSEEN]


when_dropped(_loaded.clear)
