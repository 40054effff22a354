"""Data of Hugging Face: Parquet files in a folder, a dataset saved to disk, or one by its name.

Parquet files are read without any library of Hugging Face; the others need the extra `datasets`.
No code of a dataset is run, and nothing is unpickled.
"""

import hashlib
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from suite.core.errors import InvalidInput, first_line
from suite.core.named_paths import exists, is_file
from tasks.datasets.files import check_file
from tasks.datasets.images import image_bytes
from tasks.labels import REGRESSION, encode

if TYPE_CHECKING:
    import polars as pl

    from tasks.data import Arrays
    from tasks.task import Dataset

NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""The name of a dataset: mnist, or ylecun/mnist."""
MAX_NAME = 200
KEYWORDS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
}
"""Words in the names of files and folders, and the split that they mean."""


@dataclass(frozen=True)
class Source(ABC):
    """Splits of a dataset, which are tables with the same columns.

    Attributes:
        where: what it is, for messages.
        features: Hugging Face's description of the columns, by name; empty if there is none.
        files: what it is read from; their state tells whether it has changed.
        by_split: what each split is read from, by its name.
    """

    where: str
    features: Mapping[str, Any]
    files: list[Path]
    by_split: Mapping[str, Any]

    @property
    def splits(self) -> list[str]:
        """Names of the splits."""
        return list(self.by_split)

    @abstractmethod
    def read(self, split: str, columns: Sequence[str]) -> "pl.DataFrame":
        """Return columns of a split.

        Raises:
            InvalidInput: its files cannot be read.
        """

    @abstractmethod
    def schema(self) -> "Mapping[str, pl.DataType]":
        """Return the columns and their types."""


@dataclass(frozen=True)
class Columns:
    """Which columns are read: of images or of numbers, and of labels."""

    input: str
    label: str
    images: bool

    @property
    def names(self) -> list[str]:
        """Both names."""
        return [self.input, self.label]


def load(dataset: "Dataset") -> "Arrays":
    """Return the examples; images as `tasks.datasets.folder.load` does, numbers as they are.

    Options: `path`, `config`, `columns` (input, label, whether images), `splits` (train, and test
    or ""), `resize`, those of `Reading`. Without a test split, a stratified one is drawn, fixed by
    the dataset's name.

    Raises:
        InvalidInput: it cannot be read, or is not what it was when it was described.
    """
    import torch

    from tasks.data import Arrays
    from tasks.datasets.folder import held_out

    options = dataset.options
    source = open_source(options["path"], options.get("config"))
    columns = Columns(*options["columns"])
    train, test = options["splits"]
    x, y = _read(source, train, columns, dataset)
    values = np.unique(y).tolist()
    if test:
        test_x, test_y = _read(source, test, columns, dataset)
        parts = [x, y, test_x, test_y]
    else:
        kept, held = held_out(y, dataset.test, dataset.name)
        parts = [x[kept], y[kept], x[held], y[held]]
    for place in (1, 3):
        parts[place] = encode(parts[place], values, f"{source.where}: column '{columns.label}'")
    return Arrays(*map(torch.from_numpy, parts))


def _read(
    source: Source, split: str, columns: Columns, dataset: "Dataset"
) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs [n, *shape] (uint8 or float32) and labels as they stand in the data [n]."""
    from tasks.datasets.pixels import Reading, open_image, to_array

    frame = source.read(split, columns.names)
    where = f"{source.where}: {split}"
    y = labels_of(frame[columns.label], where)
    if not columns.images:
        return numbers_of(frame[columns.input], where), y
    reading = Reading.of(dataset.shape, dataset.options)
    resize = bool(dataset.options.get("resize"))
    x = np.empty((len(frame), *dataset.shape), np.float32 if reading.deep else np.uint8)
    for row, (name, file) in enumerate(images_of(frame[columns.input], where)):
        with file:
            image = open_image(file.read(), name)
        x[row] = to_array(image, name, dataset.shape, resize, reading)
    return x, y


