"""The record of a trial; leaderboards and tables are made from records only."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    Strict,
    StrictBool,
    StrictInt,
    ValidationError,
    model_validator,
)

from suite.core.bounded_json import InvalidJson, Limits, parse
from suite.core.code_files import code_digest, is_own_origin
from suite.core.errors import InvalidInput, TrialFailed, message_of
from suite.core.shown_text import shown
from suite.experiments.own_code import method_code, task_code
from suite.experiments.trial_config import CODE, MAX_SEED, Trial, key_of
from suite.results.counts import CountedSplit, Counts, check_counts
from suite.results.integrity import (
    CHECKSUMMED_SINCE,
    FileChecksum,
    Integrity,
    is_intact,
    with_integrity,
)
from suite.results.metrics import METRIC_NAME, out_of_range
from suite.results.old_names import ADVICE, has_old_names
from suite.results.recorded_version import finished_at
from suite.results.signal_measures import problem as signals_problem
from suite.results.storage_backend import MAX_BYTES, RECORD

SCHEMA_VERSION = 3
"""1: records without checksums, which are read as they are. 2: the store adds them (`seal`).

3: predictions are counted.
"""

TRIAL_FIELDS = frozenset(n for n, f in Trial.model_fields.items() if f.exclude_if is None)
"""The fields every trial has; an option that was added later is left out at its default."""

FLOPS = frozenset({"training", "inference", "inference_dense"})

MAX_CHARACTERS, MAX_LEVELS, MAX_DIMENSIONS = 4000, 6, 8
"""This program writes no longer text, deeper nesting or more dimensions, and no page shows them."""

MAX_METRICS = 200
MAX_LAYERS = 5000
"""Prunable weights of one network; the largest known ones have several hundred."""
LIMITS = Limits(size=MAX_BYTES, values=80_000, depth=32, text=100_000)
"""Of a record's JSON: one of `MAX_LAYERS` layers has about 70,000 values in 1.5 MB."""
MAX_CODE = 5000
"""Files of the user's own code that a record may name."""
MAX_WORDS = 300
"""Characters of a title or a source."""
MAX_OPERATIONS = 1e30
"""FLOPs; the largest trainings of our time have taken some 1e26."""
MAX_NUMBER = 1e100
"""No measured number comes near it, and sums and squares of smaller ones are finite."""

NO_UPDATE_NOTE = "no update falls into these"
"""How a note begins in records of before `no_update`."""
WITHOUT_NOTES = 2
"""The schema version of before such notes."""

ACCURACY = "accuracy"
"""The metric of a record that names none, as all did in the past."""

COLLECTIONS, NUMBERS = (dict, list, tuple), (int, float)
MAX_PLAIN = 2.0**1000

Damage = Literal["truncated", "altered", "foreign", "newer", "outdated"]


def _number(value: float) -> float:
    if not abs(value) < MAX_NUMBER:
        raise ValueError(f"a number of {MAX_NUMBER:g} or more is not a measurement")
    return value


def _operations(count: float) -> float:
    if count != 0 and not 1 <= count <= MAX_OPERATIONS:
        raise ValueError(
            f"{count:g} is not a number of operations: give 0, or 1 to {MAX_OPERATIONS:g}"
        )
    return _number(count)


def _setting(value: Any) -> Any:
    texts = value if isinstance(value, list | tuple) else ()
    if not isinstance(value, str | int | float | list | tuple) or not all(
        isinstance(text, str) for text in texts
    ):
        raise ValueError("a setting is true or false, a number, a string or a list of strings")
    return _number(value) if isinstance(value, int | float) else value


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a text has characters that cannot be shown")
    return text


def _is_empty(value: Any) -> bool:
    return not value


Text = Annotated[str, Field(max_length=MAX_CHARACTERS)]
Words = Annotated[str, Field(max_length=MAX_WORDS), AfterValidator(_printable)]
FileDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Count = Annotated[int, Strict(), Field(ge=0, lt=2**60)]
Number = Annotated[float, Strict(), AfterValidator(_number)]
"""An integer will do; true, false and texts that look like numbers will not."""
Operations = Annotated[float, Strict(), AfterValidator(_operations)]
"""FLOPs. A fraction of one operation is refused: costs are ratios, which would be unbounded."""
Name = Annotated[str, Field(pattern=f"^{METRIC_NAME.pattern}$")]
"""The name of a measured quantity, which becomes the name of a column."""
Setting = Annotated[Any, AfterValidator(_setting)]
"""A hyperparameter's value, or another option of a trial, as JSON has it."""


