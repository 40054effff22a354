"""Format `huggingface`: a folder of Parquet files, a dataset saved to disk, or one by its name."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from suite.core.errors import InvalidInput
from tasks.formats.fields import Described, fraction
from tasks.formats.images import check_images_fit, read_as, shape_and_reading

if TYPE_CHECKING:
    import numpy as np

    from tasks.datasets.hub import Columns, Source

FIELDS = (
    "path",
    "config",
    "split",
    "test_split",
    "image",
    "input",
    "label",
    "size",
    "background",
    "range",
    "test",
)


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe data of Hugging Face.

    Fields: `path` of a folder, or a name; `config`; `split` and `test_split`; columns `image` (or
    `input` of numbers) and `label`; `size`, `background` and `range` of images; `test` fraction.
    """
    from tasks.datasets.hub import choose_columns, content_digest, open_source
    from tasks.datasets.survey import Survey, file_states, remembered, survey

    for field in ("config", "split", "test_split", "image", "input", "label"):
        if field in data and not (isinstance(data[field], str) and data[field]):
            raise InvalidInput(f"task file {path}: {field}={data[field]!r:.80}: give a name")
    source = open_source(str(data["path"]), data.get("config"))
    columns = choose_columns(source, data)
    train, test = _splits(source, data)
    used = [split for split in (train, test) if split]
    train_y, test_y = (_labels(source, split, columns) for split in (train, test))
    values, labels = _classes(source, columns, train_y, test_y, train)
    held = len(test_y) if test else round(len(train_y) * fraction(data, path))
    states = [source.where, used, asdict(columns), *file_states(source.files)]

    def look() -> dict[str, Any]:
        found = survey(_images(source, used, columns), "") if columns.images else Survey(())
        content = content_digest(source, used, columns)
        return {"content": content, "survey": {**asdict(found), "names": []}}

    known = remembered(states if source.files else [], look)
    described = {
        "load": "tasks.datasets.hub:load",
        "classes": len(values),
        "labels": labels,
        "train": len(train_y) if test else len(train_y) - held,
        "test": held,
        "fingerprint": known["content"],
    }
    options = {
        "path": str(data["path"]),
        "config": data.get("config"),
        "columns": (columns.input, columns.label, columns.images),
        "splits": (train, test),
    }
    if not columns.images:
        for field in ("size", "background", "range"):
            if field in data:
                raise InvalidInput(
                    f"task file {path}: {field} is of images, and column '{columns.input}' holds "
                    "numbers: leave it out"
                )
        return {**described, "shape": _shape(source, train, columns), "options": options}
    found = Survey(**{**known["survey"], "names": ()})
    shape, reading = shape_and_reading(found, data, path, source.where)
    check_images_fit(len(train_y) + len(test_y), shape, reading, source.where)
    options |= {"resize": data.get("size") is not None, **reading.options()}
    more = {"mean": (0.5,) * shape[0], "std": (0.25,) * shape[0]}
    fingerprint = read_as(known["content"], reading)
    return {**described, **more, "shape": shape, "fingerprint": fingerprint, "options": options}


def _splits(source: "Source", data: dict[str, Any]) -> tuple[str, str]:
    """Return the training and the test split; the test is "" where it is drawn from the other."""
    for field in ("split", "test_split"):
        if field in data and data[field] not in source.splits:
            raise InvalidInput(
                f"{source.where} has no split {data[field]!r:.80} ({field}): it has "
                f"{', '.join(source.splits)}"
            )
    train = data.get("split", "train")
    if train not in source.splits:
        raise InvalidInput(
            f"{source.where} has no split 'train': give data 'split' as one of "
            f"{', '.join(source.splits)}"
        )
    if "test_split" in data:
        return train, data["test_split"]
    others = [name for name in ("test", "validation", "valid") if name in source.splits]
    others = [name for name in others if name != train]
    return train, others[0] if others and "test" not in data else ""


def _labels(source: "Source", split: str, columns: "Columns") -> "np.ndarray":
    """Return the labels of a split, none if it is ""."""
    import numpy as np

    from tasks.datasets.hub import labels_of

    if not split:
        return np.empty(0)
    return labels_of(source.read(split, [columns.label])[columns.label], f"{source.where}: {split}")


def _classes(
    source: "Source", columns: "Columns", train: "np.ndarray", test: "np.ndarray", split: str
) -> tuple[tuple[int | str, ...], tuple[int | str, ...]]:
    """Return the labels that occur, and what they are called (`Dataset.labels`)."""
    from tasks.labels import distinct, encode, renamed

    where = f"{source.where}: column '{columns.label}'"
    values = distinct(train, f"{where} of {split}")
    if len(test):
        encode(test, values, f"{where} of the test split")
    feature = source.features.get(columns.label)
    names = feature.get("names") if isinstance(feature, dict) else None
    if not names or isinstance(values[0], str):
        return values, renamed(values)
    numbers = [int(value) for value in values]
    if numbers[0] < 0 or numbers[-1] >= len(names):
        raise InvalidInput(
            f"{where} holds {numbers[0]} … {numbers[-1]}, and its {len(names)} classes are 0 … "
            f"{len(names) - 1} (−1 means: not labelled): choose another split, or label the rows"
        )
    return values, tuple(str(names[number]) for number in numbers)


def _images(
    source: "Source", splits: list[str], columns: "Columns"
) -> Iterator[tuple[str, BinaryIO]]:
    from tasks.datasets.hub import images_of

    for split in splits:
        column = source.read(split, [columns.input])[columns.input]
        yield from images_of(column, f"{source.where}: {split}")


def _shape(source: "Source", split: str, columns: "Columns") -> tuple[int, ...]:
    from tasks.datasets.hub import numbers_of

    column = source.read(split, [columns.input])[columns.input]
    return numbers_of(column, f"{source.where}: {split}").shape[1:]
