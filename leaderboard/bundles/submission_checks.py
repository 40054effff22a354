"""Checks of a whole submission: each record, records against each other, and reruns."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from leaderboard.bundles.bundle_file import Bundle
from leaderboard.bundles.record_checks import record_problems
from leaderboard.statistics.paired_comparisons import MIN_SEEDS
from suite.core.code_files import changed_files
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import CODE, IDENTITY, Trial
from suite.results.old_names import ADVICE, has_old_names
from suite.results.record import Record

Severity = Literal["error", "warning", "note"]
Recompute = Callable[[Record], tuple[int, list[str]]]
"""Returns a trial's number of optimizer steps, and the wrong values of its record.

Raises InvalidInput if the task or the method is unknown here.
"""

SAME_MACHINE = ("suite", "torch", "numpy", "python", "system", "processor", "gpu")
"""Parts of the environment that may change the bits of a trial's result."""


@dataclass(frozen=True)
class SubmissionIssue:
    """One issue: its severity, the trial or part of the file, and a description."""

    severity: Severity
    where: str
    what: str

    def __str__(self) -> str:
        text = f"{self.severity}: {self.where}: {self.what}"
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def check_bundle(bundle: Bundle, recompute: Recompute) -> list[SubmissionIssue]:
    """Return all issues, the most severe first."""
    issues = [SubmissionIssue("error", r.where, r.reason) for r in bundle.rejected]
    if not bundle.records:
        issues.append(SubmissionIssue("error", "file", "it holds no record that can be used"))
    steps: dict[str, int] = {}
    for record in bundle.records:
        issues += [SubmissionIssue(how, _name(record), what) for how, what in _check_record(record)]
        try:
            steps[record.key], wrong = recompute(record)
        except InvalidInput as error:
            what = f"its settings, zeros and FLOPs cannot be checked here: {error}"
            issues.append(SubmissionIssue("warning", _name(record), what))
        else:
            issues += [SubmissionIssue("error", _name(record), what) for what in wrong]
    issues += _check_together(bundle.records, steps)
    order = ("error", "warning", "note")
    return sorted(issues, key=lambda issue: order.index(issue.severity))


def _name(record: Record) -> str:
    return f"{record.key} ({record.title})"


# ------------------------------------------------------------------ one record


def _check_record(record: Record) -> Iterable[tuple[Severity, str]]:
    for problem in record_problems(record):
        yield "error", problem
    yield from _check_configuration(record)
    if record.status == "failed":
        error = record.error or {}
        yield "note", f"it failed: {error.get('message') or error.get('type', '')}"


def _check_configuration(record: Record) -> Iterable[tuple[Severity, str]]:
    """Compare with the configuration that the declarations here give the same trial."""
    if has_old_names(record.configuration):
        yield "error", f"it {ADVICE}"
        return
    try:
        trial = Trial.make(**record.trial)
    except InvalidInput:
        return  # invalid settings or an unknown method; both are reported elsewhere
    expected = json.loads(json.dumps(trial.resolved()))
    parts = (*IDENTITY, CODE)
    old = [name for name in parts if record.configuration.get(name) != expected.get(name)]
    if CODE in old:
        files = ", ".join(changed_files(record.code, trial.code.digests))
        yield "error", f"made by other code than is here ({files}): run it again"
    for name in (name for name in old if name != CODE):
        what = f"out of date: {name} is {expected[name]} here, {record.configuration.get(name)!r}"
        yield "error", f"{what} in the record: run it again"
    if not old and trial.key != record.key:
        yield "error", f"its settings are not in canonical form (whose key is {trial.key})"
    for part in (name for name in expected if name not in parts):
        if (recorded := record.configuration.get(part)) != expected[part]:
            yield "error", f"configuration of {part}: {_difference(recorded, expected[part])}"


def _difference(recorded: Any, expected: Any) -> str:
    if isinstance(recorded, Mapping) and isinstance(expected, Mapping):
        name = next(n for n in {**expected, **recorded} if recorded.get(n) != expected.get(n))
        return f"{name}={recorded.get(name)!r:.80}, its settings give {expected.get(name)!r:.80}"
    return f"{recorded!r:.80}, its settings give {expected!r:.80}"


# ------------------------------------------------------------------ records together


