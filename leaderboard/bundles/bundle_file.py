"""Reading and writing bundles: records of many trials in one file.

A bundle is gzipped JSON lines: a header, then one checksummed record per line, sorted by key. The
same records and header give the same bytes. Tunings of these records come last, and the design if
they are all of one ablation. Bundles come from untrusted senders: sizes are limited while
unpacking, and a bad record is rejected with its reason without affecting the others.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError

from leaderboard.bundles import ablations
from leaderboard.bundles.predictions import NO_PREDICTIONS, Predictions, take_out, with_predictions
from leaderboard.bundles.record_checks import record_problems
from leaderboard.bundles.signature import (
    UNSIGNED,
    InvalidSignature,
    Signature,
    read_packed,
    sign,
    signature_path,
)
from leaderboard.bundles.tunings import (
    MAX_TUNINGS,
    PREFIX,
    of_records,
    read_tuning,
    tuning_line,
)
from suite.core.bounded_json import LINE, InvalidJson, count_values, parse
from suite.core.declarations import NAME
from suite.core.errors import InvalidInput
from suite.core.files import atomic_write
from suite.core.limited_process import LimitExceeded
from suite.core.redact import redact_bytes, redact_data
from suite.core.shown_text import INVISIBLE, is_shown, shown_data, texts_of
from suite.results.ablation_design import Ablation
from suite.results.integrity import CHECKSUMMED_SINCE, with_integrity
from suite.results.old_names import has_old_names
from suite.results.record import Record
from suite.tuning.schema import Tuning

SUFFIX = ".jsonl.gz"
SHIPPED = tuple(Path(__file__).parents[1] / name for name in ("results", "submissions"))
"""Folders of the project's own results, and of submissions."""
BUNDLE_VERSION = 4
"""1: records only. 2: some have predictions. 3: tunings. 4: an ablation. What needs a lower version
has that."""
MAX_UNPACKED = 128 * 2**20
MAX_LINE = 2**20
"""Largest size in bytes of all lines of a file, and of one line (a record of a hundred layers has
20 kB); `signature.MAX_PACKED` is that of the file."""
MAX_RECORDS = 20_000
MAX_REJECTED = 100
"""Most records, and most rejected lines, read from one file: many small lines are slow."""
MAX_VALUES = 2_000_000
MAX_LAYERS = 100_000
"""Most values of JSON (numbers, texts, lists, objects) and layers of networks in one file: in
memory a value takes a hundred bytes and a layer a thousand."""
KEY_FIELD = re.compile(rb'"key":\s*"([0-9a-f]{16})"')
MAX_SETTINGS = 2000
"""Largest number of characters of a trial's hyperparameters and recipe, which every table shows."""


def _visible(text: str) -> str:
    """Refuse what cannot be seen: with it, two senders would have the same name on a page."""
    if found := re.search(f"[{INVISIBLE}]", text):
        raise ValueError(
            f"it has the character U+{ord(found[0]):04X}, which cannot be seen: leave it out"
        )
    return text


SingleLine = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_visible)]