class Unreadable(InvalidInput):
    """A file is not a record that can be served; `kind` says in what way."""

    def __init__(self, message: str, kind: Damage) -> None:
        super().__init__(message)
        self.kind: Damage = kind


class LayerRecord(BaseModel, extra="forbid", allow_inf_nan=False):
    """One prunable weight at the end: its shape, its zeros, its dense forward FLOPs per example.

    Attributes:
        units: output units of the layer.
        unconnected_units: those without an active incoming weight.
        silent_units: those that are never positive after the following ReLU; None if none follows.
        storage: the smallest format on disk.
        signals: what was measured of its gradient signals, by name (`signal_measures`).
    """

    name: Text
    shape: tuple[Annotated[int, Strict(), Field(ge=1, lt=2**40)], ...] = Field(
        max_length=MAX_DIMENSIONS
    )
    zeros: Count
    flops: Operations
    units: Count | None = None
    unconnected_units: Count | None = None
    silent_units: Count | None = None
    storage: Literal["dense", "bitmap", "csr"] | None = None
    signals: dict[Name, Number] = Field(default={}, max_length=MAX_METRICS, exclude_if=_is_empty)

    @model_validator(mode="after")
    def _possible(self) -> "LayerRecord":
        if self.zeros > self.size:
            raise ValueError(f"{self.zeros} of {self.size} weights cannot be zero")
        if self.signals and (reason := signals_problem(self.signals, self.size)):
            raise ValueError(reason)
        return self

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


class RecordedTrial(BaseModel, extra="allow", allow_inf_nan=False):
    """The settings of a trial whose types readers rely on; it may have more."""

    __pydantic_extra__: dict[str, Setting]

    task: str = Field(min_length=1, max_length=200)
    method: str = Field(min_length=1, max_length=200)
    sparsity: float = Field(ge=0, lt=1, strict=True)
    seed: int = Field(strict=True, ge=0, lt=MAX_SEED)
    hyperparameters: dict[Text, Setting]
    recipe: dict[Text, Setting]
    device: Text
    precision: Text
    threads: StrictInt


class RecordedMethod(BaseModel, extra="forbid"):
    """What a method of the user's own says of itself, for where it is not installed.

    `code` is the digest of its own code (and its trainer's), without the task's.
    """

    title: Words
    family: Words
    source: Words
    code: FileDigest | Literal[""] = ""
    dense: StrictBool = False
    zeros: StrictBool = True


class RecordedTask(BaseModel, extra="forbid"):
    """What a task of the user's own says of itself, for where it is not installed.

    `code` is the digest of the own code of task, model and dataset; empty without any.
    """

    title: Words
    source: Words
    metric: Words
    code: FileDigest | Literal[""] = ""


class Declarations(BaseModel, extra="forbid"):
    """The method and the task of a trial; None for those of the suite, which are always known."""

    method: RecordedMethod | None = None
    task: RecordedTask | None = None

    @classmethod
    def of(cls, trial: Trial) -> "Declarations | None":
        """Return those of a trial that are not the suite's own; None if both are."""
        method, task = trial.method_declaration, trial.task_declaration
        found = cls()
        if is_own_origin(method.origin):
            found.method = RecordedMethod(
                title=_line(method.title),
                family=_line(method.family),
                source=_line(method.source),
                code=method_code(method.name, trial.trainer),
                dense=method.dense,
                zeros=method.zeros,
            )
        if is_own_origin(task.origin):
            found.task = RecordedTask(
                title=_line(task.title),
                source=_line(task.source),
                metric=task.metric,
                code=task_code(task.name),
            )
        return found if found.method or found.task else None


