"""Checks of a whole submission: each record, records against each other, and reruns."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from leaderboard.bundles.bundle_file import Bundle
from leaderboard.bundles.check_report import CheckReport, Severity, SubmissionIssue
from leaderboard.bundles.record_checks import record_checks
from leaderboard.bundles.reruns import differing_values
from leaderboard.bundles.targets import other_targets
from leaderboard.statistics.paired_comparisons import MIN_SEEDS
from leaderboard.terms import Terms, uncounted
from suite.core.code_files import changed_files
from suite.core.declarations import Configurable
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import CODE, IDENTITY, Trial, task_digest
from suite.results.correct_bits import differing
from suite.results.old_names import ADVICE, has_old_names
from suite.results.record import Record
from suite.results.record_check import (
    CONFIGURATION,
    INFERENCE,
    NETWORK,
    READABLE,
    SEEDS,
    TRAINING,
    UPDATES,
    WEIGHTS,
    ZEROS,
    Check,
    Recomputed,
    problems_of,
)

Recompute = Callable[[Record], Recomputed]
"""Returns a trial's number of optimizer steps, and the checks that need its network.

Raises InvalidInput if the task or the method is unknown here.
"""

UNKNOWN = "its task or method is not known here"
SAME_MACHINE = (
    *("suite", "torch", "numpy", "python", "system"),
    *("processor", "instructions", "gpu"),
)
"""Parts of the environment that may change the bits of a trial's result."""


def check_bundle(bundle: Bundle, recompute: Recompute) -> CheckReport:
    """Return all issues, the most severe first, and what was compared."""
    issues = [SubmissionIssue("error", r.where, r.reason) for r in bundle.rejected]
    found = [Check(READABLE, (reason,)) for _, reason in bundle.rejected]
    found += [Check(READABLE) for _ in bundle.records]
    if not bundle.records:
        issues.append(SubmissionIssue("error", "file", "it holds no record that can be used"))
    steps: dict[str, int] = {}
    for record in bundle.records:
        checks = [*record_checks(record), _check_configuration(record)]
        try:
            steps[record.key], recomputed, unknown = recompute(record)
            checks += recomputed
        except InvalidInput as error:
            unknown = str(error)
            names = (ZEROS, NETWORK, UPDATES, INFERENCE, TRAINING)
            checks += [Check(name, skipped=UNKNOWN) for name in names]
        if unknown:
            what = f"its settings, zeros and FLOPs cannot be checked here: {unknown}"
            issues.append(SubmissionIssue("warning", _name(record), what))
        found += checks
        problems = problems_of(checks)
        issues += [SubmissionIssue("error", _name(record), what) for what in problems]
        if record.status == "failed":
            failure = record.error or {}
            what = f"it failed: {failure.get('message') or failure.get('type', '')}"
            issues.append(SubmissionIssue("note", _name(record), what))
    for tuning in bundle.tunings:
        tried = sum(len(found.trials) for found in tuning.methods.values())
        what = f"{tried} configurations of {', '.join(tuning.methods)}, with the values as stated"
        issues.append(SubmissionIssue("note", f"tuning {tuning.settings.name}", what))
    if bundle.ablation is not None:
        cells = sum(len(design.cells) for design in bundle.ablation.designs)
        what = f"{cells} cells; its trials have pages; this file puts none of them on a board"
        issues.append(SubmissionIssue("note", f"ablation {bundle.ablation.name}", what))
    together, checks = _check_together(bundle.records, steps)
    return CheckReport.of(issues + together, found + checks)


def _name(record: Record) -> str:
    return f"{record.key} ({record.title})"


# ------------------------------------------------------------------ one record


def _check_configuration(record: Record) -> Check:
    """Compare with the configuration that the declarations here give the same trial."""
    if has_old_names(record.configuration):
        return Check(CONFIGURATION, (f"it {ADVICE}",))
    try:
        trial = Trial.make(**record.trial)
    except InvalidInput:  # invalid settings or an unknown method; both are reported elsewhere
        other = tuple(_other_task(record))
        return Check(CONFIGURATION, other, skipped="" if other else UNKNOWN)
    return Check(CONFIGURATION, tuple(_differences(record, trial)))


def _other_task(record: Record) -> Iterator[str]:
    """Yield in what a task that is known here is another version; of a method that is not."""
    if record.trial["task"] not in registry.tasks():
        return
    task = registry.tasks()[record.trial["task"]]
    dataset = registry.datasets()[task.dataset]
    here = {"dataset_revision": dataset.revision, "task_digest": task_digest(task, dataset)}
    for name, value in here.items():
        if (recorded := record.configuration.get(name)) != value:
            what = f"out of date: {name} is {value} here, {recorded!r:.40}"
            yield f"{what} in the record: run it again"


def _differences(record: Record, trial: Trial) -> Iterator[str]:
    expected = json.loads(json.dumps(trial.resolved()))
    parts = (*IDENTITY, CODE)
    old = [name for name in parts if record.configuration.get(name) != expected.get(name)]
    if CODE in old:
        files = ", ".join(changed_files(record.code, trial.code.digests))
        yield f"made by other code than is here ({files}): run it again"
    for name in (name for name in old if name != CODE):
        what = f"out of date: {name} is {expected[name]} here, {record.configuration.get(name)!r}"
        yield f"{what} in the record: run it again"
    if not old and trial.key != record.key:
        yield f"its settings are not in canonical form (whose key is {trial.key})"
    for part in (name for name in expected if name not in parts):
        recorded = _with_later_options(trial, part, record.configuration.get(part))
        if recorded != expected[part]:
            yield f"configuration of {part}: {_difference(recorded, expected[part])}"