class Header(BaseModel, frozen=True, extra="forbid"):
    """Who sends the records.

    Attributes:
        name: of the submitter, a person or a group.
        note: for readers.
        link: to a paper or code.
        suite: version of resonance-bench that wrote the file.
        created: date and time.
    """

    format: Literal["resonance-bench records"] = "resonance-bench records"
    schema_version: int = Field(default=1, ge=1, strict=True)
    name: SingleLine = Field(min_length=1, max_length=100)
    note: SingleLine = Field(default="", max_length=2000)
    link: str = Field(default="", max_length=500, pattern=r"^(https?://[!#-;=?-~]+)?$")
    suite: SingleLine = Field(default="", max_length=50)
    created: SingleLine = Field(default="", max_length=50)

    @classmethod
    def make(cls, /, **given: Any) -> "Header":
        """Return a header; invalid values raise `InvalidInput` with a message of one line."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise InvalidInput(
                f"{place!r:.80} of a submission: {first['msg']}; give a name of up to 100 "
                "characters, a note of up to 2000 without line ends, a link that begins with "
                "https://"
            ) from error


class Rejected(NamedTuple):
    """A part of a file that cannot be used: its place in the file, and the reason."""

    where: str
    reason: str


class Sender(NamedTuple):
    """Who sent a file: what its header says, and what its signature proves."""

    header: Header
    signature: Signature = UNSIGNED

    @property
    def signed(self) -> bool:
        """Whether a signer that the board knows has signed."""
        return self.signature.status == "signed"

    @property
    def identity(self) -> tuple[str, str]:
        """What tells senders apart: their signature; without one only the name they gave."""
        proven = self.signature.identity
        return (proven, "") if proven else ("", self.header.name)


class Bundle(NamedTuple):
    """The content of a file: its header, usable records, rejected lines, predictions by key.

    `tunings` are the searches that its tuned records come from, as far as they are about them.
    `ablation` is the one that all its records are of, if they are of one (`bundles.ablations`).
    `signature` is `UNSIGNED` until somebody looks for one (`limited_reading`).
    """

    header: Header
    records: list[Record]
    rejected: list[Rejected]
    predictions: Mapping[str, bytes] = NO_PREDICTIONS
    signature: Signature = UNSIGNED
    tunings: Sequence[Tuning] = ()
    ablation: Ablation | None = None

    @property
    def sender(self) -> Sender:
        """Who sent the file."""
        return Sender(self.header, self.signature)


def write_bundle(
    records: Iterable[Record],
    header: Header,
    path: Path,
    predictions: Mapping[str, bytes] = NO_PREDICTIONS,
    key: Path | None = None,
    tunings: Iterable[Tuning] = (),
    ablation: Ablation | None = None,
) -> None:
    """Write records to one file, with secrets of this machine redacted.

    `predictions` are those of some of the trials, by key (`stored_predictions`). Of `tunings` those
    that tested some of the trials are written; `ablation` is one that all records are of. With
    `key`, an SSH key, the file's signature is written beside it; without, one of an older file is
    removed.

    Raises:
        InvalidInput: two records of one trial, a document that is too long, the file cannot be
            written, or `key` does not sign.
    """
    by_key: dict[str, Record] = {}
    for record in records:
        if by_key.setdefault(record.key, record) is not record:
            raise InvalidInput(f"trial {record.key} has two records: give one per trial")
    searches = sorted(of_records(tunings, by_key), key=lambda one: one.settings.name)
    version = 3 if searches else 2 if predictions else 1
    if ablation is not None:
        version = BUNDLE_VERSION
    redacted = redact_data(dict(header)) | {"schema_version": version}
    lines = [
        _line(redacted),
        *(
            _line(with_predictions(_checksummed(record), predictions.get(name)))
            for name, record in sorted(by_key.items())
        ),
        *(tuning_line(one) + b"\n" for one in searches),
        *([] if ablation is None else [ablations.ablation_line(ablation) + b"\n"]),
    ]
    content = gzip.compress(b"".join(lines), 9, mtime=0)
    signature = None if key is None else sign(content, key)
    try:
        signature_path(path).unlink(missing_ok=True)
        atomic_write(path, content)
        if signature is not None:
            atomic_write(signature_path(path), signature)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written ({error.strerror}): choose another --out"
        ) from error


def _line(content: Any) -> bytes:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def _checksummed(record: Record) -> dict[str, Any]:
    """Return a record with its checksum, which is unchanged if nothing was redacted or replaced."""
    content = shown_data(json.loads(redact_bytes(record.to_json())))
    content["schema_version"] = max(CHECKSUMMED_SINCE, content["schema_version"])
    return with_integrity(
        content, record.integrity.model_dump()["files"] if record.integrity else {}
    )


def read_bundle(path: Path, *, old_names: bool = False, possible: bool = True) -> Bundle:
    """Read a bundle; lines that cannot be used are in `rejected`.

    Records that use old names of methods or recipe fields are rejected, unless `old_names`; those
    that are not possible (`record_problems`) too, unless they are read to be checked (`possible`).

    Raises:
        InvalidInput: the file cannot be read, or is not a bundle.
    """
    lines = _unpacked(path)
    first = next(lines, b"")
    if isinstance(first, Rejected):
        raise InvalidInput(f"{path} is not a submission: {first.reason}")
    header = _header(path, first)
    records: dict[str, Record] = {}
    rejected: list[Rejected] = []
    predictions = Predictions()
    searches: list[tuple[str, bytes]] = []
    designs: list[tuple[str, bytes]] = []
    values = layers = 0
    for number, line in enumerate(lines, 2):
        where = f"line {number}"
        values += count_values(line) if isinstance(line, bytes) else 0
        if limit := _limit(number, len(rejected), values, layers):
            rejected.append(Rejected(where, f"the rest is not read: {limit}"))
            break
        if isinstance(line, Rejected):
            rejected.append(line)
            continue
        if line.startswith(PREFIX):
            searches.append((where, line))
            continue
        if line.startswith(ablations.PREFIX):
            designs.append((where, line))
            continue
        try:
            line, shipped = take_out(line)
            record = Record.from_json(line, where, old_names=old_names)
            layers += len(record.layers)
            if reason := _unshowable(record):
                raise InvalidInput(reason)
            if record.key in records:
                raise InvalidInput(f"a second record of trial {record.key}")
            checked = possible and not has_old_names(record.trial)
            if checked and (reason := next(record_problems(record), "")):
                raise InvalidInput(f"trial {record.key}: {reason}")
            if shipped is not None:
                predictions.add_text(record, shipped)
        except InvalidInput as error:
            reason = str(error).split(": delete its folder")[0].removeprefix(f"{where} ")
            rejected.append(Rejected(where, _naming_trial(reason, line)))
        else:
            records[record.key] = record
    tunings: dict[str, Tuning] = {}
    for number, (where, line) in enumerate(searches, 1):
        try:
            if number > MAX_TUNINGS:
                raise InvalidInput(f"more than {MAX_TUNINGS} tunings in one file")
            one = read_tuning(line, records, old_names=old_names)
            if tunings.setdefault(one.settings.name, one) is not one:
                raise InvalidInput(f"a second tuning {one.settings.name}")
        except InvalidInput as error:
            rejected.append(Rejected(where, str(error)))
            if number > MAX_TUNINGS:
                break
    ablation = None
    for number, (where, line) in enumerate(designs):
        try:
            if number:
                raise InvalidInput("a second ablation: a file is of one")
            ablation = ablations.read_ablation(line, records, old_names=old_names)
        except InvalidInput as error:
            rejected.append(Rejected(where, str(error)))
            if number:
                break
    found = Bundle(header, list(records.values()), rejected, predictions)
    return found._replace(tunings=list(tunings.values()), ablation=ablation)


def _limit(number: int, rejected: int, values: int, layers: int) -> str:
    """Return which limit on a whole file a line exceeds; empty if it is within all of them."""
    if number > MAX_RECORDS + 1:
        return f"{MAX_RECORDS:,} lines are before it"
    if rejected == MAX_REJECTED:
        return f"{MAX_REJECTED} that cannot be used are before it"
    if values > MAX_VALUES:
        return f"with this line it holds more than {MAX_VALUES:,} values; send several files"
    if layers > MAX_LAYERS:
        return f"the records before it have more than {MAX_LAYERS:,} layers; send several files"
    return ""


def _naming_trial(reason: str, line: bytes) -> str:
    """Return a reason with the key that a rejected line says it is of, if it does."""
    found = KEY_FIELD.search(line)
    key = found[1].decode() if found else ""
    return reason if not key or key in reason else f"trial {key}: {reason}"


def read_folder(
    folder: Path, read: Callable[[Path], Bundle] = read_bundle
) -> tuple[dict[str, Bundle], list[Rejected]]:
    """Return the bundles in a folder by file name, and everything that was rejected."""
    bundles: dict[str, Bundle] = {}
    rejected: list[Rejected] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            bundle = read(path)
        except InvalidInput as error:
            rejected.append(Rejected(path.name, str(error)))
            continue
        bundles[path.name] = bundle
        rejected += _named(path, bundle)
    return bundles, rejected


def read_bundles(
    paths: Iterable[Path], read: Callable[[Path], Bundle] = read_bundle
) -> tuple[list[Bundle], list[Rejected]]:
    """Return the bundles of files and folders, and everything that was rejected, with file names.

    `read` reads a file; one that exceeds a limit, or has been changed since it was signed, is
    rejected as a whole.

    Raises:
        InvalidInput: a file that was named cannot be read.
    """
    found: list[Bundle] = []
    rejected: list[Rejected] = []
    for path in paths:
        if path.is_dir():
            bundles, bad = read_folder(path, read)
            found += bundles.values()
            rejected += bad
            continue
        try:
            found.append(read(path))
        except (LimitExceeded, InvalidSignature) as error:
            rejected.append(Rejected(path.name, str(error)))
        else:
            rejected += _named(path, found[-1])
    return found, rejected


def each_once(bundles: Sequence[Bundle]) -> list[Bundle]:
    """Return the bundles with each trial in one of them.

    That is the first that has it, among those that a known signer has signed if there are any:
    nobody takes another's place by sending a file of an earlier name. Files of ablations come
    last, because boards are of studies.
    """
    chosen: dict[str, int] = {}
    order = sorted(
        enumerate(bundles), key=lambda one: (not one[1].sender.signed, one[1].ablation is not None)
    )
    for number, bundle in order:
        for record in bundle.records:
            chosen.setdefault(record.key, number)
    return [_with_records(bundle, chosen, number) for number, bundle in enumerate(bundles)]


def _with_records(bundle: Bundle, chosen: Mapping[str, int], number: int) -> Bundle:
    """Return a bundle with the records that are chosen from it, and what is about these alone."""
    records = [record for record in bundle.records if chosen[record.key] == number]
    tunings = of_records(bundle.tunings, [record.key for record in records])
    return bundle._replace(records=records, tunings=tunings)


def ablation_trials(bundles: Iterable[Bundle]) -> dict[str, str]:
    """Return the trials that only bundles of an ablation hold, and of which one in words."""
    found: dict[str, str] = {}
    others: set[str] = set()
    for bundle in bundles:
        keys = [record.key for record in bundle.records]
        if bundle.ablation is None:
            others.update(keys)
        else:
            found |= dict.fromkeys(keys, f"ablation {bundle.ablation.name}")
    return {key: what for key, what in found.items() if key not in others}


def read_all(paths: Iterable[Path]) -> tuple[list[Record], list[Rejected]]:
    """Return the records of `read_bundles`, each trial's once, and everything that was rejected."""
    bundles, rejected = read_bundles(paths)
    return [record for bundle in each_once(bundles) for record in bundle.records], rejected


