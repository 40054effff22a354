"""The ablation that a bundle is of: its design says which cell each of the records belongs to.

Such a bundle holds trials of one ablation and no others. They have pages, and the ablation has one,
but they are on no board unless another file has them too. What could not be drawn, or contradicts
the records, is refused as a whole.
"""

from collections.abc import Iterator, Mapping

from leaderboard.bundles.sent_document import parse_line, prefix, written_line
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import show
from suite.results.ablation_design import KIND, SCHEMA_VERSION, Ablation, Design, Setting
from suite.results.record import Record

PREFIX = prefix(KIND)


def ablation_line(ablation: Ablation) -> bytes:
    """Return an ablation's line, with secrets of this machine redacted.

    Raises:
        InvalidInput: it is longer than a bundle may have it.
    """
    return written_line(KIND, ablation.name, ablation)


def as_sent(ablation: Ablation, records: Mapping[str, Record]) -> Ablation:
    """Return an ablation as a reader of the bundle will have it.

    Raises:
        InvalidInput: it cannot be sent, as `read_ablation` says why.
    """
    return read_ablation(ablation_line(ablation), records)


def read_ablation(
    line: bytes, records: Mapping[str, Record], *, old_names: bool = False
) -> Ablation:
    """Return the ablation of a line; `records` are those of the bundle, by key.

    With `old_names` its settings are not compared with those of the records.

    Raises:
        InvalidInput: it is not one, cannot be shown, or contradicts the records.
    """
    ablation = parse_line(KIND, line, Ablation, SCHEMA_VERSION)
    if problem := next(ablation_problems(ablation, records, settings=not old_names), ""):
        raise InvalidInput(f"ablation {ablation.name}: {problem}")
    return ablation


def ablation_problems(
    ablation: Ablation, records: Mapping[str, Record], *, settings: bool = True
) -> Iterator[str]:
    """Yield what an ablation says wrongly of a bundle's records, which must all be of it."""
    places: dict[str, list[tuple[Design, Setting, int]]] = {}
    for design in ablation.designs:
        for cell in design.cells:
            for seed, key in cell.trials.items():
                places.setdefault(key, []).append((design, cell, seed))
    for key, record in records.items():
        if key not in places:
            yield f"trial {key} is in none of its cells"
        for design, cell, seed in places.get(key, []) if settings else ():
            for what in _differences(record, design, cell, seed):
                yield f"trial {key} has another {what} than its cell"


def _differences(record: Record, design: Design, cell: Setting, seed: int) -> Iterator[str]:
    """Yield in what a record differs from its place in a design.

    An option that its method has been given since, at a default that changes nothing, is at the
    base.
    """
    trial = record.trial
    stated = {"task": design.task, "method": design.method, "sparsity": design.sparsity}
    for name, value in {**stated, "seed": seed}.items():
        if trial[name] != value:
            yield name
    resolved = record.configuration.get("hyperparameters")
    given = {**(resolved if isinstance(resolved, dict) else {}), **trial["hyperparameters"]}
    for factor in design.factors:
        level = show(given[factor.name]) if factor.name in given else factor.base
        if level != cell.levels[factor.name]:
            yield factor.name
