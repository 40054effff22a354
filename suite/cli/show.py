"""`resonance show`: one trial on the terminal: what it is, how it ended, where its files are."""

from collections.abc import Mapping
from typing import Any

from leaderboard.code_versions import out_of_date, recorded_version
from leaderboard.terms import uncounted
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption, TrialArgument
from suite.cli.plugin_hints import plugins_of, unknown_of
from suite.core.console import complain, print_json, print_table, say
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.experiments.trial_config import show as value_text
from suite.results import metrics
from suite.results.find_record import find_record
from suite.results.record import Record
from suite.results.store import Store
from suite.results.stored_evaluation import load_evaluations
from suite.results.training_flops import parts_of

SHOWN = frozenset(
    {"schema_version", "key", "status", "trial", "configuration", "metrics", "absent", "layers"}
    | {"counts", "flops", "timing", "environment", "digests", "notes", "error"}
)
"""The record's fields that have lines of their own; what else it holds is shown as it is."""


def show(
    trial: TrialArgument = "", store: StoreOption = DEFAULT_STORE, json: JsonOption = False
) -> None:
    """Show one trial: settings, metrics, zeros of each layer, FLOPs, time, notes, errors, files.

    With --json the whole record is printed.
    """
    results = Store(store)
    record = find_record(results, trial)
    if json:
        print_json(record.model_dump(mode="json"))
        return
    say(f"{record.title}: {record.status}")
    found = facts(record, results)
    width = max(len(name) for name, _ in found)
    for name, text in found:
        say(f"  {name:<{width}}  {text}")
    if record.layers:
        say("")
        print_table("", ["layer", "shape", "weights", "zeros", "sparsity", "dead units"],
                    layer_rows(record))  # fmt: skip
    evaluations, damaged = load_evaluations(results, record)
    for broken in damaged:
        complain(f"left out: {broken.reason}")
    for one in evaluations:
        say("")
        title = f"measured later on {one.device}, {one.threads} threads"
        values = metrics.rows(one.metrics | one.latency, one.absent)
        print_table("", [title, "value"], [list(row) for row in values])


def facts(record: Record, store: Store) -> list[tuple[str, str]]:
    """Return what is known of a trial, as names and texts in the order of lines."""
    trial, timing = record.trial, record.timing
    found = [("key", record.key)]
    made_by = recorded_version(record)
    if reason := out_of_date([(made_by, record.finished)]).get(made_by):
        found.append(("out of date", reason))
    if record.status == "done" and (reason := uncounted(record)):
        found.append(("not counted", reason))
    if record.error is not None:
        found.append(("error", f"{record.error.get('type', '')}: {record.error['message']}"))
    known = {"task", "method", "sparsity", "seed", "hyperparameters", "recipe"}
    changed = {**trial["hyperparameters"], **trial["recipe"]}
    found.append(("settings", _pairs(changed) or "the defaults"))
    found.append(("run on", _pairs({n: v for n, v in trial.items() if n not in known})))
    if record.layers:
        weights = sum(layer.size for layer in record.layers)
        found.append(("realised sparsity", f"{100 * record.sparsity:.4f} % of {weights:,} weights"))
    found += [(f"{split} predictions", f"{c.words} right") for split, c in record.counts.items()]
    found += metrics.rows(record.metrics, record.absent)
    flops = record.flops
    if {"inference", "inference_dense", "training"} <= flops.keys():
        ratio = flops["inference"] / flops["inference_dense"]
        found.append(
            ("inference FLOPs", f"{flops['inference']:.4g} an example, {ratio:.3f} × dense")
        )
        parts = parts_of(flops)
        found.append(("training FLOPs", parts.words if parts else f"{flops['training']:.4g}"))
        if dense := flops.get("dense_training"):
            found.append(("of dense training", f"{flops['training'] / dense:.4g} ×"))
    if isinstance(seconds := timing.get("seconds"), int | float):
        found.append(("seconds", f"{seconds:,.1f}"))
    if isinstance(memory := timing.get("peak_memory_bytes"), int | float):
        found.append(("peak memory", f"{memory / 2**20:,.0f} MiB"))
    if started := timing.get("started"):
        found.append(("started", str(started)[:19].replace("T", " ")))
    machine = {n: v for n, v in record.environment.items() if n in ("hostname", "cpu", "gpu")}
    versions = {n: v for n, v in record.environment.items() if n not in machine}
    found += [("machine", _pairs(machine, "; ")), ("versions", _pairs(versions))]
    found += [("revisions", _pairs(_revisions(record)))]
    content = record.model_dump(mode="json")
    found += [(name, _text(value)) for name, value in content.items() if name not in SHOWN]
    found += [("note", note) for note in record.notes]
    found.append(("again", command(record, store)))
    found.append(("files", f"{store.where(record.key)}: {', '.join(store.names(record.key))}"))
    return [(name, text) for name, text in found if text]


def command(record: Record, store: Store) -> str:
    """Return the command that runs a trial again, or why there is none here."""
    if unknown := unknown_of(store, record):
        return f"not here: {unknown}"
    try:
        trial = Trial.make(**record.trial)
        return trial.command().replace("resonance run", f"resonance {plugins_of(trial)}run", 1)
    except InvalidInput as error:
        return f"not here: {error}"


def layer_rows(record: Record) -> list[list[str]]:
    """Return a row per prunable weight: name, shape, weights, zeros, sparsity, dead units."""
    return [
        [
            layer.name,
            "×".join(map(str, layer.shape)),
            f"{layer.size:,}",
            f"{layer.zeros:,}",
            f"{layer.zeros / layer.size:.4f}",
            "" if layer.unconnected_units is None else str(layer.unconnected_units),
        ]
        for layer in record.layers
    ]


def _revisions(record: Record) -> dict[str, Any]:
    """Return the revisions and digests that the key covers."""
    endings = ("_revision", "_digest")
    return {n: v for n, v in record.configuration.items() if n.endswith(endings)}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return _pairs(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return "" if value is None else value_text(value)


def _pairs(values: Mapping[str, Any], between: str = " ") -> str:
    pairs = ((name, _text(value)) for name, value in values.items())
    return between.join(f"{name}={text}" for name, text in pairs if text)