def _with_later_options(trial: Trial, part: str, recorded: Any) -> Any:
    """Return recorded settings with those that they lack and that are at their declared defaults.

    They were added after the record was made, with a default that changes nothing.
    """
    declared: dict[str, Configurable] = {
        "hyperparameters": trial.method_declaration,
        "recipe": trial.task_declaration,
    }
    if trial.trainer or part not in declared or not isinstance(recorded, Mapping):
        return recorded
    defaults = {one.name: one.default for one in declared[part].hyperparameters}
    return json.loads(json.dumps(defaults)) | dict(recorded)


def _difference(recorded: Any, expected: Any) -> str:
    if isinstance(recorded, Mapping) and isinstance(expected, Mapping):
        name = next(n for n in {**expected, **recorded} if recorded.get(n) != expected.get(n))
        return f"{name}={recorded.get(name)!r:.80}, its settings give {expected.get(name)!r:.80}"
    return f"{recorded!r:.80}, its settings give {expected!r:.80}"


# ------------------------------------------------------------------ records together


def _check_together(
    records: Sequence[Record], steps: Mapping[str, int]
) -> tuple[list[SubmissionIssue], list[Check]]:
    """Compare the methods of each task: seeds, recipe, steps; and look for copied weights."""
    tasks: dict[str, dict[str, dict[str, list[Record]]]] = defaultdict(lambda: defaultdict(dict))
    weights: dict[str, Record] = {}
    issues: list[SubmissionIssue] = []
    checks: list[Check] = []
    dirty = [record.key for record in records if record.environment.get("dirty")]
    if dirty:
        what = "made by code with changes that were not committed"
        issues.append(
            SubmissionIssue("warning", f"{len(dirty)} records, {dirty[0]} the first", what)
        )
    done = [record for record in records if record.status == "done"]
    if idle := [(one.key, reason) for one in done if (reason := uncounted(one))]:
        key, reason = idle[0]
        where = f"{len(idle)} records, {key} the first"
        issues.append(SubmissionIssue("warning", where, f"on no board: {reason}"))
    for record in records:
        trial = record.trial
        board = _words(trial["recipe"])
        entry = f"{trial['method']} {_words(trial['hyperparameters'])} s={trial['sparsity']:g}"
        entry = " ".join(entry.split())
        tasks[trial["task"]][board].setdefault(entry, []).append(record)
        if "model" not in record.digests:
            checks.append(Check(WEIGHTS, skipped="no digest of its weights"))
            continue
        twin = weights.setdefault(record.digests["model"], record)
        copied = twin.trial["seed"] != trial["seed"] or (
            twin.trial["method"] != trial["method"] and _zeros_of(twin) != _zeros_of(record)
        )
        what = f"its weights are those of {_name(twin)}"
        checks.append(Check(WEIGHTS, (what,) if copied else ()))
        if copied:
            issues.append(SubmissionIssue("error", _name(record), what))
    for record, check in other_targets(records):
        checks.append(check)
        issues += [SubmissionIssue("error", _name(record), what) for what in check.problems]
    for task, boards in tasks.items():
        if len(boards) > 1:
            words = "; ".join(board or "the task's own" for board in boards)
            what = f"several recipes, not to be compared: {words}"
            issues.append(SubmissionIssue("warning", task, what))
        for board, entries in boards.items():
            title = f"{task} ({board})" if len(boards) > 1 and board else task
            of_seeds = list(_check_seeds(title, entries))
            issues += [*of_seeds, *_check_steps(title, entries, steps)]
            wrong = {issue.where: issue.what for issue in of_seeds if issue.severity == "error"}
            for entry, found in entries.items():
                problems = (wrong[where],) if (where := f"{title} {entry}") in wrong else ()
                alone = "" if len(entries) > 1 else "no other method of its task and recipe"
                checks += [Check(SEEDS, problems, skipped=alone) for _ in found]
    return issues, checks


def _zeros_of(record: Record) -> list[tuple[str, int]]:
    return [(layer.name, layer.zeros) for layer in record.layers]


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
    """Report entries that train for more steps than the shortest entry of their task.

    Not at equal training FLOPs, where a sparser method is meant to.
    """
    if any(Terms.of(record).flops_budget for records in entries.values() for record in records):
        return
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


def compare_rerun(
    record: Record, again: Record, correct: tuple[bytes, bytes] | None = None
) -> list[SubmissionIssue]:
    """Compare a record with a rerun of its trial: metrics, FLOPs, weights.

    `correct` are the files ``correct.bits`` of both: with them also example by example.
    """
    where = _name(record)
    if record.status != again.status:
        message = (again.error or {}).get("message", "")
        what = f"recorded as {record.status}, the rerun is {again.status} {message}".rstrip()
        return [SubmissionIssue("error", where, what)]
    recorded = {**record.metrics, **record.flops, **record.digests}
    rerun = {**again.metrics, **again.flops, **again.digests}
    different = differing_values(record, again)
    examples = _examples(record, again, correct)
    if not different and not examples:
        what = "run again here: equal, metrics and weights bit by bit"
        if correct is not None:
            what += ", and every test prediction"
        return [SubmissionIssue("note", where, what)]
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
    if examples:
        issues.append(SubmissionIssue(severity, where, examples))
    return issues


def _examples(record: Record, again: Record, correct: tuple[bytes, bytes] | None) -> str:
    """Return how many test predictions are right in one run only; empty if none is."""
    if correct is None or not {"test"} <= record.counts.keys() & again.counts.keys():
        return ""
    total = record.counts["test"].total
    try:
        number = differing(*correct, total)
    except ValueError as error:
        return f"its test predictions cannot be compared: {error}"
    return f"{number:,} of {total:,} test predictions are right in one run only" if number else ""