# ------------------------------------------------------------------------------ sources


def open_source(path: str, config: str | None = None) -> Source:
    """Return the dataset in a folder, or of a name.

    Raises:
        InvalidInput: there is none, it cannot be read, or the extra `datasets` is missing.
    """
    folder = Path(path)
    if folder.is_absolute() and exists(folder):
        if not folder.is_dir():
            raise InvalidInput(f"{path} is a file: give the folder of its Parquet files")
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            return _saved(folder)
        return _parquet(folder / config if config else folder)
    return _named(path, config)


class _Parquet(Source):
    def read(self, split: str, columns: Sequence[str]) -> "pl.DataFrame":
        import polars as pl

        try:
            return pl.read_parquet(self.by_split[split], columns=list(columns))
        except (
            OSError,
            MemoryError,
            pl.exceptions.PolarsError,
            pl.exceptions.PanicException,
        ) as error:
            raise InvalidInput(f"{self.where} cannot be read: {first_line(error)}") from error

    def schema(self) -> "Mapping[str, pl.DataType]":
        import polars as pl

        return pl.read_parquet_schema(self.files[0])


def _parquet(folder: Path) -> Source:
    import polars as pl

    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise InvalidInput(
            f"{folder} holds no Parquet files (*.parquet) and no dataset saved by datasets' "
            "save_to_disk: give a folder that does, or the name of a dataset"
        )
    root = folder.resolve()
    by_split: dict[str, list[Path]] = {}
    for file in files:
        check_file(file, str(file))
        if not file.resolve().is_relative_to(root):
            raise InvalidInput(f"{file}: a link to outside of {folder}: copy the file into it")
        by_split.setdefault(_split_of(file.relative_to(folder)), []).append(file)
    if "" in by_split and len(by_split) > 1:
        raise InvalidInput(
            f"{by_split[''][0]}: its name says of no split that it is part of it, others do: put "
            "'train', 'validation' or 'test' into it"
        )
    if "" in by_split:
        by_split = {"train": by_split[""]}
    try:
        schemas = [pl.read_parquet_schema(file) for file in files]
        metadata = pl.read_parquet_metadata(files[0]).get("huggingface", "{}")
        info = json.loads(metadata).get("info", {})
    except (
        OSError,
        ValueError,
        AttributeError,
        RecursionError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        raise InvalidInput(
            f"{folder}: Parquet files cannot be read: {first_line(error)}"
        ) from error
    for file, schema in zip(files, schemas, strict=True):
        if schema != schemas[0]:
            raise InvalidInput(
                f"{file} has other columns than {files[0].name}: give files of one dataset"
                " (its 'config' is a folder inside)"
            )
    return _Parquet(str(folder), info.get("features") or {}, files, by_split)


def _split_of(file: Path) -> str:
    """Return the split that a file's name or the nearest folder names; empty if none does."""
    for part in reversed((*file.parent.parts, file.stem)):
        words = re.split(r"[^a-z]+", part.lower())
        if found := [KEYWORDS[word] for word in words if word in KEYWORDS]:
            return found[0]
    return ""


class _Library(Source):
    def read(self, split: str, columns: Sequence[str]) -> "pl.DataFrame":
        import polars as pl

        table = self.by_split[split].with_format("arrow").select_columns(list(columns))[:]
        return pl.DataFrame({name: _storage(table.column(name)) for name in columns}, strict=False)

    def schema(self) -> "Mapping[str, pl.DataType]":
        first = self.by_split[self.splits[0]]
        some = first.select(range(min(1, len(first))))
        source = _Library(self.where, {}, [], {self.splits[0]: some})
        return source.read(self.splits[0], first.column_names).schema


def _storage(column: Any) -> "pl.Series":
    """Return a column of Arrow without the extension types of datasets (Array2D, …)."""
    import polars as pl
    import pyarrow as pa

    chunks = [getattr(chunk, "storage", chunk) for chunk in column.chunks]
    kind = getattr(column.type, "storage_type", column.type)
    return pl.Series(pl.from_arrow(pa.chunked_array(chunks, kind)))


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InvalidInput(
            "data of Hugging Face by name, or saved by save_to_disk, needs datasets: pip install "
            "'resonance-bench[datasets]'"
        ) from error
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    return datasets


def _saved(folder: Path) -> Source:
    library = _datasets()
    try:
        found = library.load_from_disk(str(folder))
    except Exception as error:  # the library raises anything on damaged files
        raise InvalidInput(
            f"{folder} cannot be read as a dataset saved to disk: {first_line(error)}"
        ) from error
    return _of_library(found, str(folder))


def _named(name: str, config: str | None) -> Source:
    if len(name) > MAX_NAME or not NAME.fullmatch(name):
        raise InvalidInput(
            f"path={name!r:.200}: there is no such folder, and it is not the name of a dataset "
            "(ylecun/mnist): give one of them"
        )
    if exists(Path(name)):
        raise InvalidInput(
            f"path={name!r}: the working folder holds one of that name, which datasets would read "
            "instead: give its path relative to the task file, or go to another folder"
        )
    library = _datasets()
    try:
        found = library.load_dataset(name, config)
    except Exception as error:  # offline, unknown, gated, without a config: the library's words
        raise InvalidInput(
            f"dataset '{name}' of Hugging Face cannot be loaded, and there is no folder of that "
            f"name: {type(error).__name__}: {first_line(error)}; connect to the network once, or "
            "give a folder of Parquet files"
        ) from error
    return _of_library(found, f"{name} of Hugging Face")


def _of_library(found: Any, where: str) -> Source:
    by_split = dict(found) if hasattr(found, "keys") else {"train": found}
    first = next(iter(by_split.values()), None)
    if first is None or not hasattr(first, "features"):
        raise InvalidInput(f"{where} has no splits that can be read")
    files = [Path(part["filename"]) for split in by_split.values() for part in split.cache_files]
    return _Library(where, first.features.to_dict(), files, by_split)


# ------------------------------------------------------------------------------ columns


def choose_columns(source: Source, given: Mapping[str, Any]) -> Columns:
    """Return which columns are read: those named (`image` or `input`, `label`), or the only ones.

    Raises:
        InvalidInput: a column is missing, or several could be meant; the message names them.
    """
    import polars as pl

    schema = source.schema()
    for field in ("image", "input", "label"):
        if field in given and given[field] not in schema:
            raise InvalidInput(
                f"{source.where} has no column {given[field]!r:.80}: it has {', '.join(schema)}"
            )
    if "image" in given and "input" in given:
        raise InvalidInput("give 'image' or 'input', not both: the column that the model reads")
    classes = [name for name in schema if _feature(source, name) == "ClassLabel"]
    usual = [name for name in ("label", "labels") if name in schema]
    label = given.get("label") or _only(source, classes or usual, "label")
    images = [
        name
        for name, kind in schema.items()
        if _feature(source, name) == "Image"
        or (isinstance(kind, pl.Struct) and {"bytes", "path"} <= {f.name for f in kind.fields})
    ]
    if "input" not in given and ("image" in given or images):
        columns = Columns(given.get("image") or _only(source, images, "image"), label, True)
    else:
        lists = [name for name, kind in schema.items() if kind.is_nested() and name not in images]
        columns = Columns(given.get("input") or _only(source, lists, "input"), label, False)
    if columns.input == label:
        raise InvalidInput(
            f"{source.where}: column '{label}' cannot be both what the model reads and the label: "
            "name another one"
        )
    return columns


def _feature(source: Source, name: str) -> str:
    feature = source.features.get(name)
    return str(feature.get("_type", "")) if isinstance(feature, Mapping) else ""


def _only(source: Source, names: Sequence[str], field: str) -> str:
    if len(names) == 1:
        return names[0]
    what = f"could be {', '.join(names)}" if names else "is not found"
    raise InvalidInput(
        f"{source.where}: the column for '{field}' {what}: give data '{field}: COLUMN', of "
        f"{', '.join(source.schema())}"
    )


def images_of(column: "pl.Series", where: str) -> Iterator[tuple[str, BinaryIO]]:
    """Yield (what it is, open file) of each image of a column.

    Raises:
        InvalidInput: a row has none.
    """
    import polars as pl

    if isinstance(column.dtype, pl.Binary):
        contents: Sequence[bytes | None] = column.to_list()
        paths: Sequence[str | None] = [None] * len(column)
    elif isinstance(column.dtype, pl.Struct) and "bytes" in (f.name for f in column.dtype.fields):
        contents, paths = (column.struct.field(part).to_list() for part in ("bytes", "path"))
    else:
        raise InvalidInput(
            f"{where}: column '{column.name}' holds {column.dtype}, not images: give its name as "
            "'input' if it holds numbers"
        )
    for row, (content, path) in enumerate(zip(contents, paths, strict=True)):
        name = f"{where} row {row}" + (f" ({Path(path).name})" if path else "")
        if content is None and path and Path(path).is_absolute() and is_file(Path(path)):
            content = image_bytes(Path(path))
        if content is None:
            raise InvalidInput(f"{name} has no image in column '{column.name}': fill in or remove")
        yield name, io.BytesIO(content)


def labels_of(column: "pl.Series", where: str) -> np.ndarray:
    """Return the labels of a column: int64 or text [n].

    Raises:
        InvalidInput: a row has none, or they are neither whole numbers nor text.
    """
    import polars as pl

    if column.null_count():
        row = column.is_null().to_list().index(True)
        raise InvalidInput(f"{where} row {row} has no '{column.name}': fill it in or remove it")
    if column.dtype.is_integer() or column.dtype == pl.Boolean:
        return column.cast(pl.Int64).to_numpy().copy()
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return np.array(column.cast(pl.String).to_list())
    what = REGRESSION if column.dtype.is_float() else "give a column of classes"
    raise InvalidInput(f"{where}: column '{column.name}' holds {column.dtype}: {what}")


def numbers_of(column: "pl.Series", where: str) -> np.ndarray:
    """Return a column of vectors or nested lists as uint8 or float32 [n, …].

    Raises:
        InvalidInput: they have different lengths, gaps, or are no real numbers.
    """
    import polars as pl

    shape = [len(column)]
    while isinstance(column.dtype, pl.List | pl.Array):
        lengths = column.list.len() if isinstance(column.dtype, pl.List) else column.arr.len()
        widths = lengths.unique().to_list()
        if len(widths) != 1 or not widths[0]:
            raise InvalidInput(
                f"{where}: column '{column.name}' holds lists of different lengths "
                f"({', '.join(map(str, widths[:5]))}): give inputs of one shape"
            )
        shape.append(int(widths[0]))
        column = column.explode()
    if not column.dtype.is_numeric() or len(shape) == 1:
        raise InvalidInput(
            f"{where}: column '{column.name}' holds {column.dtype}, not vectors of numbers: name "
            "another one as 'input', or use format: table for a table with columns of numbers"
        )
    if column.null_count():
        raise InvalidInput(f"{where}: column '{column.name}' has gaps (null): fill them in")
    kind = np.uint8 if column.dtype == pl.UInt8 else np.float32
    return column.to_numpy().astype(kind).reshape(shape)


def content_digest(source: Source, splits: Sequence[str], columns: Columns) -> str:
    """Return a digest of the values in these splits and columns: the same wherever they are."""
    digest = hashlib.sha256()
    for split in splits:
        frame = source.read(split, columns.names)
        where = f"{source.where}: {split}"
        digest.update(json.dumps(labels_of(frame[columns.label], where).tolist()).encode())
        if not columns.images:
            values = numbers_of(frame[columns.input], where)
            digest.update(f"{values.shape} {values.dtype}".encode() + values.tobytes())
            continue
        for _, file in images_of(frame[columns.input], where):
            with file:
                content = file.read()
            digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:16]
