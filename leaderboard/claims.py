"""Claims: sentences whose every number is recomputed from records.

A file of claims (YAML) holds sentences with named numbers, and what each is: a mean score, a
difference, a cost, a metric, or how many cells a method wins. The claims of this project are in
`leaderboard/claims.yaml`; the README and docs/evidence.md show them.
"""

import fnmatch
import functools
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from leaderboard.ablation_effects import design_effects
from leaderboard.board_claims import family_cells
from leaderboard.boards import Board, Cell, build_boards, settings_text
from leaderboard.bundles.bundle_file import SHIPPED, SUFFIX, read_bundle
from leaderboard.method_comparison import find_entry
from leaderboard.selection import select
from leaderboard.statistics.families import FamilyCell, against_reference
from leaderboard.statistics.paired_comparisons import compare, of_values
from leaderboard.terms import Terms
from suite.core.errors import InvalidInput
from suite.core.yaml_reader import read_yaml
from suite.results.ablation_design import Ablation, ablations
from suite.results.metrics import METRICS
from suite.results.record import Record
from suite.results.store import Store

OWN_CLAIMS = Path(__file__).with_name("claims.yaml")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
STATED = re.compile(r"[+−-]?\d+(\.\d+)?")

FRACTIONS = frozenset(metric.name for metric in METRICS if metric.unit == "percent")
"""Metrics that are fractions of 1, and stated in per cent."""


class NamedRecords(NamedTuple):
    """The records of a shipped bundle or of a study in a store; the design if it is an ablation."""

    records: Sequence[Record]
    ablation: Ablation | None = None


ReadRecords = Callable[[str], NamedRecords]
"""Returns the records of a name."""


def _as_list(given: Any) -> Any:
    """Return one name as a list of it."""
    return [given] if isinstance(given, str) else given


class Number(BaseModel, frozen=True, extra="forbid"):
    """One number of a sentence: what the sentence says, and what it is computed from.

    Attributes:
        states: the number as the sentence has it; what is computed must round to it.
        quantity: ``score``, the mean of what the task ranks by (accuracies in per cent);
            ``difference``, of `method` from `than` on common seeds (in points); ``cost``, training
            FLOPs as a multiple of those of `than`; ``metric``, of records by name, in per cent
            where it is a fraction; ``signal``, of layers by name (`resonance signals`); ``cells``,
            in how many cells `method` has the `verdict` against `than`, or shares seeds with it;
            ``controls``, how many cells of an ablation of `method` have it against their shuffled
            controls, or have one.
        records: name of the shipped bundle, or of the study in a store; or a list of names.
        method, than: as for ``resonance compare``; METHOD or METHOD:SETTINGS.
        task, sparsity, recipe: the cell; ``cells`` and ``controls`` are counted in all that the
            others leave. Of several boards of a task `recipe` names one by fields that it alone
            has, or by all.
        metric: names of metrics, or of numbers of a layer's signals, with * for any part; the mean
            over seeds of each is taken first.
        over: what is taken of several metrics or layers.
        at_least, at_most: bounds within which the claim holds.
        verdict: what must be shown, at 5 % after correction over the cells of the records.
    """

    states: str
    quantity: Literal["score", "difference", "cost", "metric", "signal", "cells", "controls"]
    records: Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(min_length=1)]
    method: str
    than: str = ""
    task: str = ""
    sparsity: float | None = None
    recipe: dict[str, Any] = {}
    metric: str = ""
    over: Literal["mean", "least", "most"] = "mean"
    at_least: float | None = None
    at_most: float | None = None
    verdict: Literal["", "better", "worse", "equivalent", "not better", "not worse"] = ""

    @field_validator("states", mode="before")
    @classmethod
    def _is_text(cls, given: Any) -> Any:
        if isinstance(given, int | float):
            raise ValueError(
                f"{given} stands there as a number, which loses its last zeros: put it in quotes"
            )
        return given

    @model_validator(mode="after")
    def _complete(self) -> "Number":
        if not STATED.fullmatch(self.states):
            raise ValueError(f"states={self.states}: give a number as text, such as '0.83'")
        needed = {"difference": ("than", "task"), "cost": ("than", "task"), "cells": ("than",)}
        needed |= dict.fromkeys(("metric", "signal"), ("metric", "task"))
        needed |= {"score": ("task",), "controls": ()}
        for name in needed[self.quantity]:
            if not getattr(self, name):
                raise ValueError(f"a {self.quantity} needs '{name}'")
        if self.verdict and self.quantity not in ("difference", "cells", "controls"):
            raise ValueError(f"a {self.quantity} has no verdict: leave it out")
        return self

    @property
    def decimals(self) -> int:
        """Digits after the point."""
        return len(self.states.partition(".")[2])

    def matches(self, value: float) -> bool:
        """Return whether a value rounds to what the sentence says."""
        return self.rounded(value) == self.rounded(float(self.states.replace("−", "-")))

    def rounded(self, value: float) -> str:
        """Return a value with as many decimals as the sentence has."""
        text = f"{value:.{self.decimals}f}"
        return text.removeprefix("-") if float(text) == 0 else text


