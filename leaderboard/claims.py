"""Claims: sentences whose every number is recomputed from records.

A file of claims (YAML) holds sentences with named numbers, and what each is: a mean score, a
difference, a cost, a metric, or how many cells a method wins. The claims of this project are in
`leaderboard/claims.yaml`; the README, docs/results.md and docs/evidence.md show them.
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
from leaderboard.boards import Board, Boards, Cell, is_analysis, settings_text
from leaderboard.bundles.bundle_file import SHIPPED, SUFFIX, read_bundle
from leaderboard.method_comparison import find_entry
from leaderboard.selection import select
from leaderboard.statistics.families import FamilyCell, against_reference
from leaderboard.statistics.paired_comparisons import compare, of_values
from leaderboard.terms import Terms
from leaderboard.trial_facts import BUDGET
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
            controls, or have one. Only records that count on a board count, and analyses of
            trainings.
        records: name of the shipped bundle, or of the study in a store; or a list of names.
        method, than: as for ``resonance compare``; METHOD or METHOD:SETTINGS.
        task, sparsity, recipe: the cell; ``cells`` and ``controls`` are counted in all that these
            leave, ``cells`` of boards on the same terms. Of several boards of a task `recipe` names
            one by fields that it alone has, or by all; a ``flops_budget`` of 0 names those at equal
            steps.
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
    """A number of a sentence and what the records say.

    Attributes:
        name, number: as in the sentence.
        value: what the records say.
        problem: why it does not hold; empty where it does.
        comparisons: over how many comparisons its verdict is corrected; 0 without a verdict.
    """

    name: str
    number: Number
    value: float
    problem: str
    comparisons: int = 0


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
    value, verdict, comparisons = recompute(number)
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
    return CheckedNumber(name, number, value, problem, comparisons if number.verdict else 0)


def _meets(verdict: str, wanted: str) -> bool:
    """Return whether a verdict is what is wanted: that word, or with "not" any other."""
    return verdict != wanted[4:] if wanted.startswith("not ") else verdict == wanted


class _Verdicts(NamedTuple):
    """The verdicts of a method against another: by title and sparsity, corrected by terms."""

    by_cell: Mapping[tuple[str, float], str]
    tested: Mapping[Terms, int]


class _Answer(NamedTuple):
    """A number of the records; of a difference its verdict; the comparisons of its family."""

    value: float
    verdict: str = ""
    comparisons: int = 0


class _Recomputed:
    """Computes numbers; boards and verdicts of the same records are made once."""

    def __init__(self, records: ReadRecords) -> None:
        self._read = functools.cache(records)
        self._placed = functools.cache(self._all_placed)
        self._verdicts = functools.cache(self._all_verdicts)

    def _all_placed(
        self, names: tuple[str, ...]
    ) -> tuple[list[Board], list[tuple[Record, tuple[str, str]]]]:
        """Return the boards of records, and the records that count, each with its board's place.

        Analyses of trainings count and are on no board.
        """
        boards = Boards()
        unique = {record.key: record for name in names for record in self._read(name).records}
        placed = [boards.add(record) for record in unique.values()]
        counted = [
            (one.record, one.board)
            for one in placed
            if one.record.status == "done" and (not one.left_out or is_analysis(one.record))
        ]
        return boards.built(), counted

    def _boards(self, names: tuple[str, ...]) -> list[Board]:
        return self._placed(names)[0]

    def __call__(self, number: Number) -> _Answer:
        """Return a number of the records.

        Raises:
            InvalidInput: its records, method, task or cell does not exist, or several fit.
        """
        if number.quantity in ("metric", "signal"):
            return _Answer(self._of_records(number))
        if number.quantity == "cells":
            return self._cells(number)
        if number.quantity == "controls":
            return self._controls(number)
        board, place = self._place(number)
        cell = self._cell(number, board, place, number.method)
        factor = 100.0 if cell.metric.unit == "percent" else 1.0
        if number.quantity == "score":
            return _Answer(factor * statistics.fmean(cell.values))
        other = self._cell(number, board, place, number.than)
        if number.quantity == "cost":
            mine, theirs = cell.mean("training_flops"), other.mean("training_flops")
            if mine is None or not theirs:
                raise InvalidInput(f"{_where(number)}: these records have no training FLOPs")
            return _Answer(mine / theirs)
        found = compare(cell.by_seed, other.by_seed).difference
        if found is None:
            raise InvalidInput(f"{_where(number)}: {number.method} and {number.than} share no seed")
        verdicts = self._verdicts(number.records, number.method, number.than)
        return _Answer(
            factor * cell.metric.sign * found.mean,
            verdicts.by_cell.get((board.title, board.sparsities[place]), ""),
            verdicts.tested[board.terms],
        )

    def _of_records(self, number: Number) -> float:
        """Return a metric, or a number of layers' signals, over the records of a cell."""
        fitting = [
            (record, settings)
            for record, (_, settings) in self._placed(number.records)[1]
            if _is_of(number, record) and _fits(number, settings, Terms.of(record))
        ]
        exact = [(r, settings) for r, settings in fitting if settings == _exactly(number)]
        fitting = exact or fitting
        if len(several := {settings for _, settings in fitting}) > 1:
            listed = " and ".join(one or "the task's own recipe" for one in sorted(several))
            raise InvalidInput(
                f"{_where(number)}: these records have {listed}: name one of them by its recipe"
            )
        if len(sparsities := {record.trial["sparsity"] for record, _ in fitting}) > 1:
            listed = ", ".join(f"{sparsity:g}" for sparsity in sorted(sparsities))
            raise InvalidInput(f"{_where(number)}: give a sparsity of {listed}")
        by_name: dict[str, list[float]] = {}
        for record, _ in fitting:
            for name, value in _named(number, record):
                by_name.setdefault(name, []).append(value)
        if not by_name:
            raise InvalidInput(
                f"{_where(number)}: none of {len(fitting)} records that count has '{number.metric}'"
            )
        means = [statistics.fmean(values) for values in by_name.values()]
        if number.over == "mean":
            return statistics.fmean(means)
        return min(means) if number.over == "least" else max(means)

    def _cells(self, number: Number) -> _Answer:
        """Return in how many cells the method has the verdict, or how many both have."""
        verdicts = self._verdicts(number.records, number.method, number.than)
        found = [
            (board.terms, verdict)
            for board in self._boards(number.records)
            if number.task in ("", board.task) and _fits(number, board.settings, board.terms)
            for sparsity in board.sparsities
            if number.sparsity in (None, sparsity)
            if (verdict := verdicts.by_cell.get((board.title, sparsity))) is not None
        ]
        terms = sorted({one for one, _ in found})
        if len(terms) > 1:
            listed = " and ".join(one.words for one in terms)
            raise InvalidInput(
                f"{_where(number)}: these records have boards {listed}, whose cells are not "
                f"counted together: give one of them, as in recipe: {{{BUDGET}: "
                f"{terms[0].flops_budget:g}}}"
            )
        shown = [v for _, v in found if not number.verdict or _meets(v, number.verdict)]
        return _Answer(float(len(shown)), comparisons=verdicts.tested[terms[0]] if terms else 0)

    def _controls(self, number: Number) -> _Answer:
        """Return how many cells of ablations have the verdict against their controls, or have one.

        Verdicts are corrected over the controls of one design, as on the ablation's page.
        """
        designs = []
        for name in number.records:
            found = self._read(name)
            if found.ablation is None:
                raise InvalidInput(f"{_where(number)}: {name} is no ablation: name one")
            read = {record.key: record for record in found.records}.get
            effects = design_effects(found.ablation, read)
            designs += [
                one
                for design, one in zip(found.ablation.designs, effects, strict=True)
                if design.method == number.method
                and number.task in ("", design.task)
                and number.sparsity in (None, design.sparsity)
            ]
        most = max((len(one.controls) for one in designs), default=0)
        if not most:
            raise InvalidInput(f"{_where(number)}: no cell there has a shuffled control")
        verdicts = [
            of_values(control.effect.comparison, one.metric.sign).decide(control.effect.p)
            for one in designs
            for control in one.controls
        ]
        shown = [v for v in verdicts if not number.verdict or _meets(v, number.verdict)]
        return _Answer(float(len(shown)), comparisons=most)

    def _place(self, number: Number) -> tuple[Board, int]:
        boards = [
            board
            for board in self._boards(number.records)
            if board.task == number.task and _fits(number, board.settings, board.terms)
        ]
        if len(boards) > 1:  # the one of the task's own recipe is named by giving none
            boards = [board for board in boards if board.settings == _exactly(number)] or boards
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

    def _all_verdicts(self, records: tuple[str, ...], method: str, than: str) -> _Verdicts:
        """Return the verdict of every cell that both have.

        Corrected over all comparisons with `than` that the records have on the same terms (equal
        steps, or one budget of training FLOPs).
        """
        boards = self._boards(records)
        reference, own = find_entry(boards, than), find_entry(boards, method)
        by_terms: dict[Terms, list[FamilyCell]] = {}
        for board in boards:
            by_terms.setdefault(board.terms, []).extend(family_cells(board))
        families = {
            terms: against_reference(cells, reference.label) for terms, cells in by_terms.items()
        }
        return _Verdicts(
            {
                (claim.task, claim.sparsity): claim.verdict
                for family in families.values()
                for claim in family.claims
                if claim.method == own.label
            },
            {terms: family.tested for terms, family in families.items()},
        )


def _is_of(number: Number, record: Record) -> bool:
    """Return whether a record is of a number's method, task and sparsity."""
    trial = record.trial
    method, _, settings = number.method.partition(":")
    return (
        trial["task"] == number.task
        and trial["method"] == method
        and settings == settings_text(trial["hyperparameters"])
        and number.sparsity in (None, trial["sparsity"])
    )


def _fits(number: Number, settings: str, terms: Terms) -> bool:
    """Return whether a board of these settings has all recipe fields that a number gives."""
    words = settings.split(", ")
    return all(
        value == terms.flops_budget if name == BUDGET else settings_text({name: value}) in words
        for name, value in number.recipe.items()
    )


def _exactly(number: Number) -> str:
    """Return the settings of the board that has the recipe fields of a number and no others."""
    return settings_text({n: v for n, v in number.recipe.items() if n != BUDGET or v})


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


def _where(number: Number) -> str:
    at = "" if number.sparsity is None else f" at {number.sparsity:g}"
    return f"{number.quantity} of {number.method} on {number.task or 'all tasks'}{at}"