def _line(text: str) -> str:
    """Return a text as one short line of characters that can be shown."""
    line = " ".join(text.split())[:MAX_WORDS]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def never_updated_in(content: Mapping[str, Any]) -> str:
    """Return `Record.never_updated` of a record as JSON has it."""
    if content["status"] == "failed":
        return ""
    noted = (note for note in content.get("notes") or () if note.startswith(NO_UPDATE_NOTE))
    if said := content.get("no_update") or next(noted, ""):
        return str(said)
    trial = content["trial"]
    settings = (content.get("configuration") or {}).get("hyperparameters")
    silent = (
        content.get("schema_version") == WITHOUT_NOTES
        and not trial.get("trainer")
        and not (content.get("declared") or {}).get("method")
        and trial.get("sparsity", 0.0) > 0
        and isinstance(settings, dict)
        and "update_every" in settings
        and "mask_churn" not in content["metrics"]
    )
    return f"{NO_UPDATE_NOTE} steps: no mask changed" if silent else ""


class Record(BaseModel, extra="forbid", allow_inf_nan=False):
    """The result of a trial. All times are in `timing`; the rest repeats exactly.

    Attributes:
        configuration: every setting with its value, and the revisions (`Trial.resolved`).
        metric: what its task ranks by, without the name of the split.
        metrics: by name; accuracies as fractions of 1.
        absent: metrics that were not measured, and why.
        counts: right and all predictions and the confusion matrix, by split. Only quick checks are
            made on reading; `confusion_problem` makes the others.
        layers: the prunable weights.
        flops: forward operations per example (dense, sparse) and all of training. Of the latter,
            where a record says so, those for scoring connections and of the method's own
            arithmetic (`suite.results.training_flops`).
        steps: optimizer steps of all rounds, of a trial with a `flops_budget`; 0, and left out, of
            others, whose steps follow from their recipe.
        timing: seconds, and when; peak memory in bytes.
        environment: versions and hardware.
        data: dataset checksum and sizes of the splits.
        code: digest of each file of the user's own code, by name; `configuration` has one digest of
            them all, which is part of the key.
        unseen: modules of the user's own that were imported as well; the key does not cover them.
        declared: what the user's own method and task say of themselves.
        digests: SHA-256 of the final weights and masks.
        notes: what a reader must know (that there is no validation split, for instance).
        no_update: why no step of the training updated connectivity, of a method that would;
            empty otherwise. Older records lack it: `never_updated` reads them too.
        error: type and one-line message of a failure.
        integrity: the checksums it was stored with (`seal` in the file); not part of its content.
    """

    schema_version: StrictInt = Field(default=SCHEMA_VERSION, ge=1)
    key: str = Field(pattern=r"^[0-9a-f]{16}$")  # it names folders
    status: Literal["done", "failed"]
    trial: dict[str, Any]
    configuration: dict[str, Any]
    metric: Name = Field(default=ACCURACY, exclude_if=lambda name: name == ACCURACY)
    metrics: dict[Name, Number] = Field(default={}, max_length=MAX_METRICS)
    absent: dict[Text, Text] = Field(default={}, max_length=MAX_METRICS)
    counts: dict[CountedSplit, Counts] = Field(default={}, exclude_if=_is_empty)
    layers: list[LayerRecord] = Field(default=[], max_length=MAX_LAYERS)
    flops: dict[Name, Operations] = Field(default={}, max_length=MAX_METRICS)
    steps: Count = Field(default=0, exclude_if=_is_empty)
    timing: dict[Text, Number | Text | None] = Field(default={}, max_length=MAX_METRICS)
    environment: dict[str, Any] = {}
    data: dict[str, Any] = {}
    code: dict[Text, FileDigest] = Field(default={}, max_length=MAX_CODE, exclude_if=_is_empty)
    unseen: list[Text] = Field(default=[], max_length=MAX_CODE, exclude_if=_is_empty)
    declared: Declarations | None = Field(default=None, exclude_if=_is_empty)
    digests: dict[Text, Text] = Field(default={}, max_length=MAX_METRICS)
    notes: list[Text] = Field(default=[], max_length=MAX_METRICS)
    no_update: Words = Field(default="", exclude_if=_is_empty)
    error: dict[Text, Text] | None = Field(default=None, max_length=MAX_METRICS)
    integrity: Integrity | None = Field(default=None, alias="seal", exclude=True)

    @model_validator(mode="after")
    def _complete(self) -> "Record":
        """Refuse a record that no trial writes: readers rely on these fields."""
        missing = TRIAL_FIELDS - self.trial.keys()
        if self.status == "done":
            missing |= {f"{self.trial.get('evaluate', 'test')}_{self.metric}"} - self.metrics.keys()
            missing |= FLOPS - self.flops.keys()
        if missing:
            raise ValueError(f"the record lacks {', '.join(sorted(missing))}")
        if self.flops.get("inference_dense", 1.0) == 0:
            raise ValueError("inference_dense is 0 FLOPs: give at least 1")
        for name, value in self.metrics.items():
            if reason := out_of_range(name, value):
                raise ValueError(reason)
        RecordedTrial.model_validate(self.trial)
        for name in ("trial", "configuration", "environment", "data", "code", "unseen"):
            _check_plain(getattr(self, name), name)
        if self.code and code_digest(self.code) != self.configuration.get(CODE):
            raise ValueError("the digests of its code are not those of its key")
        return self

    @property
    def checksum(self) -> str | None:
        """Digest of its content and files as they were stored; None in schema 1."""
        return self.integrity.digest if self.integrity is not None else None

    @property
    def fingerprint(self) -> str:
        """What changes whenever the record does: its checksum; in schema 1 all of it."""
        return self.checksum or self.model_dump_json()

    @property
    def title(self) -> str:
        """The trial in a few words."""
        trial = self.trial
        return f"{trial['task']} {trial['method']} s={trial['sparsity']:g} seed={trial['seed']}"

    @property
    def score(self) -> float:
        """What its task ranks by, on the split that was evaluated; of a finished trial."""
        return self.metrics[f"{self.trial.get('evaluate', 'test')}_{self.metric}"]

    @property
    def never_updated(self) -> str:
        """Why a method that updates connectivity never did; empty if it did, or by design does not.

        Such a training is not one of its method, and is not ranked as one. Records of before
        `no_update` say it in a note; those of before the note, of the suite's own methods, by
        having an interval between updates and yet no churn, which is measured where one is.
        """
        declared = self.declared is not None and self.declared.method is not None
        return never_updated_in(
            {
                "status": self.status,
                "notes": self.notes,
                "no_update": self.no_update,
                "schema_version": self.schema_version,
                "trial": self.trial,
                "declared": {"method": declared},
                "configuration": self.configuration,
                "metrics": self.metrics,
            }
        )

    @property
    def finished(self) -> float:
        """When the trial ended, in seconds since 1970; 0 where the record does not say."""
        return finished_at(self.timing)

    @property
    def settings_key(self) -> str:
        """The key computed from the settings, which must equal `key`; empty if that fails."""
        try:
            return key_of(self.trial, self.configuration)
        except (KeyError, TypeError, ValueError):
            return ""

    @property
    def sparsity(self) -> float:
        """Realised fraction of zeros among the prunable weights."""
        size = sum(layer.size for layer in self.layers)
        return sum(layer.zeros for layer in self.layers) / size if size else 0.0

    def to_json(self) -> bytes:
        """Return the record as JSON; a NaN or an infinity raises ValueError."""
        return to_json(self.model_dump())

    @classmethod
    def from_json(
        cls,
        data: bytes,
        where: str,
        key: str | None = None,
        *,
        stored: bool = True,
        old_names: bool = False,
    ) -> "Record":
        """Read a record, that of the trial `key` if one is expected.

        A record that is not `stored` yet (a worker's reply) has no checksums. Settings under names
        that are no longer declared are accepted with `old_names`, for `suite.results.migrate`.

        Raises:
            Unreadable: it is not JSON, not a record, that of another trial, does not match its
                checksum or has lost it, contradicts itself, was written by a newer schema or
                under old names.
        """
        try:
            content = parse(data, LIMITS, for_model=True)
        except InvalidJson as error:
            raise _no_record(where, error, "truncated") from error
        version = content.get("schema_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise Unreadable(
                f"{where} has schema version {version}, this program reads up to "
                f"{SCHEMA_VERSION}: update resonance-bench",
                "newer",
            )
        try:
            record = cls.model_validate(content)
            intact = not stored or is_intact(content)
        except (ValueError, RecursionError) as error:
            raise _no_record(where, error, "foreign") from error
        if not intact:
            what = "does not match its checksum" if record.integrity else "has no checksum"
            raise Unreadable(
                f"{where} was altered after it was stored (it {what}): delete its folder and run "
                "the trial again; `resonance store verify` looks for others",
                "altered",
            )
        try:
            check_counts(record.counts, record.metrics, record.data)
        except ValueError as error:
            raise Unreadable(
                f"{where} contradicts itself ({error}): delete its folder and run the trial again",
                "foreign",
            ) from error
        if key is not None and record.key != key:
            raise Unreadable(
                f"{where} is the record of another trial, {record.key}: delete its "
                "folder; `resonance store verify` looks for others",
                "foreign",
            )
        if not old_names and has_old_names(record.trial):
            raise Unreadable(f"{where} {ADVICE}", "outdated")
        return record


