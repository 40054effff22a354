"""The trials of a store in a few values each, for lists: read without building whole records.

A record is verified by its checksum when it is first read. Its summary is then remembered in the
user's cache, by the record's time and size, so that a store of 10,000 trials is listed at once.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from suite.core.errors import InvalidInput
from suite.core.files import atomic_write
from suite.experiments.trial_config import Trial, show
from suite.results.integrity import CHECKSUMMED_SINCE, read_intact
from suite.results.metrics import out_of_range
from suite.results.old_names import has_old_names
from suite.results.record import ACCURACY, LIMITS, SCHEMA_VERSION, Record, never_updated_in
from suite.results.record_index import IndexRow, RecordIndex
from suite.results.recorded_version import RecordedVersion, finished_at
from suite.results.storage_backend import BATCH_SIZE, KEY, RECORD
from suite.results.store import CorruptRecord, Store, gc_paused
from suite.results.training_flops import off_budget

CACHE = Path(".cache") / "resonance-bench" / "summaries"
"""In the user's home: a file per store."""
CACHE_VERSION = 4
MIN_CACHED = 200
"""Summaries are remembered once so many records had to be read anew."""
UNUSUAL = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What `summary_of` and the checks before it raise for content that is not a sound record."""
NAMED = frozenset({"task", "method", "sparsity", "seed", "hyperparameters", "recipe"})
OPTIONS = {name: f.default for name, f in Trial.model_fields.items() if name not in NAMED}
"""The other options of a trial, with their defaults."""


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """A trial in a few values.

    Attributes:
        status: done or failed; of a trial without a record: missing or running; or damaged.
        hyperparameters, recipe, options: what differs from the defaults.
        metric: the name of the metric that `value` is of; empty without one.
        seconds: how long it took.
        started: date and time in ISO format; empty if that is not known.
        message: why it failed, or is damaged.
        no_update: why its method never updated connectivity, so that it is no result; else empty.
        off_budget: why it is not compared at equal training FLOPs, if that was asked; else empty.
        out_of_date: why it is out of date, where that was looked for; else empty.
        made_by: the versions of task and method that its record has; None without a record.
        configured: the values that all hyperparameters and recipe fields had, as JSON with sorted
            names; empty without a record. Trials that were configured alike share it.
    """

    key: str
    status: str
    task: str = ""
    method: str = ""
    sparsity: float | None = None
    seed: int | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    metric: str = ""
    value: float | None = None
    seconds: float | None = None
    started: str = ""
    message: str = ""
    no_update: str = ""
    off_budget: str = ""
    out_of_date: str = ""
    made_by: RecordedVersion | None = None
    configured: str = ""

    @property
    def finished(self) -> float:
        """When it ended, in seconds since 1970; 0 where that is not known."""
        return finished_at({"started": self.started, "seconds": self.seconds})

    @property
    def settings(self) -> str:
        """What differs from the defaults, as it is written on the command line."""
        changed = {**self.hyperparameters, **self.recipe, **self.options}
        return " ".join(f"{name}={show(value)}" for name, value in changed.items())


_own_values = attrgetter(*(one.name for one in fields(TrialSummary)[:-2]))
"""All that two trials do not have in common: `made_by` and `configured` follow."""


def summary_of(content: Mapping[str, Any]) -> TrialSummary:
    """Return the summary of a record, given as JSON.

    Raises:
        KeyError, TypeError, ValueError: it is not one.
    """
    trial = content["trial"]
    metric, value = "", None
    if content["status"] == "done":
        metric = f"{trial.get('evaluate', 'test')}_{content.get('metric', ACCURACY)}"
        value = _number(content["metrics"][metric])
        if reason := out_of_range(metric, value):
            raise ValueError(reason)
    elif content["status"] != "failed":
        raise ValueError("a record is done or failed")
    timing = content.get("timing") or {}
    seconds = timing.get("seconds")
    return planned(
        content["key"],
        content["status"],
        trial,
        metric=metric,
        value=value,
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        started=str(timing.get("started") or ""),
        message=str((content.get("error") or {}).get("message", "")),
        no_update=never_updated_in(content),
        off_budget=_off_budget(content) if content["status"] == "done" else "",
        made_by=RecordedVersion.of_content(content),
        configured=_configured(content.get("configuration") or {}),
    )


def _off_budget(content: Mapping[str, Any]) -> str:
    """Return why a training with a ``flops_budget`` missed it; empty if it did not, or has none."""
    recipe = (content.get("configuration") or {}).get("recipe") or content["trial"].get("recipe")
    if not (budget := (recipe or {}).get("flops_budget")):
        return ""
    flops = content["flops"]
    return off_budget(
        _number(flops["training"]), _number(flops.get("dense_training", 0.0)), _number(budget)
    )


def _configured(configuration: Mapping[str, Any]) -> str:
    """Return the values of all settings as one text, which equal ones share in memory."""
    values = {part: configuration.get(part, {}) for part in ("hyperparameters", "recipe")}
    return sys.intern(json.dumps(values, sort_keys=True, separators=(",", ":")))


def _number(value: Any) -> float:
    """Return a number of a record; true, false and texts are none."""
    if type(value) not in (float, int):
        raise TypeError("a metric is a number")
    return float(value)


def planned(key: str, status: str, trial: Mapping[str, Any], **more: Any) -> TrialSummary:
    """Return the summary of a trial with these settings, as a record or a study holds them."""
    return TrialSummary(
        key,
        status,
        str(trial.get("task", "")),
        str(trial.get("method", "")),
        float(trial.get("sparsity", 0.0)),
        int(trial.get("seed", 0)),
        dict(trial.get("hyperparameters", {})),
        dict(trial.get("recipe", {})),
        {n: trial[n] for n, usual in OPTIONS.items() if trial.get(n, usual) != usual},
        **more,
    )


def trial_summaries(
    store: Store, keys: Collection[str] | None = None
) -> tuple[list[TrialSummary], list[CorruptRecord]]:
    """Return the trials of a store that have a record, and those whose records cannot be read.

    With `keys`, only those of these trials.

    Raises:
        InvalidInput: the store is not a folder, or cannot be listed.
    """
    wanted = None if keys is None else [key for key in dict.fromkeys(keys) if KEY.fullmatch(key)]
    if wanted and store.local:
        store.keys()  # a store that cannot be read is one fault, and not one per trial
    versions = store.backend.versions(wanted)
    known = {} if len(versions) < MIN_CACHED else _read_cache(store)
    found: dict[str, TrialSummary] = {}
    unread: list[str] = []
    for key, version in versions.items():
        before, summary = known.get(key, ("", None))
        if summary is not None and before == version:
            found[key] = summary
        else:
            unread.append(key)
    read, damaged = _read(store, sorted(unread), versions)
    found |= read
    if len(read) >= MIN_CACHED:
        now = {key: (versions[key], summary) for key, summary in found.items()}
        _write_cache(store, now if keys is None else known | now)
    return [found[key] for key in versions if key in found], damaged


def _read(
    store: Store, keys: list[str], versions: Mapping[str, str]
) -> tuple[dict[str, TrialSummary], list[CorruptRecord]]:
    """Read records: from the index those that are current there, the others one by one."""
    index = RecordIndex(store.backend) if len(keys) >= MIN_CACHED else None
    found: dict[str, TrialSummary] = {}
    damaged: list[CorruptRecord] = []
    for start in range(0, len(keys), BATCH_SIZE):
        chunk = keys[start : start + BATCH_SIZE]
        rows = index.rows(chunk, versions) if index is not None and len(index) else {}
        with gc_paused():
            for key, row in rows.items():
                if (summary := _indexed(row, key)) is not None:
                    found[key] = summary
            rest = [key for key in chunk if key not in found]
            for key, content in store.contents(rest).items():
                try:
                    if isinstance(content, InvalidInput):
                        raise content
                    found[key] = _summarised(store, content, key)
                except InvalidInput as error:
                    damaged.append(CorruptRecord(key, error))
    return found, damaged


def _indexed(row: IndexRow, key: str) -> TrialSummary | None:
    """Return the summary of a row of the index, whose record was verified when it was indexed."""
    with contextlib.suppress(*UNUSUAL):
        content = from_json(row.text, allow_inf_nan=False)
        if _expected(content, key):
            return summary_of(content)
    return None


def _summarised(store: Store, data: bytes, key: str) -> TrialSummary:
    """Return the summary of a record's file.

    Raises:
        InvalidInput: the record cannot be used.
    """
    with contextlib.suppress(*UNUSUAL):
        # A value takes at least a byte, so a short record needs no other limit.
        content = read_intact(data) if len(data) <= LIMITS.values else None
        if content is not None and _expected(content, key):
            return summary_of(content)
    # Whatever is unusual about it (an old schema, damage), the full check says.
    record = Record.from_json(data, f"{store.where(key)}/{RECORD}", key)
    return summary_of(record.model_dump())


def _expected(content: Mapping[str, Any], key: str) -> bool:
    """Return whether a record is of this trial, of a schema with checksums, under current names."""
    version = content["schema_version"]
    return (
        type(version) is int
        and CHECKSUMMED_SINCE <= version <= SCHEMA_VERSION
        and content["key"] == key
        and not has_old_names(content["trial"])
    )


# ------------------------------------------------------------------ the user's cache


def _cache_path(store: Store) -> Path:
    """Return the file that remembers a store's summaries."""
    where = str(store.root.resolve()) if store.local else store.location
    return Path.home() / CACHE / f"{hashlib.sha256(where.encode()).hexdigest()[:32]}.json"