class StatedClaim(BaseModel, frozen=True, extra="forbid"):
    """A sentence that answers a question, with its numbers by name."""

    question: str
    says: str
    numbers: dict[str, Number] = Field(min_length=1)

    @model_validator(mode="after")
    def _named(self) -> "StatedClaim":
        named = set(PLACEHOLDER.findall(self.says))
        if lacking := named - set(self.numbers):
            raise ValueError(f"'{min(lacking)}' stands in the sentence and not among its numbers")
        if unused := set(self.numbers) - named:
            raise ValueError(f"number '{min(unused)}' does not stand in the sentence")
        return self

    @property
    def sentence(self) -> str:
        """The sentence with its numbers, on one line."""
        text = PLACEHOLDER.sub(lambda found: self.numbers[found[1]].states, self.says)
        return " ".join(text.split())


@dataclass(frozen=True)
class CheckedNumber:
    """A number of a sentence and what the records say; `problem` is empty where it holds."""

    name: str
    number: Number
    value: float
    problem: str


@dataclass(frozen=True)
class CheckedClaim:
    """A claim and its numbers, recomputed."""

    claim: StatedClaim
    numbers: Sequence[CheckedNumber]

    @property
    def holds(self) -> bool:
        """Whether every number of the sentence is that of the records."""
        return not any(number.problem for number in self.numbers)


def load_claims(path: Path = OWN_CLAIMS) -> list[StatedClaim]:
    """Return the claims of a file.

    Raises:
        InvalidInput: it cannot be read, or a claim is incomplete.
    """
    listed = read_yaml(path, f"claims {path.name}", "claims").get("claims")
    if not isinstance(listed, list) or not listed:
        raise InvalidInput(f"{path}: give a list of claims under 'claims'")
    return [_claim(path, place, given) for place, given in enumerate(listed, 1)]


def _claim(path: Path, place: int, given: Any) -> StatedClaim:
    try:
        return StatedClaim.model_validate(given)
    except ValidationError as error:
        # A field that does not exist explains one that is missing: "number" for "numbers".
        order = {"extra_forbidden": 0, "missing": 2}
        first = min(error.errors(), key=lambda one: order.get(one["type"], 1))
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            fields = StatedClaim if len(first["loc"]) == 1 else Number
            reason = f"there is no such field: give one of {', '.join(fields.model_fields)}"
        elif first["type"] == "missing":
            reason = "it is missing"
        elif first["type"] == "literal_error":
            allowed = str(first["ctx"]["expected"]).replace("'', ", "").replace("'", "")
            reason = f"{first['input']!r:.80} is not usable: give {allowed}"
        raise InvalidInput(
            f"{path}: claim {place}{f', {where}' if where else ''}: {reason}"
        ) from error


@functools.cache
def shipped_records(name: str) -> NamedRecords:
    """Return the records of a shipped bundle.

    Raises:
        InvalidInput: there is none of this name.
    """
    paths = {path.name.removesuffix(SUFFIX): path for path in SHIPPED[0].glob(f"*{SUFFIX}")}
    if name not in paths:
        raise InvalidInput(
            f"records={name}: no results of that name are shipped; there are "
            f"{', '.join(sorted(paths))}"
        )
    bundle = read_bundle(paths[name])
    return NamedRecords(bundle.records, bundle.ablation)


def stored_records(store: Store) -> ReadRecords:
    """Return what gives the records of a study, by its name, from a store."""

    def records(name: str) -> NamedRecords:
        chosen = select(store, name)
        found = [record for record in store.read_all()[0] if chosen.takes(record.key)]
        if not found:
            raise InvalidInput(
                f"records={name}: {store.location} has no trial of this study: run it with "
                f"`resonance study {name} --store {store.location}`"
            )
        designs = {one.name: one for one in ablations(store)[0]}
        return NamedRecords(found, designs.get(chosen.study))

    return records