def _named(path: Path, bundle: Bundle) -> list[Rejected]:
    return [Rejected(f"{path.name}, {one.where}", one.reason) for one in bundle.rejected]


def _header(path: Path, line: bytes) -> Header:
    try:
        content = parse(line, LINE)
        version = content["schema_version"]
    except (InvalidJson, TypeError, KeyError) as error:
        raise InvalidInput(f"{path} is not a submission: its first line is not a header") from error
    if isinstance(version, int) and version > BUNDLE_VERSION:
        raise InvalidInput(
            f"{path} has schema version {version}, this program reads up to {BUNDLE_VERSION}: "
            "update resonance-bench"
        )
    try:
        return Header.make(**content)
    except TypeError as error:
        raise InvalidInput(f"{path} is not a submission: its first line is not a header") from error


def _unshowable(record: Record) -> str:
    """Return why a valid record cannot be shown; empty if it can."""
    for kind in ("task", "method"):
        if not NAME.fullmatch(record.trial[kind]):
            return (
                f"the {kind}'s name {ascii(record.trial[kind])[:60]} is not usable: letters, "
                "digits, '_', and single '/', '.', '@', '+' or '-' between them"
            )
    settings = json.dumps([record.trial["hyperparameters"], record.trial["recipe"]])
    if len(settings) > MAX_SETTINGS:
        return (
            f"its hyperparameters and recipe have {len(settings):,} characters: more than "
            f"{MAX_SETTINGS:,} are not shown"
        )
    for field, content in record.model_dump().items():
        if any(not is_shown(text) for text in texts_of(content)):
            return f"a text of '{field}' has control or invisible characters, which are not shown"
    return ""


def _unpacked(path: Path) -> Iterator[bytes | Rejected]:
    """Yield the lines of a file, and errors; never holds more than one line in memory."""
    packed = read_packed(path)
    left, number = MAX_UNPACKED, 0
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        while True:
            number += 1
            try:
                line = file.readline(MAX_LINE + 1)
                length = len(line)
                if too_long := length > MAX_LINE:
                    while line and not line.endswith(b"\n") and length <= left:
                        line = file.readline(MAX_LINE)
                        length += len(line)
            except (OSError, EOFError, zlib.error):
                yield Rejected(f"line {number}", "the file is damaged from here on")
                return
            left -= length
            if left < 0:
                reason = f"the file holds more than {MAX_UNPACKED >> 20} MiB: the rest is not read"
                yield Rejected(f"line {number}", reason)
                return
            if not line:
                return
            yield (
                Rejected(
                    f"line {number}", f"longer than {MAX_LINE >> 20} MiB, the limit for a record"
                )
                if too_long
                else line
            )
