"""Whether what a record states beside its measurements is possible: times, device, digests."""

import datetime
import re
from collections.abc import Iterator

from suite.results.integrity import CHECKSUMMED_SINCE
from suite.results.record import Record

SHA_256 = re.compile(r"[0-9a-f]{64}")
CLOCKS = datetime.timedelta(days=1)
"""How far the clocks of two machines, and their time zones, may be apart."""
MEASURED = ("metrics", "counts", "flops", "digests")
"""What a failed trial has none of."""


def stated_values(record: Record) -> Iterator[str]:
    """Yield what cannot be."""
    yield from _times(record)
    if record.status == "failed":
        if found := [name for name in MEASURED if getattr(record, name)]:
            yield f"it failed, and has {', '.join(found)}"
        if not record.error:
            yield "it failed without an error"
        return
    if record.error:
        yield "it is done, and has an error"
    if both := sorted(record.metrics.keys() & record.absent.keys()):
        yield f"{both[0]} is measured and absent"
    if str(record.trial["device"]).startswith("cuda") and not record.environment.get("gpu"):
        yield f"device {record.trial['device']!r:.40}, and its environment names no GPU"
    if record.schema_version < CHECKSUMMED_SINCE:
        return
    if "model" not in record.digests:
        yield "it has no digest of its weights"
    for kind in ("model", "mask"):
        if not SHA_256.fullmatch(record.digests.get(kind, "0" * 64)):
            yield f"the digest of {kind} is {record.digests[kind]!r:.40}: no SHA-256"


def _times(record: Record) -> Iterator[str]:
    timing = record.timing
    for name in ("seconds", "seconds_per_step", "peak_memory_bytes"):
        value = timing.get(name)
        if value is not None and (isinstance(value, str) or value < 0):
            yield f"{name} is {value!r:.40}: give a number of at least 0"
    if timing.get("peak_memory_bytes") == 0 and not record.trial.get("trainer"):
        yield "peak_memory_bytes is 0: no training takes no memory"
    if "started" not in timing:
        return
    try:
        started = datetime.datetime.fromisoformat(str(timing["started"]))
    except ValueError:
        yield f"started is {timing['started']!r:.40}: no date and time"
        return
    if started.tzinfo is None:
        started = started.replace(tzinfo=datetime.UTC)
    # Compared as seconds: close to the year 9999 a date cannot be moved by a day.
    now = datetime.datetime.now(datetime.UTC).timestamp()
    if (started - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)).total_seconds() > (
        now + CLOCKS.total_seconds()
    ):
        yield f"started is {timing['started']!r:.40}, in the future"