def claims_markdown(claims: Sequence[StatedClaim]) -> str:
    """Return the claims as a numbered list: question and sentence."""
    return "\n".join(
        f"{place}. **{claim.question}** {claim.sentence}" for place, claim in enumerate(claims, 1)
    )


def check_claims(claims: Sequence[StatedClaim], records: ReadRecords) -> list[CheckedClaim]:
    """Recompute every number of the claims from records.

    Raises:
        InvalidInput: records, a method, a task or a cell that a number names does not exist.
    """
    recompute = _Recomputed(records)
    return [
        CheckedClaim(claim, [_checked(name, one, recompute) for name, one in claim.numbers.items()])
        for claim in claims
    ]


def _checked(name: str, number: Number, recompute: "_Recomputed") -> CheckedNumber:
    value, verdict = recompute(number)
    problem = ""
    if not number.matches(value):
        problem = f"the sentence says {number.states}, the records {number.rounded(value)}"
    elif number.at_least is not None and value < number.at_least:
        problem = f"{value:g} is less than {number.at_least:g}"
    elif number.at_most is not None and value > number.at_most:
        problem = f"{value:g} is more than {number.at_most:g}"
    elif number.quantity == "difference" and number.verdict and not _meets(verdict, number.verdict):
        problem = f"{number.method} is not shown to be {number.verdict} than {number.than}"
        if number.verdict.startswith("not "):
            problem = f"{number.method} is {verdict} than {number.than}"
    return CheckedNumber(name, number, value, problem)


def _meets(verdict: str, wanted: str) -> bool:
    """Return whether a verdict is what is wanted: that word, or with "not" any other."""
    return verdict != wanted[4:] if wanted.startswith("not ") else verdict == wanted