def _check_together(
    records: Sequence[Record], steps: Mapping[str, int]
) -> Iterable[SubmissionIssue]:
    """Compare the methods of each task: seeds, recipe, steps; and look for copied weights."""
    tasks: dict[str, dict[str, dict[str, list[Record]]]] = defaultdict(lambda: defaultdict(dict))
    weights: dict[str, Record] = {}
    dirty = [record.key for record in records if record.environment.get("dirty")]
    if dirty:
        what = "made by code with changes that were not committed"
        yield SubmissionIssue("warning", f"{len(dirty)} records, {dirty[0]} the first", what)
    for record in records:
        trial = record.trial
        board = _words(trial["recipe"])
        entry = f"{trial['method']} {_words(trial['hyperparameters'])} s={trial['sparsity']:g}"
        entry = " ".join(entry.split())
        tasks[trial["task"]][board].setdefault(entry, []).append(record)
        twin = weights.setdefault(record.digests.get("model", record.key), record)
        if twin.trial["seed"] != trial["seed"]:
            yield SubmissionIssue("error", _name(record), f"its weights are those of {_name(twin)}")
    for task, boards in tasks.items():
        if len(boards) > 1:
            words = "; ".join(board or "the task's own" for board in boards)
            yield SubmissionIssue("warning", task, f"several recipes, not to be compared: {words}")
        for entries in boards.values():
            yield from _check_seeds(task, entries)
            yield from _check_steps(task, entries, steps)


def _check_seeds(task: str, entries: Mapping[str, list[Record]]) -> Iterable[SubmissionIssue]:
    seeds = {entry: {r.trial["seed"] for r in records} for entry, records in entries.items()}
    everything = set().union(*seeds.values())
    for entry, found in seeds.items():
        where = f"{task} {entry}"
        if missing := everything - found:
            others = set().union(*(s for other, s in seeds.items() if other != entry))
            words = f"seeds {_numbers(found)}; other methods have {_numbers(missing)} as well"
            if found & others:
                yield SubmissionIssue("warning", where, f"{words}: only shared seeds are compared")
            else:
                yield SubmissionIssue("error", where, f"{words}, and share none: nothing is paired")
    few = [entry for entry, found in seeds.items() if len(found) < MIN_SEEDS]
    if few:
        least = min(len(seeds[entry]) for entry in few)
        what = f"{len(few)} of {len(seeds)} cells have fewer than {MIN_SEEDS} seeds"
        yield SubmissionIssue("warning", task, f"{what} (as few as {least}), too few for a claim")


def _check_steps(
    task: str, entries: Mapping[str, list[Record]], steps: Mapping[str, int]
) -> Iterable[SubmissionIssue]:
    """Report entries that train for more steps than the shortest entry of their task."""
    longest = {e: max(steps.get(r.key, 0) for r in records) for e, records in entries.items()}
    least = min((count for count in longest.values() if count), default=0)
    for entry, count in longest.items():
        if count > least:
            what = f"trains {count:,} steps, {count / least:.3g} times as many as the shortest here"
            yield SubmissionIssue("note", f"{task} {entry}", what)


def _words(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}"[:80] for name, value in settings.items())


def _numbers(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


# ------------------------------------------------------------------ reruns


def compare_rerun(record: Record, again: Record) -> list[SubmissionIssue]:
    """Compare a record with a rerun of its trial: metrics, FLOPs, weights."""
    where = _name(record)
    if record.status != again.status:
        message = (again.error or {}).get("message", "")
        what = f"recorded as {record.status}, the rerun is {again.status} {message}".rstrip()
        return [SubmissionIssue("error", where, what)]
    recorded = {**record.metrics, **record.flops, **record.digests}
    rerun = {**again.metrics, **again.flops, **again.digests}
    different = [name for name in recorded if name in rerun and recorded[name] != rerun[name]]
    if not different:
        return [
            SubmissionIssue("note", where, "run again here: equal, metrics and weights bit by bit")
        ]
    machine = [
        f"{name} {record.environment.get(name)!r:.60}, here {again.environment.get(name)!r:.60}"
        for name in SAME_MACHINE
        if record.environment.get(name) != again.environment.get(name)
    ]
    severity: Severity = "warning" if machine else "error"
    reason = f"made elsewhere: {'; '.join(machine)}" if machine else "on a machine of the same kind"
    issues = [SubmissionIssue(severity, where, f"run again here: different, {reason}")]
    for name in different:
        old, new = recorded[name], rerun[name]
        if isinstance(old, float) and isinstance(new, float):
            what = f"{name} {old:.6g}, here {new:.6g}"
        else:
            what = f"digest of {name} {old!s:.12}…, here {new!s:.12}…"
        issues.append(SubmissionIssue(severity, where, what))
    return issues
