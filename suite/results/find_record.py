"""Finding one trial of a store by its key, or by the first characters of it."""

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
    if not name:
        raise InvalidInput(f"no trial is given: name its key, or the first characters; {LISTED}")
    known = store.keys()
    keys = [key for key in known if key.startswith(name.lower())]
    where = f"in store {store.location}"
    if not keys:
        raise InvalidInput(
            f"trial '{name:.60}': no trial {where} has a key that begins so; {LISTED}"
        )
    if len(keys) > 1:
        some = ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
        raise InvalidInput(
            f"trial '{name:.60}': {len(keys)} keys {where} begin so ({some}); give more of it, "
            f"{LISTED}"
        )
    record = store.read(keys[0])
    if record is None:
        raise InvalidInput(f"trial {keys[0]} {where} has no record: run it again; {LISTED}")
    return record