class _Recomputed:
    """Computes numbers; boards and verdicts of the same records are made once."""

    def __init__(self, records: ReadRecords) -> None:
        self._read = functools.cache(records)
        self._boards = functools.cache(lambda names: build_boards(self._records(names))[0])
        self._verdicts = functools.cache(self._all_verdicts)

    def _records(self, names: tuple[str, ...]) -> list[Record]:
        return [record for name in names for record in self._read(name).records]

    def __call__(self, number: Number) -> tuple[float, str]:
        """Return a number, and the verdict of a difference; empty for other numbers."""
        if number.quantity in ("metric", "signal"):
            return self._of_records(number), ""
        if number.quantity == "cells":
            return float(sum(1 for _ in self._cells(number))), ""
        if number.quantity == "controls":
            return float(sum(1 for _ in self._controls(number))), ""
        board, place = self._place(number)
        cell = self._cell(number, board, place, number.method)
        factor = 100.0 if cell.metric.unit == "percent" else 1.0
        if number.quantity == "score":
            return factor * statistics.fmean(cell.values), ""
        other = self._cell(number, board, place, number.than)
        if number.quantity == "cost":
            mine, theirs = cell.mean("training_flops"), other.mean("training_flops")
            if mine is None or not theirs:
                raise InvalidInput(f"{_where(number)}: these records have no training FLOPs")
            return mine / theirs, ""
        found = compare(cell.by_seed, other.by_seed).difference
        if found is None:
            raise InvalidInput(f"{_where(number)}: {number.method} and {number.than} share no seed")
        key = (board.title, board.sparsities[place])
        verdict = self._verdicts(number.records, number.method, number.than).get(key, "")
        return factor * cell.metric.sign * found.mean, verdict

    def _of_records(self, number: Number) -> float:
        """Return a metric, or a number of layers' signals, over the records of a cell."""
        chosen = [
            record
            for record in self._records(number.records)
            if record.status == "done" and _is_of(number, record)
        ]
        by_name: dict[str, list[float]] = {}
        for record in chosen:
            for name, value in _named(number, record):
                by_name.setdefault(name, []).append(value)
        if not by_name:
            raise InvalidInput(
                f"{_where(number)}: none of {len(chosen)} records has '{number.metric}'"
            )
        means = [statistics.fmean(values) for values in by_name.values()]
        if number.over == "mean":
            return statistics.fmean(means)
        return min(means) if number.over == "least" else max(means)

    def _cells(self, number: Number) -> Iterator[tuple[str, float]]:
        """Yield the cells in which the method has the verdict, or all that both have."""
        verdicts = self._verdicts(number.records, number.method, number.than)
        for board in self._boards(number.records):
            for sparsity in board.sparsities:
                key = (board.title, sparsity)
                if key not in verdicts or number.task not in ("", board.task):
                    continue
                if number.sparsity not in (None, sparsity):
                    continue
                if not number.verdict or _meets(verdicts[key], number.verdict):
                    yield key

    def _controls(self, number: Number) -> Iterator[str]:
        """Yield the cells of ablations that have the verdict against their controls, or all."""
        controls = []
        for name in number.records:
            found = self._read(name)
            if found.ablation is None:
                raise InvalidInput(f"{_where(number)}: {name} is no ablation: name one")
            read = {record.key: record for record in found.records}.get
            effects = design_effects(found.ablation, read)
            for design, one in zip(found.ablation.designs, effects, strict=True):
                wanted = (number.method, number.task or design.task)
                if (design.method, design.task) == wanted and number.sparsity in (
                    None,
                    design.sparsity,
                ):
                    controls += [(one.metric.sign, control) for control in one.controls]
        if not controls:
            raise InvalidInput(f"{_where(number)}: no cell there has a shuffled control")
        for sign, control in controls:
            verdict = of_values(control.effect.comparison, sign).decide(control.effect.p)
            if not number.verdict or _meets(verdict, number.verdict):
                yield control.label

    def _place(self, number: Number) -> tuple[Board, int]:
        boards = [
            board
            for board in self._boards(number.records)
            if board.task == number.task and all(_has(board.settings, number.recipe))
        ]
        if len(boards) > 1:  # the one without a budget is named by giving none
            exactly = settings_text(number.recipe)
            boards = [board for board in boards if board.settings == exactly] or boards
        if len(boards) != 1:
            titles = ", ".join(board.title for board in boards or self._boards(number.records))
            raise InvalidInput(
                f"{_where(number)}: {len(boards)} boards of these records fit: give task and "
                f"recipe of one of {titles}"
            )
        board = boards[0]
        needless = len(board.sparsities) == 1 or find_entry(boards, number.method).dense
        if number.sparsity is None and needless:
            return board, 0
        if number.sparsity not in board.sparsities:
            listed = ", ".join(f"{sparsity:g}" for sparsity in board.sparsities)
            raise InvalidInput(f"{_where(number)}: give a sparsity of {listed}")
        return board, board.sparsities.index(number.sparsity)

    def _cell(self, number: Number, board: Board, place: int, method: str) -> Cell:
        cell = dict(board.rows)[find_entry([board], method)][place]
        if cell is None or not cell.runs:
            raise InvalidInput(f"{_where(number)}: {method} has no finished trial there")
        return cell

    def _all_verdicts(
        self, records: tuple[str, ...], method: str, than: str
    ) -> Mapping[tuple[str, float], str]:
        """Return the verdict of every cell that both have, by title and sparsity.

        Corrected over all comparisons with `than` that the records have on the same terms (equal
        steps, or one budget of training FLOPs).
        """
        boards = self._boards(records)
        reference, own = find_entry(boards, than), find_entry(boards, method)
        by_terms: dict[Terms, list[FamilyCell]] = {}
        for board in boards:
            by_terms.setdefault(board.terms, []).extend(family_cells(board))
        return {
            (claim.task, claim.sparsity): claim.verdict
            for cells in by_terms.values()
            for claim in against_reference(cells, reference.label).claims
            if claim.method == own.label
        }


def _is_of(number: Number, record: Record) -> bool:
    """Return whether a record is of a number's method, task, sparsity and recipe."""
    trial = record.trial
    method, _, settings = number.method.partition(":")
    return (
        trial["task"] == number.task
        and trial["method"] == method
        and settings == settings_text(trial["hyperparameters"])
        and number.sparsity in (None, trial["sparsity"])
        and all(trial["recipe"].get(name) == value for name, value in number.recipe.items())
    )


def _named(number: Number, record: Record) -> Iterator[tuple[str, float]]:
    """Yield name and value of what a number is taken of in one record."""
    if number.quantity == "metric":
        for name, value in record.metrics.items():
            if fnmatch.fnmatchcase(name, number.metric):
                is_fraction = name in FRACTIONS or name.endswith("_accuracy")
                yield name, 100 * value if is_fraction else value
        return
    for layer in record.layers:
        for name, value in layer.signals.items():
            if fnmatch.fnmatchcase(name, number.metric):
                yield f"{layer.name} {name}", value


def _has(settings: str, recipe: Mapping[str, Any]) -> Iterator[bool]:
    """Yield for each recipe field whether a board's settings have it."""
    words = settings.split(", ")
    return (settings_text({name: value}) in words for name, value in recipe.items())


def _where(number: Number) -> str:
    at = "" if number.sparsity is None else f" at {number.sparsity:g}"
    return f"{number.quantity} of {number.method} on {number.task or 'all tasks'}{at}"