def _check_plain(content: Any, what: str, levels: int = MAX_LEVELS) -> None:
    """Raise ValueError for content that no setting has and that no page could show."""
    if isinstance(content, str):
        if len(content) > MAX_CHARACTERS:
            raise ValueError(f"{what} holds a text of {len(content)} characters")
        if not content.isprintable():  # nor half a surrogate pair: no chart could be drawn
            raise ValueError(f"{what} holds a text with characters that cannot be shown")
    elif isinstance(content, COLLECTIONS):
        if not levels:
            raise ValueError(f"{what} is nested more than {MAX_LEVELS} levels deep")
        for part in content:
            _check_plain(part, what, levels - 1)
        for part in content.values() if isinstance(content, dict) else ():
            _check_plain(part, what, levels - 1)
    elif isinstance(content, NUMBERS) and not abs(content) < MAX_PLAIN:
        raise ValueError(f"{what} holds a number that cannot be used")


def _reason(error: Exception) -> str:
    """Return what is wrong in one line, without any of the content but a field's name."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].splitlines()[0].removeprefix("Value error, ")
        return f"{place!r:.80}: {message:.200}" if place else f"{message:.200}"
    return f"{error!s:.200}" if isinstance(error, InvalidJson) else type(error).__name__


def _no_record(where: str, error: Exception, kind: Damage) -> Unreadable:
    return Unreadable(
        f"{where} is not a record ({_reason(error)}): delete its folder and run the trial "
        "again; `resonance store verify` looks for others",
        kind,
    )


def checksum_files(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], str]:
    """Return a trial's files with checksums in the record, and the record's own digest.

    Raises:
        KeyError: there is no record among them.
        ValueError: it is not a JSON object.
    """
    content = json.loads(files[RECORD])
    if not isinstance(content, dict):
        raise ValueError(f"{RECORD} is not a JSON object")
    content["schema_version"] = max(CHECKSUMMED_SINCE, content.get("schema_version", 0))
    sums = {
        name: FileChecksum.of(files[name]).model_dump() for name in sorted(files.keys() - {RECORD})
    }
    content = with_integrity(content, sums)
    return {**files, RECORD: to_json(content)}, content["seal"]["digest"]


def refuse_constant(name: str) -> None:
    """Refuse a NaN or an infinity, which Python's parser of JSON would accept."""
    raise ValueError(f"{name} is not a number that a record may hold")


def failed(trial: Trial, error: BaseException) -> Record:
    """Return the record of a trial that could not be finished.

    The message of an unexpected error may say little (a KeyError gives its key), so its type comes
    first.
    """
    message = shown((message_of(error).splitlines() or [""])[0])
    if not isinstance(error, InvalidInput | TrialFailed):
        message = f"{type(error).__name__}: {message}".removesuffix(": ")
    return Record(
        key=trial.key,
        status="failed",
        trial=trial.model_dump(),
        configuration=trial.resolved(),
        metric=trial.task_declaration.metric,
        code=dict(trial.code.digests),
        declared=Declarations.of(trial),
        error={"type": type(error).__name__, "message": message[:MAX_CHARACTERS]},
    )


def to_json(content: Any) -> bytes:
    """Return `content` as readable JSON bytes; a NaN or an infinity raises ValueError."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "replace")  # half of a surrogate pair cannot be written
