"""Finding one trial of a store by its key, or by the first characters of it."""

from collections.abc import Collection

from suite.core.errors import InvalidInput
from suite.results.record import Record
from suite.results.store import Store

LISTED = "`resonance list trials` lists the keys"


def find_record(store: Store, name: str) -> Record:
    """Return the record of the trial whose key is `name`, or the only one that begins with it.

    Raises:
        InvalidInput: no trial has such a key or several do, nothing has finished under it, or its
            record is damaged.
    """
    where = f"in store {store.location}"
    key = find_key(store.keys() if name else (), name, where)
    record = store.read(key)
    if record is None:
        raise InvalidInput(f"trial {key} {where} has no record: run it again; {LISTED}")
    return record


def find_key(keys: Collection[str], name: str, where: str, listed: str = LISTED) -> str:
    """Return the one of `keys` that is `name`, or the only one that begins with it.

    `where` they are, and what lists them (`listed`), are words of the message.

    Raises:
        InvalidInput: none of them begins so, or several do.
    """
    if not name:
        raise InvalidInput(f"no trial is given: name its key, or the first characters; {listed}")
    found = [key for key in keys if key.startswith(name.lower())]
    if not found:
        raise InvalidInput(
            f"trial '{name:.60}': no trial {where} has a key that begins so; {listed}"
        )
    if len(found) > 1:
        some = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
        raise InvalidInput(
            f"trial '{name:.60}': {len(found)} keys {where} begin so ({some}); give more of it, "
            f"{listed}"
        )
    return found[0]