def _read_cache(store: Store) -> dict[str, tuple[str, TrialSummary]]:
    """Return version and summary by key; empty if nothing usable is remembered."""
    with contextlib.suppress(OSError, ValueError, RuntimeError, TypeError, KeyError, IndexError):
        digest, _, content = _cache_path(store).read_bytes().partition(b"\n")
        if digest == _digest(content):
            with gc_paused():
                return _from_plain(from_json(content))
    return {}


def _write_cache(store: Store, rows: Mapping[str, tuple[str, TrialSummary]]) -> None:
    """Remember summaries; where that cannot be done, records are read again the next time."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        content = json.dumps(_to_plain(rows), separators=(",", ":")).encode()
        atomic_write(_cache_path(store), _digest(content) + b"\n" + content, sync=False)


def _to_plain(rows: Mapping[str, tuple[str, TrialSummary]]) -> dict[str, Any]:
    """Return summaries as JSON-ready data; what many have in common is listed once."""
    shared: dict[Any, int] = {}
    plain = []
    for version, one in rows.values():
        common = [shared.setdefault(part, len(shared)) for part in (one.made_by, one.configured)]
        plain.append([version, *_own_values(one), *common])
    return {"shared": list(shared), "rows": plain}


def _from_plain(content: Mapping[str, Any]) -> dict[str, tuple[str, TrialSummary]]:
    shared = [RecordedVersion(*x) if isinstance(x, list) else x for x in content["shared"]]
    return {
        key: (version, TrialSummary(*[key, *own, shared[made_by], shared[configured]]))
        for version, key, *own, made_by, configured in content["rows"]
    }


def _digest(content: bytes) -> bytes:
    """Return what the first line of the file must be: another version or damage gives another."""
    return f"{CACHE_VERSION} {hashlib.sha256(content).hexdigest()}".encode()
